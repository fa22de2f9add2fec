"""The named queries of ``board/pg/sql``.

A file holds the queries of one feature. A query begins with its name, ``-- name: claim --``, which is unique among all
files. Parameters are psycopg's: ``%(name)s``. Arrays of a submission travel as bytes (`board.pg.arrays`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Final

_HEAD: Final = r"(?m)^-- name: (\w+) --\n"
_BLOCKS: Final = re.compile(r"(?ms)^-- many:\n.*?^-- :many\n")
_BLOCK_MARKS: Final = re.compile(r"(?m)^-- (many:|:many)\n")

OTHERS: Final = {"": (), "_defined": ("",), "_moderated": ("",), "_moderated_defined": ("_moderated", "_defined")}
"""For each suffix the suffixes whose texts it may equal."""


@cache
def queries() -> dict[str, bytes]:
    """Query name -> its text, in UTF-8, ready for psycopg.

    A query with lines that end in ``-- keyed``, ``-- traced``, ``-- extra`` or ``-- defined`` has several texts: `name`
    without any of these lines, `name_keyed` with those of keys, `name_traced` with those of keys and traces, and
    `name_extra` with all three. `name_columned` has those that end in ``-- columned``, too, but none that ends in
    ``-- single``. Lines that end in ``-- fed`` or ``-- dated`` are in `name_full` alone, which has those of columns as
    well. `name_once` and `name_once_columned` are for batches without keys and traces in which no player is twice in a
    season. They have the lines that end in ``-- once``, and none that ends in ``-- many`` or is between ``-- many:``
    and ``-- :many``. Each of all these is there once more with the lines of defined seasons, as `name_defined`,
    `name_keyed_defined`, … And each has the lines that end in ``-- unmoderated``, or, as `name_moderated`,
    `name_keyed_moderated`, `name_moderated_defined`, …, those that end in ``-- moderated``. A text that equals a
    shorter one is left out.
    """
    found = {}
    for name, whole in _bodies():
        free, moderated = _without("moderated", whole), _without("unmoderated", whole)
        texts = {"_moderated_defined": moderated, "_defined": free}
        texts |= {"_moderated": _without("defined", moderated), "": _without("defined", free)}
        for suffix, all_lines in texts.items():
            if all_lines in (texts[other] for other in OTHERS[suffix]):
                continue
            text = _without("once", _without("once_extra", _BLOCK_MARKS.sub("", all_lines)))
            once = _without("many", _without("fed", _without("dated", _BLOCKS.sub("", all_lines))))
            once = _without("traced", _without("keyed", once))
            if _BLOCKS.search(all_lines):
                found[f"{name}_once_columned{suffix}"] = _without("single", once).strip().encode()
                once = _without("once_extra", _without("extra", _without("columned", once)))
                found[f"{name}_once{suffix}"] = once.strip().encode()
            full = _without("single", text)
            columned = _without("fed", _without("dated", full))
            extra = _without("columned", _without("fed", _without("dated", text)))
            traced = _without("extra", extra)
            keyed = _without("traced", traced)
            plain = _without("keyed", keyed)
            if full != columned:
                found[f"{name}_full{suffix}"] = full.strip().encode()
            if columned != extra:
                found[f"{name}_columned{suffix}"] = columned.strip().encode()
            if traced != extra:
                found[f"{name}_extra{suffix}"] = extra.strip().encode()
            if keyed != traced:
                found[f"{name}_traced{suffix}"] = traced.strip().encode()
            if plain != keyed:
                found[f"{name}_keyed{suffix}"] = keyed.strip().encode()
            found[f"{name}{suffix}"] = plain.strip().encode()
    return found


def _without(mark: str, text: str) -> str:
    """The text without the lines that end in this mark."""
    return re.sub(rf"(?m)^.*-- {mark}\n", "", text)


@cache
def query_files() -> dict[str, str]:
    """Query name, as its file spells it -> the file's name. Raises `ValueError` for a name that two queries have."""
    return parse_names(_texts())


def parse_names(texts: list[tuple[str, str]]) -> dict[str, str]:
    """Query name -> file name, of (file name, text) pairs. Raises `ValueError` for a name that is there twice."""
    found: dict[str, str] = {}
    for file, text in texts:
        for name in re.findall(_HEAD, text):
            if name in found:
                raise ValueError(f"query {name} is in {found[name]} and in {file}")
            found[name] = file
    return found


def _texts() -> list[tuple[str, str]]:
    entries = sorted(files("board.pg.sql").iterdir(), key=lambda entry: entry.name)
    return [(entry.name, entry.read_text(encoding="utf-8")) for entry in entries if entry.name.endswith(".sql")]


def _bodies() -> Iterator[tuple[str, str]]:
    texts = _texts()
    parse_names(texts)
    for _, text in texts:
        parts = re.split(_HEAD, text)
        yield from zip(parts[1::2], parts[2::2], strict=True)
