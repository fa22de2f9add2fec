"""The model of the relays, with bans and hidden players among everything else that happens.

Each is two steps, as in the request: what counts, and the hints after it. A process may end between them.
"""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from support.moderation import hint, restrict, submit_moderated
from support.relay_model import SEASONS, Model, batches, deltas, run_model, seasons, users
from support.segments import filtered, held
from support.world import World

from ctl.comparison.report import compare

PLACES = st.none() | st.sampled_from([SEASONS[:1], SEASONS[1:]])


class Moderated(Model):
    """`banned` are the players with the seasons of their ban, None for all; `hidden` those who are hidden."""

    @initialize()
    def begin_moderated(self) -> None:
        self.world.execute("TRUNCATE restriction")
        self.banned: dict[str, list[str] | None] = {}
        self.hidden: set[str] = set()

    def is_banned(self, season: str, user: str) -> bool:
        return user in self.banned and season in (self.banned[user] or SEASONS)

    def is_away(self, season: str, user: str) -> bool:
        return user in self.hidden or self.is_banned(season, user)

    @rule(batch=st.lists(st.tuples(seasons, users, deltas), min_size=1, max_size=5))
    def submit(self, batch: list[tuple[str, str, int]]) -> None:
        for season, user, delta in batch:
            ((status, score, _),) = submit_moderated(self.world, (season, user, delta))
            expected = self.scores.get((season, user), 0) + delta
            fits = -(2**63) <= expected < 2**63
            assert status == (25 if self.is_banned(season, user) else 0 if fits else 2)
            if status == 0:
                assert score == expected
                self.scores[season, user] = expected

    @rule(batch=batches)
    def submit_together(self, batch: list[tuple[str, str, int]]) -> None:
        results = submit_moderated(self.world, *batch)
        for (season, user, delta), (status, score, _) in zip(batch, results, strict=True):
            assert (status == 25) == self.is_banned(season, user)
            if status == 0:
                self.scores[season, user] = self.scores.get((season, user), 0) + delta
                assert score == self.scores[season, user]

    @rule(user=users, places=PLACES, is_hinted=st.booleans())
    def ban(self, user: str, places: list[str] | None, is_hinted: bool) -> None:
        restrict(self.world, "ban", user, places)
        self.banned[user] = places
        self.tell(user, is_hinted)

    @rule(user=users, is_hinted=st.booleans())
    def unban(self, user: str, is_hinted: bool) -> None:
        restrict(self.world, "unban", user)
        self.banned.pop(user, None)
        self.tell(user, is_hinted)

    @rule(user=users, is_hinted=st.booleans())
    def hide(self, user: str, is_hinted: bool) -> None:
        restrict(self.world, "hide", user)
        self.hidden.add(user)
        self.tell(user, is_hinted)

    @rule(user=users, is_hinted=st.booleans())
    def show(self, user: str, is_hinted: bool) -> None:
        restrict(self.world, "show", user)
        self.hidden.discard(user)
        self.tell(user, is_hinted)

    def tell(self, user: str, is_hinted: bool) -> None:
        if is_hinted:
            hint(self.world, user)

    def teardown(self) -> None:
        if not (hasattr(self, "hands") and hasattr(self, "banned")):
            super().teardown()
            return
        for hand in self.hands:
            if hand.stands:
                hand.go_on()
        for (user,) in self.world.rows("SELECT user_id FROM restriction WHERE hinted <> revision"):
            hint(self.world, user)
        hand = self.free(0)
        hand.drain()
        self.world.execute("UPDATE ailing SET retry_at = now()")
        hand.relay.repairs.retry_set_aside(hand.session)
        hand.drain()
        # A board whose key has another type is found by sampling, later.
        if not self.spoilt:
            for season in SEASONS:
                rows = [row for row in self.world.expected(season) if not self.is_away(season, row[0])]
                assert self.world.board(season) == rows
                assert {user: score for user, score, _ in rows} == {
                    user: score for (name, user), score in self.scores.items()
                    if name == season and not self.is_away(season, user)
                }  # fmt: skip
                wanted = {
                    segment: [row for row in rows if not self.is_away(season, row[0])]
                    for segment, rows in filtered(self.world, season).items()
                }
                assert held(self.world, season) == {segment: rows for segment, rows in wanted.items() if rows}
            report = compare(self.world.settings, wait_s=0.0)
            assert report.equal, report.differences
        # All comes back.
        for user in {*self.banned, *self.hidden}:
            restrict(self.world, "unban", user)
            restrict(self.world, "show", user)
            hint(self.world, user)
        super().teardown()


@pytest.mark.filterwarnings("default::hypothesis.errors.HypothesisWarning")
@pytest.mark.parametrize("examples", [4, pytest.param(15, marks=pytest.mark.walk)])
def test_boards_are_those_of_the_players_who_may_be_seen(world: World, examples: int) -> None:
    run_model(world, Moderated, examples)
