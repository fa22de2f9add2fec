"""The fuzzer's corpus, in every run of the suite: both implementations agree about it, and it reaches each kernel."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz.calls import NAMES, call_of, differences, outcome
from fuzz.run import BOUND, CORPUS
from hypothesis import given, settings
from hypothesis import strategies as st
from support.absent import absent
from support.repository import REPOSITORY

import _speedups
from _speedups import _py

INPUTS = sorted(CORPUS.iterdir())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_both_implementations_agree_about_the_corpus(path: Path) -> None:
    try:
        from _speedups import _c
    except ImportError as error:
        absent(f"the compiled kernels are not built: {error}")
    assert list(differences(_c, _py, path.read_bytes())) == []


def test_the_corpus_has_an_answer_and_an_error_of_every_kernel() -> None:
    assert {*NAMES, "IMPLEMENTATION"} == set(_speedups.__all__)
    calls = [call_of(path.read_bytes()) for path in INPUTS]
    found = {(name, outcome(_py, name, arguments)[0]) for name, arguments, _ in calls}
    assert found == {(name, kind) for name in NAMES for kind in ("answer", "error")}


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_call(data: bytes) -> None:
    name, arguments, _ = call_of(data)
    outcome(_py, name, arguments)


def test_the_bound_that_the_proof_takes_out_is_there() -> None:
    file, text, _ = BOUND
    assert (REPOSITORY / "_speedups" / file).read_text().count(text) == 1
