"""The SQL files: each query is in one of them, each file says its subject."""

from __future__ import annotations

from importlib.resources import files

import pytest

from board.pg.queries import parse_names, queries, query_files


def test_a_name_that_is_there_twice_is_refused_with_both_files() -> None:
    with pytest.raises(ValueError, match=r"^query claim is in relay\.sql and in rebuild\.sql$"):
        parse_names([("relay.sql", "-- name: claim --\nSELECT 1\n"), ("rebuild.sql", "-- name: claim --\nSELECT 2\n")])


def test_a_query_is_in_the_file_of_its_feature() -> None:
    found = query_files()
    assert found["submit"] == "submissions.sql"
    assert found["take"] == "relay.sql"
    assert found["schema_versions"] == "migrations.sql"


def test_every_name_has_a_text() -> None:
    assert set(query_files()) <= set(queries())
    assert all(text and not text.startswith(b"-- name") for text in queries().values())


def test_a_query_has_a_text_for_each_variant_it_needs() -> None:
    texts = queries()
    assert {"submit", "submit_keyed", "submit_traced", "take", "take_traced"} <= set(texts)
    assert "take_keyed" not in texts and "claim_traced" not in texts
    assert b"%(digests)s" not in texts["submit"] and b"%(traces)s" not in texts["submit_keyed"]
    assert b"%(digests)s" in texts["submit_keyed"] and b"%(traces)s" in texts["submit_traced"]


@pytest.mark.parametrize("name", sorted(set(query_files().values())))
def test_a_file_begins_with_its_subject(name: str) -> None:
    text = files("board.pg.sql").joinpath(name).read_text(encoding="utf-8")
    assert text.startswith("-- ") and not text.startswith("-- name:")
