"""Clients that play against the service and write down, as JSON lines, what they asked and what they were told.

A line is an event: `invoke` when a request is sent; then `ok`, `fail` (the answer says for certain that nothing
happened) or `unknown` (no answer, a broken connection, 504). A submission is named by its `op`, which is also its
`delta`, or the end of its `score`, or in its metadata, so every row of the ledger tells which submission wrote it.
Tries of one submission share the `op`. Seasons are of several kinds (`faults.kinds`); what an event calls `define`
tells the rule of one. The end of a period by its schedule or by hand is a `reset`, too. A `move` gives a player other
attributes, and so other segments; a `segment` is the top list of one.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from faults.connection import Connection, Unanswered
from faults.kinds import definition_of, depth_of, draw_attributes, draw_run, is_default, kind_of

CLIENTS: Final = 24
PLAYERS: Final = 400
HOT: Final = 4
TOLD: Final = ("score", "version", "previousScore", "improved", "period", "skipped")
"""The members of an answer that a retry has to get again."""


class Generator:
    """`rate` operations a second in all, over seasons of its own. Runs in a thread until `stop`."""

    def __init__(
        self,
        port: int,
        history: Path,
        *,
        seed: str,
        rate: float = 400.0,
        seasons: int = 4,
        resets: bool = False,
        end: Callable[[str], bool] | None = None,
        hang_ups: float = 0.01,
        first_op: int = 1,
        give_up_s: float = 60.0,
    ) -> None:
        self.port: Final = port
        self.rate: Final = rate
        self.seasons: Final = [f"{seed}-{n}" for n in range(seasons)]
        self.kinds: Final = {season: kind_of(n) for n, season in enumerate(self.seasons)}
        self.hang_ups = hang_ups
        self.give_up_s: Final = give_up_s
        self.resets: Final = resets
        self.end: Final = end
        """Lets the end of a season's period come; True once readers are shown the next one."""
        self.acknowledged = 0
        self.refused = 0
        self.unknown = 0
        self.resets_sent = 0
        self.resetting = True
        """Whether seasons are being reset, where `resets` asks for it."""
        self.figures: dict[str, Any] = {}
        """What a fault has measured, by name; of several rounds a list."""
        self._seed: Final = seed
        self._values: Final = [f"{seed} {letter}" for letter in "abcd"]
        """Values of attributes. Players may have those of other histories, too."""
        self._file: Final = history.open("w", buffering=1 << 16)
        self._op = first_op
        self._seen: Final[dict[str, list[str]]] = {season: [] for season in self.seasons}
        self._again: Final[deque[tuple[str, str]]] = deque()
        self._stop: Final = threading.Event()
        self._hold: Final = threading.Event()
        self._parked = 0
        self._thread: Final = threading.Thread(target=lambda: asyncio.run(self._play()), daemon=True)
        self._failed: BaseException | None = None

    def __enter__(self) -> Generator:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Finish what is under way (submissions with a key are retried until they are answered), then end.

        Further calls do nothing.
        """
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join()
        self._file.close()
        if self._failed is not None:
            raise self._failed

    def pause(self) -> None:
        """Wait until every client has finished what it was about, and keep them all from going on."""
        self._hold.set()
        while self._parked < CLIENTS + self.resets + (self.end is not None):
            self.check()
            time.sleep(0.005)

    def resume(self) -> None:
        """Go on."""
        self._hold.clear()

    def note_end(self, season: str) -> None:
        """Note that a period of the season ends at some time from now on. Only while the clients are paused."""
        self._op += 1
        about = {"op": self._op, "client": CLIENTS + 1, "do": "reset", "season": season}
        self._note("invoke", about)
        self._note("unknown", about)

    def repeat(self, found: Iterable[tuple[str, str]]) -> None:
        """Let the clients' next submissions be for these players: season and user of each."""
        self._again.extend((season, user) for season, user in found if season in self.kinds)

    async def _rest(self, seconds: float) -> None:
        """Between two operations; longer while the clients are held."""
        await asyncio.sleep(seconds)
        if self._hold.is_set():
            self._parked += 1
            while self._hold.is_set() and not self._stop.is_set():
                await asyncio.sleep(0.005)
            self._parked -= 1

    def measure(self, name: str, value: float) -> None:
        """Note a figure of one round."""
        self.figures.setdefault(name, []).append(value)

    def check(self) -> bool:
        """True; raises what ended a client that should not have ended."""
        if self._failed is not None:
            raise self._failed
        return True

    # --- the clients

    async def _play(self) -> None:
        try:
            await self._define()
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits
            self._failed = error
            return
        clients = [asyncio.create_task(self._client(n)) for n in range(CLIENTS)]
        if self.resets:
            clients.append(asyncio.create_task(self._resetter(CLIENTS)))
        if self.end is not None:
            clients.append(asyncio.create_task(self._ender(CLIENTS + 1, self.end)))
        try:
            await asyncio.gather(*clients)
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits
            self._failed = error

    async def _define(self) -> None:
        """Define the seasons, until each is: first those that others feed. A submission creates the default one."""
        connection, rng = Connection(self.port), random.Random(f"{self._seed} define")
        for number in sorted(range(len(self.seasons)), key=depth_of):
            season = self.seasons[number]
            definition = definition_of(number, self.seasons, ends=self.end is not None)
            until = time.monotonic() + self.give_up_s
            status = 200 if is_default(number) and self.end is None else 0
            while status not in (200, 201):
                assert time.monotonic() < until, f"{season} cannot be defined: {status}"
                try:
                    await connection.send("PUT", f"/v1/seasons/{season}", json.dumps(definition).encode())
                    status, _ = await connection.receive()
                except (OSError, Unanswered):
                    await asyncio.sleep(0.05)
            self._note("ok", {"op": 0, "do": "define", "season": season, "clock": time.time(), **definition})
            while is_default(number) and not self._seen[season]:
                assert time.monotonic() < until, f"{season} cannot be created"
                await self._submit(connection, 0, rng, season)
        connection.drop()

    async def _client(self, number: int) -> None:
        rng = random.Random(f"{self._seed} {number}")
        connection = Connection(self.port)
        while not self._stop.is_set():
            await self._rest(rng.expovariate(self.rate / CLIENTS))
            if self._again:
                await self._submit(connection, number, rng, *self._again.popleft())
                continue
            season = rng.choice(self.seasons)
            kind = rng.random()
            if kind < 0.60:
                await self._submit(connection, number, rng, season)
            elif kind < 0.66:
                await self._batch(connection, number, rng, season)
            elif kind < 0.84 and self._seen[season]:
                await self._read(connection, number, "rank", season, rng.choice(self._seen[season]))
            elif kind < 0.90:
                await self._read(connection, number, "top", season)
            elif kind < 0.93:
                await self._move(connection, number, rng)
            elif kind < 0.96 and self.kinds[season].segments:
                segment = f"{rng.choice(self.kinds[season].segments)}:{rng.choice(self._values)}"
                await self._read(connection, number, "segment", season, segment=segment)
            elif self._seen[season]:
                await self._read(connection, number, "around", season, rng.choice(self._seen[season]))
        connection.drop()

    def _player(self, rng: random.Random, op: int) -> str:
        """Hot players, ordinary ones, and some that play once: what is wrong with them no later score hides."""
        kind = rng.random()
        if kind < 0.3:
            return f"hot{rng.randrange(HOT)}"
        return f"once{op}" if kind < 0.35 else f"p{rng.randrange(PLAYERS)}"

    async def _submit(
        self, connection: Connection, client: int, rng: random.Random, season: str, user: str = ""
    ) -> None:
        self._op += 1
        op, user = self._op, user or self._player(rng, self._op)
        key = rng.choice(("", "", "header", "body"))
        item: dict[str, Any] = {"userId": user, **draw_run(rng, self.kinds[season], op)}
        about = {"op": op, "client": client, "do": "submit", "season": season, "keyed": bool(key), **said(item)}
        headers = ""
        if key == "header":
            headers = f'Idempotency-Key: "k{op}"\r\n'
        elif key == "body":
            item["submissionId"] = f"k{op}"
        body = json.dumps(item).encode()
        until = time.monotonic() + self.give_up_s
        while True:
            self._note("invoke", about)
            hang_up = rng.random() < self.hang_ups
            try:
                await connection.send("POST", f"/v1/seasons/{season}/scores", body, headers)
                if hang_up:
                    if rng.random() < 0.5 and connection.writer is not None:
                        await connection.writer.drain()
                    connection.drop()
                    raise Unanswered("hung up")
                status, answer = await connection.receive()
            except Unanswered:
                certain = self._told(about, None, None)
            except OSError:
                # The port is closed: not even a byte was sent.
                certain = self._told(about, 0, None)
            else:
                certain = self._told(about, status, answer)
            if certain is True:
                if len(self._seen[season]) < 2_000:
                    self._seen[season].append(user)
                return
            # Without a key only what is certain not to count may be sent again.
            if (certain is None and not key) or time.monotonic() > until:
                return
            await asyncio.sleep(rng.uniform(0.02, 0.2))

    async def _batch(self, connection: Connection, client: int, rng: random.Random, season: str) -> None:
        keyed = rng.random() < 0.5
        asked: list[tuple[dict[str, Any], dict[str, Any]]] = []
        for _ in range(rng.randrange(1, 20)):
            self._op += 1
            item = {"userId": self._player(rng, self._op), **draw_run(rng, self.kinds[season], self._op)}
            if keyed:
                item["submissionId"] = f"k{self._op}"
            about = {"op": self._op, "client": client, "do": "submit", "season": season, "keyed": keyed, **said(item)}
            asked.append((about, item))
        until = time.monotonic() + self.give_up_s
        while asked:
            items = [item for _, item in asked]
            for about, _ in asked:
                self._note("invoke", about)
            answer: Any = None
            try:
                path = f"/v1/seasons/{season}/scores/batch"
                await connection.send("POST", path, json.dumps({"submissions": items}).encode())
                status, answer = await connection.receive()
            except Unanswered:
                results: list[tuple[int | None, Any]] = [(None, None)] * len(asked)
            except OSError:
                results = [(0, None)] * len(asked)
            else:
                results = (
                    [(r["status"], r) for r in answer["results"]] if status == 200 else [(status, answer)] * len(asked)
                )
            left = []
            for pair, (status_of_item, told) in zip(asked, results, strict=True):
                certain = self._told(pair[0], status_of_item, told)
                if certain is True:
                    self._seen[season].append(pair[0]["user"])
                elif certain is False or keyed:
                    left.append(pair)
            asked = left
            if time.monotonic() > until:
                return
            if asked:
                await asyncio.sleep(rng.uniform(0.02, 0.2))

    async def _move(self, connection: Connection, client: int, rng: random.Random) -> None:
        """Give a player other attributes, once: it is never sent again, for another move may have come after it."""
        self._op += 1
        user = f"hot{rng.randrange(HOT)}" if rng.random() < 0.3 else f"p{rng.randrange(PLAYERS)}"
        about: dict[str, Any] = {"op": self._op, "client": client, "do": "move", "season": "", "user": user}
        about["attributes"] = attributes = draw_attributes(rng, self._values)
        self._note("invoke", about)
        status: int | None = None
        try:
            await connection.send("PUT", f"/v1/players/{user}", json.dumps({"attributes": attributes}).encode())
            status, _ = await connection.receive()
        except Unanswered:
            pass
        except OSError:
            status = 0
        kind = {200: "ok", 201: "ok", 0: "fail"}.get(-1 if status is None else status, "unknown")
        self.refused += status in (0, 503)
        self.unknown += kind == "unknown" and status != 503
        self._note(kind, about | {"status": status})

    async def _read(
        self, connection: Connection, client: int, do: str, season: str, user: str = "", segment: str = ""
    ) -> None:
        self._op += 1
        about = {"op": self._op, "client": client, "do": do, "season": season, "user": user, "segment": segment}
        path = f"/v1/seasons/{season}/leaderboard/{'top' if segment else do}"
        path += f"?userId={user}" if user else "?limit=1000"
        path += f"&segment={quote(segment, safe='')}" if segment else ""
        self._note("invoke", about)
        try:
            await connection.send("GET", path)
            status, answer = await connection.receive()
        except (Unanswered, OSError):
            self._note("unknown", about)
            return
        more: dict[str, Any] = {"status": status}
        if status == 200 and do == "rank":
            more |= {"score": answer["score"], "version": answer["version"], "columns": [answer.get("columns", {})]}
        elif status == 200:
            more |= {"users": [item["userId"] for item in answer["items"]]}
            more |= {name: [item[name[:-1]] for item in answer["items"]] for name in ("scores", "ranks")}
            more |= {"columns": [item.get("columns", {}) for item in answer["items"]]}
        self._note("ok" if status in (200, 404) else "fail", about | more)

    async def _resetter(self, client: int) -> None:
        """Resets one season after the other, each answered before the next; only the last season is spared."""
        rng = random.Random(f"{self._seed} reset")
        connection = Connection(self.port)
        while not self._stop.is_set():
            await self._rest(rng.uniform(0.3, 1.5))
            if not self.resetting:
                continue
            self._op += 1
            about = {"op": self._op, "client": client, "do": "reset", "season": rng.choice(self.seasons[:-1])}
            self._note("invoke", about)
            self.resets_sent += 1
            try:
                await connection.send("DELETE", f"/v1/seasons/{about['season']}")
                status, answer = await connection.receive()
            except (Unanswered, OSError):
                self._note("unknown", about)
                continue
            committed = status == 200
            pending = status == 503 and answer["code"] == "reset-pending"
            self._note("ok" if committed else "unknown" if pending or status == 504 else "fail", about)
        connection.drop()

    async def _ender(self, client: int, end: Callable[[str], bool]) -> None:
        """Lets periods of one season after the other end: by the schedule, or by hand."""
        rng = random.Random(f"{self._seed} end")
        connection = Connection(self.port)
        while not self._stop.is_set():
            await self._rest(rng.uniform(0.1, 0.6))
            self._op += 1
            season = rng.choice(self.seasons)
            about = {"op": self._op, "client": client, "do": "reset", "season": season}
            self._note("invoke", about)
            try:
                if rng.random() < 0.7:
                    done = await asyncio.to_thread(end, season)
                else:
                    await connection.send("POST", f"/v1/seasons/{season}/reset")
                    status, _ = await connection.receive()
                    done = status == 200
            except (Unanswered, OSError):
                done = False
            self._note("ok" if done else "unknown", about)
        connection.drop()

    # --- the history

    def _note(self, kind: str, about: dict[str, Any]) -> None:
        self._file.write(json.dumps({"t": time.monotonic(), "kind": kind, **about}) + "\n")

    def _told(self, about: dict[str, Any], status: int | None, answer: Any) -> bool | None:
        """Write down what became of a try: True counts, False certainly does not, None is unknown."""
        if status == 202:
            self.acknowledged += 1
            told = {name: answer[name] for name in TOLD if name in answer}
            self._note("ok", about | told)
            return True
        if status is None or (status >= 500 and status != 503):
            self.unknown += 1
            self._note("unknown", about | {"status": status})
            return None
        self.refused += 1
        self._note("fail", about | {"status": status, "code": (answer or {}).get("code")})
        return False


def said(item: dict[str, Any]) -> dict[str, Any]:
    """What an event tells of a submission."""
    value = item["score"] if "score" in item else item["delta"]
    return {"user": item["userId"], "value": value, "columns": item.get("columns")}
