"""A reset and the top lists that workers keep for a moment: its answer comes when none of them is shown any more."""

from __future__ import annotations

from support.processes import serving
from support.relays import carrying
from support.submitting import clients
from support.waiting import eventually
from support.world import World


def test_after_the_answer_no_worker_shows_a_list_that_it_kept(world: World) -> None:
    settings = {"LEADERBOARD_WORKERS": "2", "LEADERBOARD_READ_CACHE_MS": "500"}
    with carrying(world), serving(world, "/readyz", **settings) as api, clients(api, 8) as readers:
        for score in (1, 2):
            assert readers[0].post("s", "ada", score).status == 202
            eventually(lambda: all(reader.top("s").json["items"] for reader in readers))
            assert readers[0].delete("s").status == 200
            assert [reader.top("s").json["items"] for reader in readers] == [[]] * len(readers)
