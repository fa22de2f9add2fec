"""Periods that end again and again while players submit: each answer names the period that its submission counts in."""

from __future__ import annotations

import json
import threading
from collections import Counter
from typing import Final

from support.http import JSON, Http, base
from support.periods import GRID, end_now, events_of, put
from support.processes import Api, relaying, serving
from support.waiting import eventually
from support.world import World

CLIENTS: Final = 6
ENDS: Final = 20


class Load:
    """Clients that submit until told to stop: single submissions, retries of them, and batches."""

    def __init__(self, api: Api) -> None:
        self.api: Final = api
        self.counted: Final[Counter[tuple[int, str]]] = Counter()
        self.submissions = 0
        self.failures: Final[list[str]] = []
        self._stop = threading.Event()
        self._lock: Final = threading.Lock()
        self._threads: Final = [threading.Thread(target=self._submit, args=(n,)) for n in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _submit(self, number: int) -> None:
        with self.api.client() as http:
            turn = 0
            while not self._stop.is_set():
                turn += 1
                if turn % 3:
                    self._post(http, f"p{turn % 5}", f"{number}-{turn}")
                else:
                    self._post_batch(http, [f"p{turn % 5}", "q", "q"])

    def _post(self, http: Http, user: str, key: str) -> None:
        body = json.dumps({"userId": user, "delta": 1}).encode()
        answers = [http.post_raw("s", body, {**JSON, "Idempotency-Key": key}) for _ in range(2)]
        if answers[0].status != 202 or answers[0].json != answers[1].json:
            self.failures.append(str(answers))
            return
        self._count([(answers[0].json["period"], user)])

    def _post_batch(self, http: Http, users: list[str]) -> None:
        body = json.dumps({"submissions": [{"userId": user, "delta": 1} for user in users]}).encode()
        answer = http.ask("POST", f"{base('s')}/scores/batch", body, JSON)
        results = answer.json.get("results", [])
        if not results or any(result["status"] != 202 for result in results):
            self.failures.append(str(answer))
            return
        self._count([(result["period"], result["userId"]) for result in results])

    def _count(self, cells: list[tuple[int, str]]) -> None:
        with self._lock:
            self.counted.update(cells)
            self.submissions += len(cells)


def test_each_answer_names_the_period_that_its_submission_counts_in(world: World) -> None:
    with relaying(world), serving(world, "/readyz", LEADERBOARD_WORKERS="2") as api, api.client() as http:
        put(http, "s", schedule=GRID)
        with Load(api) as load:
            for number in range(1, ENDS + 1):
                before = load.submissions
                eventually(lambda before=before: load.failures or load.submissions > before + CLIENTS)
                end_now(world, "s", "clock_timestamp()")
                eventually(lambda number=number: load.failures or len(events_of(world, "s")) == number)
        assert load.failures == []
        assert events_of(world, "s") == list(range(1, ENDS + 1))
        eventually(lambda: len(events_of(world, "s", "period.closed")) == ENDS)
        rows = world.rows("SELECT number, user_id, score FROM score JOIN period USING (period_id)")
        assert {(number, user): score for number, user, score in rows} == dict(load.counted)
        assert world.value("SELECT count(*) FROM ledger") == load.submissions
        assert len({number for number, _, _ in rows}) == ENDS + 1, "each period has some"
        standings = world.rows("SELECT number, user_id, score FROM standing JOIN period USING (period_id)")
        assert sorted(standings) == sorted(row for row in rows if row[0] <= ENDS)
        live = {user: count for (number, user), count in load.counted.items() if number == ENDS + 1}
        eventually(lambda: {item["userId"]: item["score"] for item in http.top("s").json["items"]} == live)
