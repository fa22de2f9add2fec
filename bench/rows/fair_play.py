"""The rows of fair play, on a board of many players: how soon a ban is seen, what a correction costs submissions."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection
from typing import Final

import msgspec

from bench.load.open_loop import OpenLoad, run_in_background
from bench.rows import read
from bench.rows.figures import Measure, Results, percentile
from bench.rows.submit import POOL, run_load
from bench.system.run_options import RunOptions
from bench.system.stack import Stack, do_nothing
from bench.system.totals import audit, read_season_totals
from ctl.http_client import Client

NAMES: Final = ("ban", "void")
PAUSE_S: Final = (0.005, 0.055)
"""Bounds of the random pause between two bans."""
VOIDED: Final = 10_000
"""Players whose submissions ``void`` takes away."""
BATCH: Final = 1_000
CHEATED: Final = 10**9
"""What each of them submitted, far more than any other."""
LOOK_S: Final = 0.05
APPLIED_WITHIN_S: Final = 300.0


def measure(options: RunOptions, wanted: Collection[str]) -> Results:
    """``ban``: from sending a ban until a read has not found the player.

    ``void``: a closed loop of POSTs to another season, while a correction takes away submissions of `VOIDED` players,
    and without it.
    """
    for name in NAMES:
        if name in wanted:
            with options.stack() as stack:
                read.fill_board(stack, options)
                stack.checkpoint()
                with stack.relays(), stack.api() as client:
                    stack.wait(lambda: read.count_players(client) == options.players, do_nothing, read.LOADED_WITHIN_S)
                    work = measure_bans if name == "ban" else measure_void
                    yield name, work(stack, options, client)


def measure_bans(stack: Stack, options: RunOptions, client: Client) -> Measure:
    """Bans of players of all ranks, during an open-loop load of writes to the same board."""
    dice = random.Random(options.seed)
    banned = dice.sample(range(options.players), min(options.samples, options.players))
    load = OpenLoad(stack.url, read.SEASON, options.rate, options.seed, key=stack.settings.key)
    gone_ms, answered_ms, faults = [], [], []
    with run_in_background(load) as paced:
        for number in banned:
            time.sleep(dice.uniform(*PAUSE_S))
            one = ban(stack, client, f"{read.PLAYER}{number}")
            gone_ms.append(one.gone_s * 1000)
            answered_ms.append(one.answered_s * 1000)
            faults += [one.fault] if one.fault else []
    (done,) = paced
    stack.wait_until_empty()
    rows = int(
        stack.value("SELECT count(*) FROM score JOIN season USING (period_id) WHERE season_id = %s", (read.SEASON,))
    )
    if (players := read.count_players(client)) != rows - len(banned):
        faults.append(f"{players:,} players are shown of {rows:,}, of whom {len(banned)} are banned")
    faults = faults[:3] + stack.find_differences()
    figures = {f"p{percent}_ms": percentile(gone_ms, percent) for percent in (50, 90, 99)}
    figures |= {
        "max_ms": max(gone_ms),
        "answer_p50_ms": percentile(answered_ms, 50),
        "answer_p99_ms": percentile(answered_ms, 99),
        "write_p99_ms": done.all.p99_ms,
    }
    checks = (
        f"{len(banned)} bans: no read after the answer finds the player, and the board has all others",
        "PostgreSQL and Redis are consistent",
    )
    return Measure(figures, () if faults else checks, tuple(faults), invalid=done.invalid())


class Banned(msgspec.Struct, frozen=True):
    """Seconds from sending a ban until a read has not found the player, and until its answer."""

    gone_s: float
    answered_s: float
    fault: str = ""


def ban(stack: Stack, client: Client, user: str) -> Banned:
    """Ban a player, and read the rank without a pause meanwhile."""
    path = f"{read.PATH}/rank?userId={user}"
    answers: list[tuple[int, float]] = []
    started = time.perf_counter()

    def ask() -> None:
        asking = Client(stack.url, stack.settings.key)
        status, _ = asking.ask("POST", f"/v1/players/{user}/ban", {"reason": "a measurement"})
        answers.append((status, time.perf_counter() - started))
        asking.close()

    request = threading.Thread(target=ask)
    request.start()
    gone_s = 0.0
    while not gone_s and (request.is_alive() or not answers):
        status, _ = client.ask("GET", path)
        gone_s = time.perf_counter() - started if status == 404 else 0.0
    request.join()
    banned, answered_s = answers[0]
    shown, _ = client.ask("GET", path)
    fault = "" if (banned, shown) == (200, 404) else f"the ban of {user} answers {banned}, its rank {shown} afterwards"
    return Banned(gone_s or time.perf_counter() - started, answered_s, fault)


def measure_void(stack: Stack, options: RunOptions, client: Client) -> Measure:
    """POSTs per second without a correction, during it, and again without."""
    players = min(VOIDED, options.players)
    since = str(stack.value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"))
    faults = submit_cheats(client, players)
    stack.wait_until_empty()
    season = "beside"
    run_load(stack, options, season, read.WARM_S, POOL, 0)
    rates: list[float] = []
    longest: list[float] = []

    def post(work: Callable[[], None] = do_nothing) -> None:
        stack.wait_until_empty()
        stack.checkpoint()
        before = read_season_totals(stack, season).ledger
        worker = threading.Thread(target=work)
        worker.start()
        done = run_load(stack, options, season, options.seconds, POOL, 0)
        worker.join()
        stack.wait_until_empty()
        faults.extend(audit(read_season_totals(stack, season), before + done.accepted, done.errors))
        figures = done.figures(options.seconds)
        rates.append(figures["per_s"])
        longest.append(figures["max_ms"])

    took: list[tuple[float, str]] = []
    post()
    post(lambda: took.append(void_cheats(stack, since, players)))
    post()
    seconds, fault = took[0] if took else (0.0, "the correction was not made")
    faults += [fault] if fault else []
    alone = (rates[0] + rates[2]) / 2
    # The board's own rows have no submissions, so nothing is left of the others.
    if (shown := read.count_players(client)) != options.players - players:
        faults.append(f"{shown:,} players are shown, not {options.players - players:,}")
    faults += stack.find_differences()
    figures = {
        "share": rates[1] / alone if alone else 0.0,
        "per_s": rates[1],
        "alone_per_s": alone,
        "post_max_ms": longest[1],
        "seconds": seconds,
        "players": float(players),
    }
    checks = (f"{players:,} submissions do not count, and all others do", "PostgreSQL and Redis are consistent")
    return Measure(figures, () if faults else checks, tuple(faults))


def submit_cheats(client: Client, players: int) -> list[str]:
    """A submission of each of the first players of the board that puts it ahead of all."""
    faults = []
    for first in range(0, players, BATCH):
        items = [{"userId": f"{read.PLAYER}{n}", "delta": CHEATED} for n in range(first, min(first + BATCH, players))]
        status, body = client.ask("POST", f"/v1/seasons/{read.SEASON}/scores/batch", {"submissions": items})
        if status != 200:
            faults.append(f"a batch answers {status} {body[:100]!r}")
    return faults


def void_cheats(stack: Stack, since: str, players: int) -> tuple[float, str]:
    """Take away all submissions since a time; seconds until the board shows it, and what went wrong, if anything."""
    client = Client(stack.url, stack.settings.key)
    wanted = {"seasonId": read.SEASON, "reason": "a measurement", "filter": {"from": since}, "action": "void"}
    started = time.perf_counter()
    status, body = client.ask("POST", "/v1/corrections", {**wanted, "confirm": players})
    if status != 202:
        return 0.0, f"the correction answers {status} {body[:200]!r}"
    path = f"/v1/corrections/{msgspec.json.decode(body)['id']}"
    while (state := msgspec.json.decode(client.ask("GET", path)[1])["state"]) == "running":
        if time.perf_counter() - started > APPLIED_WITHIN_S:
            return 0.0, f"the correction was not applied after {APPLIED_WITHIN_S:.0f} s"
        time.sleep(LOOK_S)
    return time.perf_counter() - started, "" if state == "applied" else f"the correction is {state}"
