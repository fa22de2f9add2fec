"""Runs the fault matrix: ``python -m faults.run`` (``make test-faults``, ``make soak``).

For each fault: fresh seasons, clients that play all the time, several rounds of the fault at random moments, the time
until the service is whole again after each, then silence and the judge. Prints the seed; a seed replays the same plan.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from support.repository import REPOSITORY
from support.waiting import eventually

from faults import clients, infra, keepers, live, unable, under_run
from faults.audience import Audience
from faults.generate import Generator
from faults.history import History
from faults.injections import FAULTS, Fault, progress
from faults.judge import judge
from faults.rig import Rig

OPS_OF_A_FAULT: Final = 10_000_000
MATRIX: Final = (infra, unable, under_run, clients, keepers, live)
"""The modules that enter their faults in `FAULTS`, after those of `faults.injections`."""


class Outcome(msgspec.Struct, frozen=True):
    """What one fault did and what the judge said. Times in seconds; `breaches` without those that are excused."""

    fault: str
    rounds: int
    operations: int
    acknowledged: int
    refused: int
    unknown: int
    lost: int
    doubled: int
    heal_s: list[float]
    settled_s: float
    breaches: dict[str, list[str]]
    excused: dict[str, int]
    seconds: float
    history: str
    figures: dict[str, Any] = {}


STREAMS: Final = 6
POLLS: Final = 3
"""Listeners of each season, in a fault with listeners."""
Place = Rig | under_run.RunRig
"""Where the load goes."""


def read_history(path: Path) -> History:
    """The history that a file has so far."""
    with path.open() as lines:
        return History(lines)


def whole(rig: Place, seasons: list[str], rng: random.Random, deadline_s: float) -> float:
    """Seconds until a new submission to every partition touched is accepted and visible."""
    began = time.monotonic()
    left = seasons if len(seasons) <= 8 else rng.sample(seasons, 8)

    def ask(method: str, path: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{rig.port}/v1/seasons/{path}", body, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return json.load(answer)
        except (OSError, urllib.error.URLError):
            return None

    for season in left:
        probe = f"probe{rng.randrange(10**9)}"
        # Deltas of probes are below those of any fault's operations, so the judge does not count them.
        body = b'{"userId":"%b","delta":1}' % probe.encode()
        accepted = eventually(partial(ask, "POST", f"{season}~probe/scores", body), deadline_s)

        def shown(path: str, version: int) -> bool:
            rank = ask("GET", path)
            return rank is not None and rank["version"] >= version

        path = f"{season}~probe/leaderboard/rank?userId={probe}"
        eventually(partial(shown, path, accepted["version"]), deadline_s)
        # And the season under load itself answers.
        eventually(partial(ask, "GET", f"{season}/leaderboard/top"), deadline_s)
    return time.monotonic() - began


def attempt(
    rig: Place, fault: Fault, number: int, seed: str, directory: Path, rounds: int, patience_s: float
) -> Outcome:
    """One fault from beginning to verdict."""
    unwell: list[str] = []
    began = time.monotonic()
    rng = random.Random(f"{seed} {fault.name}")
    history = directory / f"{number:02d}.jsonl"
    heals: list[float] = []
    load = Generator(
        rig.port,
        history,
        seed=f"{seed}-{number}",
        seasons=fault.seasons,
        resets=fault.resets,
        end=partial(keepers.end_period, rig) if fault.ends else None,
        hang_ups=0.0 if fault.no_failure else 0.01,
        first_op=(number + 1) * OPS_OF_A_FAULT,
        give_up_s=patience_s,
    )
    with ExitStack() as stack:
        stack.enter_context(load)
        audience = Audience(rig.port, load.seasons if fault.listeners else [], streams=STREAMS, polls=POLLS)
        stack.enter_context(audience)
        try:
            progress(load, 100)
            for _ in range(rounds):
                load.resume()
                progress(load)
                fault.inject(rig, rng, load)
                heals.append(whole(rig, load.seasons, rng, patience_s))
        except AssertionError as error:
            # Something that had to happen by itself did not: progress, a restart, an answer.
            unwell.append(f"not whole: {error}")
        load.stop()
        silent = time.monotonic()
        told = read_history(history)
        found = judge(told, rig.database_url, rig.redis_url)
        # The backlog drains and altered boards are mended by themselves; I3 and I5 are judged when that is over.
        while (
            any(found[name] for name in ("I3", "I5", "I6", "I7", "ends", "leader"))
            and time.monotonic() - silent < patience_s
        ):
            time.sleep(0.1)
            found = judge(told, rig.database_url, rig.redis_url)
        settled = time.monotonic() - silent
        if audience.heard:
            # Not before: with a backlog, listeners agree with a board that is still to change.
            audience.settle(patience_s)
            audience.note(history)
            told = read_history(history)
            found = judge(told, rig.database_url, rig.redis_url)
    found["I5"] += unwell
    if fault.no_failure and (load.refused or load.unknown):
        found["I5"].append(f"{load.refused} requests refused and {load.unknown} unanswered where none may fail")
    if fault.no_refusal and load.refused:
        found["I5"].append(f"{load.refused} requests refused where none may be")
    excused = {name: len(found[name]) for name in fault.excuses if found[name]}
    return Outcome(
        fault=fault.name,
        rounds=rounds,
        operations=told.lines,
        acknowledged=load.acknowledged,
        refused=load.refused,
        unknown=load.unknown,
        lost=0 if "I1" in fault.excuses else len(found["I1"]),
        doubled=0 if "I2" in fault.excuses else len(found["I2"]),
        heal_s=[round(h, 3) for h in heals],
        settled_s=round(settled, 3),
        breaches={name: lines[:20] for name, lines in found.items() if lines and name not in fault.excuses},
        excused=excused,
        seconds=round(time.monotonic() - began, 1),
        history=str(history),
        figures=load.figures,
    )


def line(outcome: Outcome) -> str:
    """One row of the table that is printed."""
    verdict = "ok" if not outcome.breaches else "BROKEN " + ", ".join(outcome.breaches)
    if outcome.excused:
        verdict += " (suspended: " + ", ".join(f"{name} {n}" for name, n in outcome.excused.items()) + ")"
    heals = outcome.heal_s or [0.0]
    return (
        f"{outcome.fault:48} {outcome.rounds:3} {outcome.acknowledged:7,} {outcome.refused:7,} {outcome.unknown:6,} "
        f"{outcome.lost:5} {outcome.doubled:5} {statistics.median(heals):6.2f} {max(heals):6.2f} "
        f"{outcome.settled_s:7.2f}  {verdict}"
    )


HEAD: Final = (
    f"{'fault':48} {'n':>3} {'acked':>7} {'refused':>7} {'unknwn':>6} {'lost':>5} {'twice':>5} {'heal':>6} {'max':>6} "
    f"{'settle':>7}  verdict"
)


def plan(arguments: argparse.Namespace, rng: random.Random) -> Iterator[tuple[Fault, int]]:
    """Which faults, how many rounds of each."""
    chosen = [f for f in FAULTS.values() if not arguments.only or any(o in f.name for o in arguments.only)]
    for fault in chosen:
        if lack := lacking(fault.needs):
            print(f"{fault.name}: left out, {lack}", flush=True)
    chosen = [fault for fault in chosen if not lacking(fault.needs)]
    if arguments.minutes:
        until = time.monotonic() + arguments.minutes * 60
        while time.monotonic() < until:
            yield rng.choice(chosen), 1
        return
    for fault in chosen * (8 if arguments.until_broken else 1):
        yield fault, 1 if arguments.short else fault.rounds * arguments.times


def lacking(need: str) -> str:
    """What this machine lacks for a fault that needs something; empty if nothing. In CI nothing may be lacking."""
    missing = {
        "root": "it mounts a small file system, which only root may" if os.geteuid() else "",
        "compiler": "" if shutil.which("cc") else "there is no C compiler",
        "history": "" if known(infra.OLDER) else f"commit {infra.OLDER} is not in this clone",
    }.get(need, "")
    if missing and os.environ.get("CI"):
        raise SystemExit(f"CI must have everything: {missing}")
    return missing


def known(commit: str) -> bool:
    """Whether the repository has a commit."""
    found = subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=REPOSITORY, capture_output=True)
    return found.returncode == 0


@contextmanager
def kept(directory: Path | None) -> Iterator[Path]:
    """A directory for servers and histories; one that was not asked for is removed when all is well."""
    made = directory or Path(tempfile.mkdtemp(prefix="lb-faults-"))
    made.mkdir(parents=True, exist_ok=True)
    made.chmod(0o711)
    yield made
    if directory is None:
        shutil.rmtree(made)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(prog="python -m faults.run", description=(__doc__ or "").splitlines()[0])
    made.add_argument("--seed", default=os.environ.get("SEED") or f"{random.SystemRandom().randrange(10**8):08d}")
    made.add_argument("--only", action="append", help="faults whose name contains this (repeatable)")
    made.add_argument("--short", action="store_true", help="one round of each, for CI")
    made.add_argument("--times", type=int, default=1, help="so many times the usual rounds")
    made.add_argument("--minutes", type=float, help="soak: faults at random for so long")
    made.add_argument("--json", type=Path, metavar="FILE", help="write a report for `python -m faults.page`")
    made.add_argument("--keep", type=Path, metavar="DIRECTORY", help="where servers and histories are kept")
    made.add_argument("--tree", type=Path, default=Path.cwd(), help="the source under test")
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the product")
    made.add_argument("--heal-within", type=float, default=60.0, metavar="SECONDS", help="longer is a breach")
    made.add_argument("--until-broken", action="store_true", help="repeat up to eight times, end with the first breach")
    made.add_argument("--list", action="store_true", help="list the faults and end")
    return made


def main(argv: list[str]) -> int:
    """Run; 1 if an invariant broke."""
    arguments = parser().parse_args(argv)
    if arguments.list:
        print("\n".join(FAULTS))
        return 0
    rng = random.Random(arguments.seed)
    print(f"seed {arguments.seed}; replay with SEED={arguments.seed}", flush=True)
    outcomes: list[Outcome] = []
    began = time.time()
    with kept(arguments.keep) as directory:
        settings = dict(setting.partition("=")[::2] for setting in arguments.set)
        with Rig(directory, arguments.tree, **settings) as rig, ExitStack() as stack:
            run: under_run.RunRig | None = None
            print(f"{rig.postgres.installation.label}, {rig.redis.installation.label}\n{HEAD}", flush=True)
            servers = [rig.postgres.installation.label, rig.redis.installation.label]
            for number, (fault, rounds) in enumerate(plan(arguments, rng)):
                if fault.under_run and run is None:
                    run = under_run.RunRig(rig, stack)
                place = run if fault.under_run and run is not None else rig
                outcomes.append(attempt(place, fault, number, arguments.seed, directory, rounds, arguments.heal_within))
                print(line(outcomes[-1]), flush=True)
                for name, found in outcomes[-1].breaches.items():
                    for text in found[:5]:
                        print(f"    {name}: {text}")
                if arguments.until_broken and outcomes[-1].breaches:
                    break
        broken = [outcome for outcome in outcomes if outcome.breaches]
        report = {
            "seed": arguments.seed,
            "date": time.strftime("%Y-%m-%d", time.gmtime(began)),
            "seconds": round(time.time() - began),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "servers": servers,
            "outcomes": msgspec.to_builtins(outcomes),
        }
        if arguments.json:
            arguments.json.write_text(json.dumps(report, indent=1) + "\n")
        injected = sum(outcome.rounds for outcome in outcomes)
        print(
            f"{injected} faults, {sum(o.acknowledged for o in outcomes):,} submissions acknowledged, "
            f"{sum(o.lost for o in outcomes)} lost, {sum(o.doubled for o in outcomes)} doubled, "
            f"{len(broken)} of {len(outcomes)} groups broken, {report['seconds']} s"
        )
        if broken:
            stays = directory if arguments.keep else Path(shutil.move(directory, f"{directory}-broken"))
            print(f"histories and logs: {stays}; replay with SEED={arguments.seed} ONLY='{broken[0].fault}'")
            if not arguments.keep:
                directory.mkdir()
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
