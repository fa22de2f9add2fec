"""A rebuild that waits long for PostgreSQL gives signs of life: its supervisor leaves it alone."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from support.relays import S, equal
from support.waiting import eventually
from support.world import World

from board.process.beats import Beat, Beats
from relay.rebuild import rebuild
from relay.session import RelaySession


def test_a_rebuild_that_waits_for_its_first_row_gives_signs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("board.process.beats.WAIT_BEAT_S", 0.01)
    world.submit(("s", "ada", 1), ("s", "bob", 2))
    beats = Beats(1)
    session = RelaySession(
        world.settings.database_url,
        world.settings.redis_url,
        world.keys,
        limit=1_000,
        redis_timeout_s=10,
        beat=Beat.inherit(beats.environment(0)),
    )
    server = session.db.info.backend_pid
    os.kill(server, signal.SIGSTOP)
    try:
        thread = threading.Thread(target=rebuild, args=(session, S))
        thread.start()
        eventually(lambda: beats.read(0) > 20)
        assert thread.is_alive()
    finally:
        os.kill(server, signal.SIGCONT)
    thread.join(30)
    session.close()
    assert not thread.is_alive() and equal(world)
