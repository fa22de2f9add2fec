"""The contract with uvicorn: every private name that the service relies on is there, and behaves as it is relied on."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from importlib.metadata import requires, version
from pathlib import Path

import pytest
import uvicorn
from packaging.requirements import Requirement
from uvicorn.protocols.http import flow_control, httptools_impl
from uvicorn.server import ServerState

import service
from service.http.uvicorn_seam import RELIED_ON, FastCycle, HttpProtocol


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


async def app(scope: object, receive: object, send: object) -> None:
    """Never asked."""


def protocol(loop: asyncio.AbstractEventLoop) -> HttpProtocol:
    config = uvicorn.Config(app, lifespan="off", log_config=None, proxy_headers=False)
    config.load()
    return HttpProtocol(config, ServerState(), {}, _loop=loop)


@pytest.mark.parametrize("name", RELIED_ON["HttpToolsProtocol"])
def test_the_protocol_has_what_is_relied_on(loop: asyncio.AbstractEventLoop, name: str) -> None:
    assert hasattr(protocol(loop), name)


@pytest.mark.parametrize(
    ("kind", "owner"),
    [
        (httptools_impl.RequestResponseCycle, "RequestResponseCycle"),
        (ServerState, "ServerState"),
        (flow_control.FlowControl, "FlowControl"),
    ],
)
def test_the_other_classes_set_what_is_relied_on(kind: type, owner: str) -> None:
    source = inspect.getsource(kind)
    for name in RELIED_ON[owner]:
        assert f"self.{name}" in source or f"def {name}(" in source, f"{owner}.{name}"


def test_a_request_of_the_fast_path_has_what_the_protocol_reads_of_one() -> None:
    read_by_protocol = set(RELIED_ON["RequestResponseCycle"]) - {"response_started", "scope"}
    assert read_by_protocol <= {*FastCycle.__slots__, *vars(FastCycle)}


def test_no_other_module_of_the_service_touches_the_protocol_of_uvicorn() -> None:
    private = (
        "server_state",
        "self.cycle.",
        "self.flow",
        "self.pipeline",
        "message_event",
        "_start_asgi_task",
        "app_state",
    )
    for path in Path(inspect.getfile(service)).parent.rglob("*.py"):
        if path.name == "uvicorn_seam.py":
            continue
        text = path.read_text(encoding="utf-8")
        assert "uvicorn.protocols" not in text and "uvicorn.server" not in text, path
        assert not [name for name in private if name in text], path


def test_uvicorn_is_pinned_to_its_minor_release() -> None:
    wanted = next(one for one in map(Requirement, requires("leaderboard-server") or ()) if one.name == "uvicorn")
    major, minor, *_ = version("uvicorn").split(".")
    assert wanted.specifier.contains(f"{major}.{minor}.99")
    assert not wanted.specifier.contains(f"{major}.{int(minor) + 1}.0")
