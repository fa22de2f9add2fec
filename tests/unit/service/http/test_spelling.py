"""Numbers of 64 bits as texts, wherever they are in an answer; what clients have sent stays as it is."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from service.contract.answers import Answer
from service.http.spelling import SPELLED_JSON, make_spelled, spell


@pytest.mark.parametrize("name", ["score", "version", "previousScore", "from", "to"])
def test_these_members_are_texts(name: str) -> None:
    assert spell({name: 5, "other": 5}) == {name: "5", "other": 5}
    assert spell([{"a": {name: -(2**63)}}]) == [{"a": {name: str(-(2**63))}}]
    assert spell({name: None}) == {name: None}


def test_columns_are_texts_and_what_clients_have_sent_stays() -> None:
    assert spell({"a": {"b": 5}, "z": {"b": 5}}) == {"a": {"b": 5}, "z": {"b": 5}}
    assert spell({"columns": {"time": 5, "score": 6}}) == {"columns": {"time": "5", "score": "6"}}
    assert spell({"columns": [{"name": "time", "to": 1}]}) == {"columns": [{"name": "time", "to": "1"}]}
    for name in ("metadata", "attributes"):
        assert spell({name: {"score": 5, "columns": {"a": 1}}}) == {name: {"score": 5, "columns": {"a": 1}}}
    assert spell(5) == 5 and spell("score") == "score"


def spelled(answer: Answer) -> Answer:
    async def order(body: bytes | None) -> Answer:
        assert body == b"asked"
        return answer

    return asyncio.run(_answer(make_spelled(order)))


async def _answer(order: Any) -> Answer:
    found: Answer = await order(b"asked")
    return found


def test_an_answer_has_a_media_type_of_its_own() -> None:
    found = spelled(Answer(200, b'{"score":7}', etag='"1"'))
    assert found == Answer(200, b'{"score":"7"}', media_type=SPELLED_JSON, etag='"1"')
    assert msgspec.json.decode(found.body) == {"score": "7"}


OTHERS = ("application/problem+json", "application/cbor")


@pytest.mark.parametrize("answer", [Answer(304, b""), *(Answer(400, b'{"score":7}', kind) for kind in OTHERS)])
def test_errors_and_empty_answers_stay_as_they_are(answer: Answer) -> None:
    assert spelled(answer) is answer
