"""Log lines carry no credentials."""

from __future__ import annotations

import io
import json
import logging
from typing import Literal

import pytest

from board.observe.log import JsonLine, masked, setup
from service.access.key_text import make_key

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLXBhcnQ"


def test_keys_and_tokens_are_masked() -> None:
    key, parts = make_key()
    secret = key.removeprefix(f"lb_{parts.id}_")
    for text in (key, f"Authorization: Bearer {key}", f"['authorization', b'bearer {TOKEN}']", TOKEN, f"x={key}&y"):
        assert secret not in masked(text)
        assert "eyJzdWI" not in masked(text)
    for text in ("?ticket=lbt_xKZzdHJlYW0&limit=1", "Bearer lbp_xKZzdHJlYW0", "a lbs_xKZzdHJlYW0."):
        assert "xKZ" not in masked(text)
    # Whose key it was may be seen: the id is public.
    assert parts.id in masked(f"key {key} is not valid")


@pytest.mark.parametrize("text", ["", "lb_", "lb:{17}:board", "a bearer", "eyJ", "the lb_score is 12"])
def test_other_text_is_left_alone(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_is_logged_is_masked(monkeypatch: pytest.MonkeyPatch, form: Literal["text", "json"]) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers = []
    try:
        setup("info", form)
        key, _ = make_key()
        try:
            raise ValueError(key)
        except ValueError as error:
            logging.getLogger("service").error("failed with %s", key, exc_info=error, extra={"request_id": key})
    finally:
        root.handlers, root.level = before, level
    assert key not in stream.getvalue()
    assert stream.getvalue().count("******") >= 3
    assert stream.getvalue().count("\n") == 1


def test_json_lines_keep_the_text_and_show_nothing_that_hides() -> None:
    record = logging.LogRecord("service", logging.INFO, "", 0, "said %s", ("a\u202eb\x9bc\nd",), None)
    line = JsonLine().format(record)
    assert "\\u202eb\\u009bc\\nd" in line and json.loads(line)["message"] == "said a\u202eb\x9bc\nd"


def test_nothing_quoted_forges_a_line_or_speaks_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers = []
    try:
        setup("info", "text")
        logging.getLogger("service").warning("said %s", "a\rb\x1b[2Jc\x9bd\u2028e\tf é\u202eg")
    finally:
        root.handlers, root.level = before, level
    assert stream.getvalue().endswith("said a\\x0db\\x1b[2Jc\\x9bd\\u2028e\tf é\\u202eg\n")
