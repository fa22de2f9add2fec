"""What docs/faq.md says of boards: the SQL that removes a player, and the order of an import."""

from __future__ import annotations

import json
import re
from typing import Final

import psycopg
from support.http import JSON, base
from support.processes import leaderboard, serving
from support.relays import carrying
from support.repository import REPOSITORY
from support.waiting import eventually
from support.world import World

FAQ: Final = (REPOSITORY / "docs" / "faq.md").read_text(encoding="utf-8")


def removal() -> list[str]:
    """The statements of the page."""
    (block,) = re.findall(r"^```sql\n(.*?)^```$", FAQ, re.MULTILINE | re.DOTALL)
    return [statement for statement in block.split(";") if statement.strip()]


def test_a_player_is_removed_from_every_board_and_the_ledger(world: World) -> None:
    with carrying(world), serving(world, "/readyz") as api, api.client() as http:
        for season in ("s", "t", "old"):
            for user, delta in (("ada", 30), ("grace", 20), ("linus", 10)):
                assert http.post(season, user, delta).status == 202
        assert http.delete("old").status == 200
        for season in ("s", "t"):
            eventually(lambda s=season: world.board(s) == world.expected(s))  # type: ignore[misc]
        with psycopg.connect(world.settings.database_url, autocommit=True) as db:
            for statement in removal():
                db.execute(statement.encode())
        for season in ("s", "t"):
            path = f"{base(season)}/leaderboard/rank?userId="
            eventually(lambda p=path: http.get(p + "ada").json.get("code") == "player-not-found")  # type: ignore[misc]
            assert http.get(path + "grace").json["rank"] == 1
        done = leaderboard(world, "verify")
        assert done.returncode == 0, done.stdout + done.stderr
        for table in ("score", "ledger", "outbox"):
            assert world.value(f"SELECT count(*) FROM {table} WHERE user_id = 'ada'") == 0
        assert world.value("SELECT count(*) FROM ledger") == 6
        assert http.post("s", "ada", 1).json["score"] == 1
        eventually(lambda: world.board("s") == world.expected("s"))


def test_of_equal_scores_in_a_batch_the_earlier_one_ranks_higher(world: World) -> None:
    users = [f"p{number * 7 % 50}" for number in range(50)]
    items = [{"userId": user, "delta": 5, "submissionId": user} for user in users]
    body = json.dumps({"submissions": items}).encode()
    with carrying(world), serving(world, "/readyz") as api, api.client() as http:
        for _ in range(2):
            assert http.ask("POST", f"{base('s')}/scores/batch", body, JSON).status == 200
        eventually(lambda: len(world.board("s")) == 50)
        assert [item["userId"] for item in http.top("s", 50).json["items"]] == users
