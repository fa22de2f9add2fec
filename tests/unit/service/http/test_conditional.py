"""`If-None-Match`: the client that has the answer already gets no body."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from service.contract.answers import Answer
from service.http.conditional import is_held, make_conditional


@pytest.mark.parametrize(
    ("header", "held"),
    [
        ('"a"', True),
        ('W/"a"', True),
        ('"b", W/"a"', True),
        ("*", True),
        (" * ", True),
        ('"b"', False),
        ('"aa"', False),
        ("a", False),
        ("", False),
        ('"*"', False),
    ],
)
def test_a_tag_is_held_if_the_list_names_it(header: str, held: bool) -> None:
    assert is_held('"a"', header) is held


def asked(answer: Answer, if_none_match: str) -> Answer:
    async def order(body: bytes | None) -> Answer:
        return answer

    async def run() -> Any:
        return await make_conditional(order, if_none_match)(None)

    found: Answer = asyncio.run(run())
    return found


def test_an_answer_that_is_held_has_no_body() -> None:
    answer = Answer(200, b"{}", etag='"a"', headers=(("x", "y"),))
    assert asked(answer, '"a"') == Answer(304, b"", etag='"a"', headers=(("x", "y"),))
    assert asked(answer, '"b"') is answer


def test_an_answer_without_a_tag_is_sent() -> None:
    answer = Answer(404, b"{}")
    assert asked(answer, "*") is answer
