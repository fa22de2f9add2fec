"""The worker's sign of life for gunicorn's master: a file in memory, by gunicorn's own reckoning."""

from __future__ import annotations

import os
import tempfile
import time

import pytest
from gunicorn.glogging import Logger

from board.config.load import load
from service.server import Server
from service.worker import Heartbeat, Worker


def test_a_heartbeat_needs_no_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a temporary file is made")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    server = Server(load({"DATABASE_URL": "postgresql://x@localhost/x", "REDIS_URL": "redis://localhost"}))
    worker = Worker(1, os.getpid(), [], server, 15.0, server.cfg, Logger(server.cfg))
    assert isinstance(worker.tmp, Heartbeat)
    worker.notify()
    assert 0 <= time.monotonic() - worker.tmp.last_update() < 10
    worker.tmp.close()
