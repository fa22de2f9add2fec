"""The record of what clients asked and were told, as the judge reads it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from faults.model import PLAIN, Rule, reach, rule_of


class Answer(NamedTuple):
    """What a submission was told, whole: a retry has to get all of it again."""

    score: int
    version: int
    previous: int | None
    improved: bool | None
    period: int | None
    skipped: tuple[tuple[str, str], ...]
    """The fed seasons that refused it, each with the code of the error."""


def answer_of(event: Mapping[str, Any]) -> Answer:
    """The answer in an event."""
    skipped = tuple(sorted((one["seasonId"], one["code"]) for one in event.get("skipped", ())))
    previous, improved, period = event.get("previousScore"), event.get("improved"), event.get("period")
    return Answer(event["score"], event["version"], previous, improved, period, skipped)


class Submission:
    """All tries of one submission."""

    def __init__(self, first: dict[str, Any]) -> None:
        self.op: int = first["op"]
        self.season: str = first["season"]
        self.user: str = first["user"]
        self.value: int = first.get("value", self.op)
        self.columns: dict[str, int] = first.get("columns") or {}
        self.began: float = first["t"]
        self.answered: float | None = None
        self.tries = 0
        self.unknown = 0
        self.answers: set[Answer] = set()


class History:
    """Submissions by number, reads and resets in order of their end."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.submissions: dict[int, Submission] = {}
        self.reads: list[dict[str, Any]] = []
        self.heard: list[dict[str, Any]] = []
        """What each listener has in the end."""
        self.resets: list[dict[str, Any]] = []
        self.moves: dict[int, dict[str, Any]] = {}
        """Changes of players' attributes by `op`, but for those that certainly did not happen."""
        self.rules: dict[str, Rule] = {}
        self.lines = 0
        self.since = 0.0
        """No submission is older, in seconds since 1970; a minute is left for clocks."""
        begun: dict[int, float] = {}
        for line in lines:
            event = json.loads(line)
            self.lines += 1
            op, kind = event["op"], event["kind"]
            if event["do"] == "define":
                self.rules[event["season"]] = rule_of(event)
                self.since = self.since or event.get("clock", 60.0) - 60.0
            elif event["do"] == "listen":
                self.heard.append(event)
            elif event["do"] == "submit":
                self._add_try(event)
            elif event["do"] == "move":
                self._add_move(event)
            elif kind == "invoke":
                begun[op] = event["t"]
                if event["do"] == "reset":
                    self.resets.append(event | {"began": event["t"], "ended": float("inf"), "kind": "unknown"})
            elif event["do"] == "reset":
                self.resets[-1] |= {"kind": kind, "ended": event["t"] if kind != "unknown" else float("inf")}
            elif kind == "ok":
                self.reads.append(event | {"began": begun[op]})
        self.resets = [reset for reset in self.resets if reset["kind"] != "fail"]
        self._reached: dict[str, dict[str, Rule]] = {}

    def _add_try(self, event: dict[str, Any]) -> None:
        kind = event["kind"]
        if kind == "invoke":
            one = self.submissions.setdefault(event["op"], Submission(event))
            one.tries += 1
            one.unknown += 1
            return
        one = self.submissions[event["op"]]
        if kind != "unknown":
            one.unknown -= 1
        if kind == "ok":
            one.answers.add(answer_of(event))
            one.answered = one.answered or event["t"]

    def _add_move(self, event: dict[str, Any]) -> None:
        kind, op = event["kind"], event["op"]
        if kind == "invoke":
            self.moves[op] = event | {"began": event["t"], "ended": float("inf")}
        elif kind == "ok":
            self.moves[op]["ended"] = event["t"]
        elif kind == "fail":
            del self.moves[op]

    def rule(self, season: str) -> Rule:
        """The rule of a season."""
        return self.rules.get(season, PLAIN)

    def seasons(self) -> set[str]:
        """All seasons that the history is about."""
        told = {one.season for one in self.submissions.values()} | {reset["season"] for reset in self.resets}
        return told | set(self.rules)

    def reached(self, season: str) -> dict[str, Rule]:
        """The seasons in which a submission to this one counts, itself first."""
        if season not in self._reached:
            found = [season, *sorted(reach(season, self.rules))]
            self._reached[season] = {name: self.rule(name) for name in found}
        return self._reached[season]

    def skips(self, one: Submission) -> dict[str, str]:
        """The fed seasons that have to refuse a submission, with the code of the error."""
        found = {
            season: rule.refuse(one.value, one.columns)
            for season, rule in self.reached(one.season).items()
            if season != one.season
        }
        return {season: code for season, code in found.items() if code is not None}
