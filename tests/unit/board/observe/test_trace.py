"""Trace context as the W3C has it, and spans as log lines."""

from __future__ import annotations

import logging

import pytest

from board.config.load import load
from board.errors import InvalidSetting
from board.observe.log_tracer import LogTracer
from board.observe.trace import Context, sampled
from board.observe.tracers import tracer_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "text",
    [
        f"00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-ff",  # flags to come
        f"cc-{TRACE}-{SPAN}-01",  # versions to come
        f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like",
    ],
)
def test_a_good_one_is_understood_and_written_as_version_0(text: str) -> None:
    context = sampled(text)
    assert context == Context(TRACE, SPAN)
    assert context.text == f"00-{TRACE}-{SPAN}-01"
    with pytest.raises(AttributeError):
        context.span_id = TRACE  # type: ignore[misc]


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"00-{TRACE}-{SPAN}-00",  # its sender does not record it
        f"00-{TRACE}-{SPAN}-fe",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 201}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-01, 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-\u06601",  # digits of another script
        f"00_{TRACE}_{SPAN}_01",
    ],
)
def test_a_bad_one_is_as_none(text: str) -> None:
    assert sampled(text) is None


def test_a_span_is_a_line_that_has_its_place(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="board.observe.log_tracer")
    first = LogTracer().begin("submitScore", Context(TRACE, SPAN), 1_000_000_000)
    first.end(1_002_500_000, status=202)
    LogTracer().begin("carry", first.context, 1, partition=7).end(1_000_001)
    one, other = caplog.records
    assert one.getMessage() == "submitScore took 2.500 ms, status 202"
    assert (one.trace_id, one.parent_id) == (TRACE, SPAN)  # type: ignore[attr-defined]
    assert other.getMessage() == "carry took 1.000 ms, partition 7"
    assert (other.trace_id, other.parent_id) == (TRACE, one.span_id)  # type: ignore[attr-defined]
    assert one.span_id != other.span_id != SPAN  # type: ignore[attr-defined]


def test_without_the_setting_nothing_is_traced() -> None:
    assert tracer_of(load({}), "api") is None


@pytest.mark.parametrize("missing", ["opentelemetry.sdk", "opentelemetry"])
def test_without_the_packages_the_error_says_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(name: str) -> object:
        if missing == "opentelemetry":
            raise ModuleNotFoundError(name)
        return None if name == missing else object()

    monkeypatch.setattr("board.config.consistency.find_spec", find_spec)
    with pytest.raises(InvalidSetting, match=r"pip install 'leaderboard-server\[otel\]'"):
        load({"LEADERBOARD_TRACES": "otlp"})
    load({"LEADERBOARD_TRACES": "log"})
