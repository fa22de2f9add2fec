"""The judge of what counts: each submission in the seasons that it reaches, rows, answers. No code of the product."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from faults.history import Answer, History, Submission
from faults.model import Row, Rule, Run, counting

if TYPE_CHECKING:
    from faults.judge import Breaches, Store

Counted = dict[tuple[int, str], list[Run]]
"""The rows of the ledger of a submission in a season, by both."""


def count(history: History, ledger: list[Run], breaches: Breaches) -> Counted:
    """Which submission counts in which seasons: I1, I2 and feeds.

    The ledger tells a period, whose season may be forgotten. Its fold tells which of the reached seasons it was.
    """
    counted: Counted = defaultdict(list)
    for run in ledger:
        one = history.submissions.get(run.op)
        if one is None or one.user != run.user:
            continue
        for season, rule in history.reached(one.season).items():
            if rule.fold == run.fold:
                counted[one.op, season].append(run)
                if run.value != one.value or rule.pack(one.columns) != run.columns:
                    breaches["I2"].append(f"submission {one.op} counts in {season} as {run.value} {run.columns.hex()}")
    for one in history.submissions.values():
        judge_submission(history, one, counted, breaches)
    return counted


def judge_submission(history: History, one: Submission, counted: Counted, breaches: Breaches) -> None:
    """It counts once in each season that it reaches and that takes it, or nowhere."""
    skips = history.skips(one)
    found = {season: len(counted.get((one.op, season), ())) for season in history.reached(one.season)}
    name = f"submission {one.op} of {one.user}"
    if one.answers and not found[one.season]:
        breaches["I1"].append(f"{name} was acknowledged and is not in the ledger")
    for season, n in found.items():
        if n > 1:
            breaches["I2"].append(f"{name} counts {n} times in {season}")
        if n and season in skips:
            breaches["feeds"].append(f"{name} counts in {season}, which has to refuse it: {skips[season]}")
    if any(found.values()) and not one.answers and not one.unknown:
        breaches["I2"].append(f"{name} was refused and counts")
    missing = [season for season, n in found.items() if not n and season not in skips]
    if missing and any(found.values()):
        breaches["feeds"].append(f"{name} counts in a part of its seasons, and not in {missing}")
    if len(one.answers) > 1:
        breaches["I2"].append(f"submission {one.op} got different answers: {sorted(map(repr, one.answers))}")
    for answer in one.answers:
        if answer.skipped != tuple(sorted(skips.items())):
            breaches["feeds"].append(f"{name} was told to be skipped by {answer.skipped}, not {skips}")


def judge_rows(history: History, store: Store, counted: Counted, breaches: Breaches) -> None:
    """Rows are those of the ledger, by the season's rule, and so are metadata and columns; I2."""
    for season, rows in store.rows.items():
        rule, period = history.rule(season), store.current[season]
        for row in rows:
            where = f"{season}/{row.user} has {row.score} {row.columns.hex()} of submission {row.reached}"
            if not (mine := store.runs.get((period, row.user), [])):
                breaches["I2"].append(f"{where}, its ledger nothing")
            elif rule.operator == "sum":
                judge_sum(rule, row, mine, where, breaches)
            else:
                run = counting(rule, mine)
                if (row.score, row.columns, row.reached) != (run.value, run.columns, run.number):
                    told = f"{run.value} {run.columns.hex()} of {run.number}"
                    breaches["I2"].append(f"{where}, its ledger {told}")
                elif rule.columns and store.metadata.get((period, row.user)) != (run.number, run.op):
                    breaches["I2"].append(f"{where}, with metadata of {store.metadata.get((period, row.user))}")
    judge_sums_told(history, counted, breaches)


def judge_sum(rule: Rule, row: Row, mine: list[Run], where: str, breaches: Breaches) -> None:
    """A row of a sum. It shows the columns of the run with the highest number."""
    total = sum(run.value for run in mine)
    if total != row.score or (row.submissions and len(mine) != row.submissions):
        breaches["I2"].append(f"{where} from {row.submissions}, its ledger {total} from {len(mine)}")
    if rule.columns and row.columns != max(mine).columns:
        breaches["I2"].append(f"{where}, its latest run has {max(mine).columns.hex()}")


def judge_sums_told(history: History, counted: Counted, breaches: Breaches) -> None:
    """Every acknowledged sum was one on the way to the row; I2. Fed submissions were told nothing of it."""
    by_player: dict[tuple[int, str], list[tuple[Submission, bool]]] = defaultdict(list)
    for (op, season), runs in counted.items():
        one = history.submissions[op]
        if history.rule(season).operator == "sum":
            for run in runs:
                by_player[run.period, one.user].append((one, one.season == season))
    for (_, user), several in by_player.items():
        told = sorted((a.score, one.op, one.value) for one, is_own in several if is_own for a in one.answers)
        sure = all(one.answers and is_own for one, is_own in several)
        before = 0
        for score, op, value in told:
            start = score - value
            if start < before or (sure and start != before):
                breaches["I2"].append(f"submission {op} of {user} was told {score}, after {before}")
            before = score


def judge_runs_told(history: History, store: Store, counted: Counted, breaches: Breaches) -> None:
    """Answers about the best or the last run: score, version, the score before, and whether the row is better; I2.

    Rows change in the order of their numbers. So those who changed a player's row make a chain.
    """
    chains: dict[tuple[str, int, str], list[tuple[Run, Answer]]] = defaultdict(list)
    for one in history.submissions.values():
        rule = history.rule(one.season)
        if rule.operator == "sum":
            continue
        for answer in one.answers:
            if len(runs := counted.get((one.op, one.season), [])) == 1:
                shown = store.by_number.get((runs[0].period, answer.version))
                judge_answer(rule, one, runs[0], shown, answer, breaches)
                if shown == runs[0]:
                    chains[one.season, shown.period, one.user].append((shown, answer))
    for (season, period, user), links in chains.items():
        judge_chain(
            history, store.runs[period, user], season, sorted(links, key=lambda link: link[0]), counted, breaches
        )


def judge_answer(rule: Rule, one: Submission, own: Run, shown: Run | None, answer: Answer, breaches: Breaches) -> None:
    """One answer by itself. `shown` is the run whose number is the version."""
    name = f"submission {one.op} of {one.value} {own.columns.hex()}"
    if shown is None or shown.user != one.user or shown.value != answer.score:
        breaches["I2"].append(f"{name} was told {answer.score} of {answer.version}, not {shown and shown.value}")
        return
    is_best = rule.operator == "best"
    if is_best and rule.better(shown.value, shown.columns) < rule.better(own.value, own.columns):
        breaches["I2"].append(f"{name} was told {answer.score} {shown.columns.hex()}, which is worse")
    if shown != own and (answer.improved or answer.previous != answer.score):
        breaches["I2"].append(f"{name} changed nothing, and was told {answer}")
    if shown == own and is_best and not answer.improved:
        breaches["I2"].append(f"{name} counts, and was told {answer}")


def judge_chain(
    history: History,
    mine: list[Run],
    season: str,
    links: list[tuple[Run, Answer]],
    counted: Counted,
    breaches: Breaches,
) -> None:
    """The submissions that changed one player's row, by their numbers. `mine` are all of the player's runs."""
    rule = history.rule(season)
    own = {run.number for link in mine for run in counted.get((link.op, season), ()) if run.period == link.period}
    ones = [history.submissions.get(run.op) for run in mine]
    # Each submission was answered, and none came by a feed: then the chain is whole.
    sure = len(own) == len(mine) and all(one and one.answers and one.season == season for one in ones)
    before: Run | None = None
    for run, answer in links:
        told = f"submission {run.op} of {run.user} in {season} was told {answer.previous}, {answer.improved}"
        if sure:
            wanted: Any = before.value if before else None
            key = rule.better(run.value, run.columns)
            is_better = before is None or key > rule.better(before.value, before.columns)
            if (answer.previous, answer.improved) != (wanted, is_better):
                breaches["I2"].append(f"{told} after {wanted}, where {is_better} is right")
        elif answer.previous is None:
            if before is not None:
                breaches["I2"].append(f"{told} after {before.value}")
        elif not any(other.value == answer.previous and other.number < run.number for other in mine):
            breaches["I2"].append(f"{told}, which no earlier run had")
        elif before and rule.operator == "best" and rule.turn(answer.previous) < rule.turn(before.value):
            breaches["I2"].append(f"{told} after {before.value}, which is better")
        before = run
