"""Clients that submit, and keep account of the answers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from support.http import Answer, Http
from support.processes import Api
from support.waiting import eventually
from support.world import World


@contextmanager
def clients(api: Api, number: int) -> Iterator[list[Http]]:
    """So many connections."""
    made = [api.client() for _ in range(number)]
    try:
        yield made
    finally:
        for http in made:
            http.connection.close()


def read_by_now(api: Api) -> None:
    """The one worker has read what was sent to it before: its loop has answered something sent later."""
    with api.client() as http:
        for _ in range(3):
            assert http.get("/livez").status == 200


def problem(answer: Answer, status: int, *codes: str) -> None:
    """A problem of this status, with a promise when to come back if it is a 503."""
    assert answer.status == status, (answer.status, answer.body)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["code"] in codes
    assert answer.json["error"]
    assert ("retry-after" in answer.headers) == (status == 503)
    if status == 503:
        assert int(answer.headers["retry-after"]) >= 1


class Accounts:
    """Many clients that post each player once, and note what they were told."""

    def __init__(self, api: Api, threads: int = 6) -> None:
        self.api = api
        self.told: dict[str, int] = {}
        self.lock = threading.Lock()
        self.enough = threading.Event()
        self.threads = [threading.Thread(target=self.client, args=(n,)) for n in range(threads)]
        for thread in self.threads:
            thread.start()

    def client(self, number: int) -> None:
        n = 0
        with self.api.client() as http:
            while not self.enough.is_set():
                n += 1
                user = f"c{number} {n}"
                try:
                    status = http.post("s", user, 1).status
                except OSError:
                    status = 0
                except Exception as error:  # noqa: BLE001 - any other failure of the client is an unknown outcome as well
                    status = 0 if type(error).__module__ == "http.client" else -1
                with self.lock:
                    self.told[user] = status
                if status in (0, 503):
                    self.enough.wait(0.005)

    def accepted(self) -> int:
        with self.lock:
            return sum(status == 202 for status in self.told.values())

    def more(self, number: int = 50) -> None:
        """Wait until so many more have been accepted."""
        before = self.accepted()
        eventually(lambda: self.accepted() >= before + number, 20)

    def stop(self) -> None:
        self.enough.set()
        for thread in self.threads:
            thread.join(30)

    def settle(self, world: World) -> Counter[int]:
        """Compare what was told with what PostgreSQL has; how often each status was told."""
        self.stop()
        written = Counter(user for (user,) in world.rows("SELECT user_id FROM ledger"))
        assert not {user for user, times in written.items() if times > 1}, "counted twice"
        assert written == Counter({user: score for user, score, _ in world.expected("s")})
        for user, status in self.told.items():
            if status == 202:
                assert user in written, f"{user} was acknowledged and is lost"
            elif status in (503, 400, 409):
                assert user not in written, f"{user} was refused and is written"
            else:
                assert status in (0, 504), f"{user} got {status}"
        assert set(written) <= set(self.told)
        return Counter(self.told.values())


def queued_together(world: World, api: Api, posts: list[tuple[str, int]]) -> list[Answer]:
    """Answers to posts that all went into one batch, in this order."""
    with clients(api, len(posts) + 1) as many:
        with world.held("s"):
            many[-1].send_post("s", "plug", 1)
            eventually(lambda: world.waiting() == 1)
            for http, (user, delta) in zip(many, posts, strict=False):
                http.send_post("s", user, delta)
                read_by_now(api)
        assert many[-1].receive().status == 202
        return [http.receive() for http in many[:-1]]
