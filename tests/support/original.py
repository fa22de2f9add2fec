"""A program with the contract and the storage of the original service, as the bench starts it beside ours.

Run as a program it reads POSTGRES_DSN and REDIS_ADDR (the path of a Unix socket), as the original's does, and PORT.
With LIES=1 its ranks are too high.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import redis

SCHEMA = """
CREATE TABLE score_events (season_id text NOT NULL, user_id text NOT NULL, delta bigint NOT NULL);
CREATE TABLE outbox (id bigserial PRIMARY KEY, event_type text NOT NULL, payload jsonb NOT NULL,
    status text NOT NULL DEFAULT 'pending');
"""
TICK_S = 0.01
LIE = int(os.environ.get("LIES", "0"))


class Handler(BaseHTTPRequestHandler):
    """The five routes and the probe."""

    protocol_version = "HTTP/1.1"
    store = threading.local()

    @property
    def db(self) -> psycopg.Connection[Any]:
        """A connection of this thread."""
        if not hasattr(self.store, "db"):
            self.store.db = psycopg.connect(os.environ["POSTGRES_DSN"], autocommit=True)
        found: psycopg.Connection[Any] = self.store.db
        return found

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def answer(self, status: int, body: Any) -> None:
        """Send an answer."""
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        """Write a submission and its outbox row in one transaction."""
        season = self.path.split("/")[3]
        got = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.db.transaction():
            self.db.execute("INSERT INTO score_events VALUES (%s, %s, %s)", (season, got["userId"], got["delta"]))
            payload = json.dumps({"seasonId": season, **got})
            self.db.execute("INSERT INTO outbox (event_type, payload) VALUES ('score_delta', %s)", (payload,))
        self.answer(202, {"seasonId": season, "userId": got["userId"], "queued": True})

    def do_GET(self) -> None:
        """Answer a read."""
        parts = urlsplit(self.path)
        if parts.path == "/readyz":
            self.answer(200, {"status": "ready"})
            return
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        board = f"lb:{parts.path.split('/')[3]}"
        if parts.path.endswith("/top"):
            self.answer(200, {"items": entries(board, 0, int(query["limit"]) - 1)})
            return
        rank = boards.zrevrank(board, query["userId"])
        if rank is None:
            self.answer(404, {"error": "not found"})
        elif parts.path.endswith("/rank"):
            score = int(boards.zscore(board, query["userId"]))
            self.answer(200, {"rank": rank + 1 + LIE * 10_000, "score": score})
        else:
            side = int(query["range"])
            self.answer(200, {"items": entries(board, max(0, rank - side), rank + side)})


def entries(board: str, first: int, last: int) -> list[dict[str, Any]]:
    """Rows of a board, best first."""
    found = boards.zrevrange(board, first, last, withscores=True)
    return [{"rank": n, "userId": user.decode(), "score": int(s)} for n, (user, s) in enumerate(found, first + 1)]


def apply(stopped: threading.Event) -> None:
    """Carry the outbox to Redis."""
    with psycopg.connect(os.environ["POSTGRES_DSN"], autocommit=True) as db:
        while not stopped.wait(TICK_S):
            with db.transaction():
                found = db.execute("SELECT id, payload FROM outbox WHERE status = 'pending' LIMIT 5000").fetchall()
                pipe = boards.pipeline()
                for _, p in found:
                    pipe.zincrby(f"lb:{p['seasonId']}", p["delta"], p["userId"])
                pipe.execute()
                db.execute("UPDATE outbox SET status = 'done' WHERE id = ANY(%s)", ([number for number, _ in found],))


def serve(run: Callable[[threading.Event], None]) -> None:
    """Serve until the process is ended."""
    threading.Thread(target=run, args=(threading.Event(),), daemon=True).start()
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()


if __name__ == "__main__":
    boards = redis.Redis(unix_socket_path=os.environ["REDIS_ADDR"])
    serve(apply)
