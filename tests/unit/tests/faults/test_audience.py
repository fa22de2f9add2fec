"""The listeners of the faults: whatever they wait for has a deadline."""

from __future__ import annotations

import asyncio

import pytest
from faults import audience
from faults.audience import Audience, poll
from support.waiting import eventually


def test_a_wait_ends_with_its_deadline() -> None:
    asyncio.run(poll(lambda: True, 0.0, "nothing"))
    with pytest.raises(AssertionError, match=r"a miracle did not come within 0 s"):
        asyncio.run(poll(lambda: False, 0.1, "a miracle"))


def test_an_audience_that_nobody_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "THERE_MOST_S", 0.1)
    with Audience(0, [], streams=0, polls=0) as forgotten:

        def is_told() -> bool:
            try:
                return not forgotten.check()
            except AssertionError as error:
                return "the end of the audience did not come" in str(error)

        eventually(is_told)
