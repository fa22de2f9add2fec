"""The judge of segments: attributes of players, boards of those who have the same, and reads of such boards.

Like `faults.judge`, it shares no code with the product.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from faults.history import History
from faults.model import entry_of, place

if TYPE_CHECKING:
    from faults.judge import Breaches, Store


def judge_moves(history: History, store: Store, breaches: Breaches) -> None:
    """A player's attributes are those of a change that no later one, which was acknowledged, has followed; I1."""
    by_player: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for move in history.moves.values():
        by_player[move["user"]].append(move)
    for user, moves in by_player.items():
        last = max((move["began"] for move in moves if move["ended"] < float("inf")), default=None)
        if last is None:
            continue
        may_stand = [move["attributes"] for move in moves if move["ended"] >= last]
        if (found := store.attributes.get(user)) not in may_stand:
            breaches["I1"].append(f"{user} has {found}, and was given {may_stand}")


def judge_segments(history: History, store: Store, client: Any, prefix: str, breaches: Breaches) -> None:
    """The boards of segments in Redis are the rows of those who have the value, and all notes say so; I3."""
    for season in store.current:
        rule, wanted = history.rule(season), defaultdict[str, list[Any]](list)
        names: dict[str, list[str]] = defaultdict(list)
        for row in store.rows.get(season, []):
            for name in rule.segments:
                if value := store.attributes.get(row.user, {}).get(name):
                    wanted[f"{name}:{value}"].append(place(rule, row))
                    names[row.user].append(f"{name}:{value}")
        tag = f"{prefix}:{{{zlib.crc32(season.encode()) % 64}}}:"
        found = {}
        for key in client.scan_iter(match=f"{tag}s:{season}\n*", count=1000):
            found[key.decode().partition("\n")[2]] = [
                entry_of(member, double, len(rule.columns))
                for member, double in client.zrange(key, 0, -1, withscores=True)
            ]
        if found != (right := {segment: sorted(rows) for segment, rows in wanted.items()}):
            odd = sorted(segment for segment in found.keys() | right.keys() if found.get(segment) != right.get(segment))
            breaches["I3"].append(f"{season}: {len(odd)} segments differ, {odd[:3]}")
        numbers = {segment.decode(): int(number) for segment, number in client.hgetall(f"{tag}v:{season}").items()}
        held = {user.decode(): text.decode().split("\n") for user, text in client.hgetall(f"{tag}g:{season}").items()}
        if numbers != {segment: len(rows) for segment, rows in wanted.items()} or held != names:
            breaches["I3"].append(f"{season}: the notes of its segments differ")


def judge_segment_reads(history: History, breaches: Breaches) -> None:
    """A read of a segment shows only players who were given its value before the answer; I8."""
    given: dict[tuple[str, str], float] = {}
    for move in history.moves.values():
        for name, value in move["attributes"].items():
            key = (move["user"], f"{name}:{value}")
            given[key] = min(given.get(key, float("inf")), move["began"])
    for read in history.reads:
        if read["do"] == "segment":
            for user in read.get("users", ()):
                if given.get((user, read["segment"]), float("inf")) > read["t"]:
                    breaches["I8"].append(f"read {read['op']} shows {user} in {read['segment']}, who was never in it")
