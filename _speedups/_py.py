"""The pure-Python twin of the Cython kernels, and their specification.

Written to be read: each function is the shortest correct form. `_c.pyx` must give the same bytes and raise
the same kind of error. Common rules: a wrong Python type is a `TypeError`; input that is malformed, or
truncated, or has bytes left over is a `ValueError`; sequences are lists or tuples.

Sources: PostgreSQL array and COPY binary formats (``array_send`` in arrayfuncs.c, "Binary Format" of the COPY
reference page); the Redis serialization protocol (redis.io, "RESP protocol spec"); RFC 8259 for JSON strings.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from _speedups._py_checks import Reader, all_bytes, check_bytes, check_int, check_sequence
from _speedups._py_http import split_request as split_request

INT8_OID = 20
TEXT_OID = 25
BYTEA_OID = 17
PREFIX_SIZE = 10

_EXACT = 1 << 52  # Scores nearer to zero than this are their own double.
_LOW_BITS = 11
_LOW_MASK = (1 << _LOW_BITS) - 1
_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1
_RANK_MAX = 1 << 53
_COLUMN_SIZES = (8, 16, 24)
_INVERTED = bytes(range(255, -1, -1))

_COPY_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
# A double as Redis prints it; the digit limits keep the C arithmetic inside 64 bits.
_NUMBER = re.compile(rb"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,3}))?")
_NUMBER_DIGITS = 18


# --- Board entries ---------------------------------------------------------------------------------------


def encode_entry(score: int, reached: int) -> tuple[int, bytes]:
    """The sorted-set score and the 10-byte member prefix of a board entry.

    Ascending (zscore, prefix + user id) is the board order: score descending, then reached ascending, then
    user id. `OverflowError` when ``score`` is no int64 or ``reached`` is outside 0 .. 2**63 - 1.
    """
    check_int(score, "score")
    check_int(reached, "reached")
    if not _INT64_MIN <= score <= _INT64_MAX:
        raise OverflowError("score is outside int64")
    if not 0 <= reached <= _INT64_MAX:
        raise OverflowError("reached is outside 0 .. 2**63 - 1")
    if -_EXACT < score < _EXACT:
        double, low = score, 0
    elif score > 0:
        excess = score - _EXACT
        double, low = _EXACT + (excess >> _LOW_BITS), _LOW_MASK - (excess & _LOW_MASK)
    else:
        excess = -score - _EXACT
        double, low = -(_EXACT + (excess >> _LOW_BITS)), excess & _LOW_MASK
    return -double, struct.pack(">HQ", low, reached)


def decode_score(zscore: int, member: bytes) -> int:
    """The score of an entry, from its sorted-set score and the first two bytes of its member.

    `ValueError` when the member is shorter than a prefix, or when no int64 score gives this pair.
    """
    check_int(zscore, "zscore")
    check_bytes(member, "member")
    if len(member) < PREFIX_SIZE:
        raise ValueError("member is shorter than its prefix")
    low = int.from_bytes(member[:2], "big")
    if -_EXACT < zscore < _EXACT:
        if low != 0:
            raise ValueError("low bits do not fit the zscore")
        return -zscore
    if low > _LOW_MASK:
        raise ValueError("low bits do not fit the zscore")
    excess = (abs(zscore) - _EXACT) << _LOW_BITS
    score = _EXACT + excess + _LOW_MASK - low if zscore < 0 else -_EXACT - excess - low
    if not _INT64_MIN <= score <= _INT64_MAX:
        raise ValueError("zscore is outside the range of scores")
    return score


# --- PostgreSQL arrays -----------------------------------------------------------------------------------


def pack_int8_array(values: Sequence[int | None]) -> bytes:
    """A PostgreSQL ``int8[]`` in binary form; `None` is NULL. `OverflowError` for a value outside int64."""
    check_sequence(values, "values")
    return _pack_array(INT8_OID, [None if value is None else _int8(value) for value in values])


def pack_text_array(values: Sequence[str | None]) -> bytes:
    """A PostgreSQL ``text[]`` in binary form, UTF-8; `None` is NULL.

    `UnicodeEncodeError` for a lone surrogate, `ValueError` for a NUL character: PostgreSQL refuses both.
    """
    check_sequence(values, "values")
    return _pack_array(TEXT_OID, [None if value is None else _text(value) for value in values])


def _int8(value: int) -> bytes:
    check_int(value, "element")
    if not _INT64_MIN <= value <= _INT64_MAX:
        raise OverflowError("element is outside int64")
    return value.to_bytes(8, "big", signed=True)


def _text(value: str) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"element must be str or None, not {type(value).__name__}")
    data = value.encode()
    if b"\0" in data:
        raise ValueError("element contains a NUL character")
    return data


def _pack_array(oid: int, items: list[bytes | None]) -> bytes:
    if not items:
        return struct.pack(">iii", 0, 0, oid)
    parts = [struct.pack(">iiiii", 1, None in items, oid, len(items), 1)]
    for item in items:
        parts.append(b"\xff\xff\xff\xff" if item is None else struct.pack(">i", len(item)) + item)
    return b"".join(parts)


def _parse_array(data: bytes, oid: int, name: str) -> list[bytes | None]:
    """The elements of a PostgreSQL array of at most one dimension."""
    check_bytes(data, name)
    reader = Reader(data, name)
    dimensions, flags, found = reader.int32(), reader.int32(), reader.int32()
    if dimensions not in (0, 1) or flags not in (0, 1) or found != oid:
        raise reader.malformed()
    items: list[bytes | None] = []
    if dimensions == 1:
        length, _lower_bound = reader.int32(), reader.int32()
        if length < 0:
            raise reader.malformed()
        for _ in range(length):
            item = reader.field()
            if item is None and flags == 0:
                raise reader.malformed()
            if oid == INT8_OID and item is not None and len(item) != 8:
                raise reader.malformed()
            items.append(item)
    if not reader.at_end():
        raise reader.malformed()
    return items


# --- Redis commands --------------------------------------------------------------------------------------


def build_apply(
    sha: bytes,
    keys: Sequence[bytes],
    head: Sequence[bytes],
    groups: Sequence[tuple[Sequence[bytes], bytes, bytes, bytes] | tuple[Sequence[bytes], bytes, bytes, bytes, bytes]],
) -> bytes:
    """One ``EVALSHA`` command that carries the rows of a partition batch, as RESP.

    A group is ``(labels, users, scores, reached)``: the last three are PostgreSQL binary arrays of one length
    n (text, int8, int8). Arguments: ``sha``, the number of keys, ``keys``, ``head``, then per group its
    labels, n, n times (user, prefix), n times zscore. A NULL score removes the player: empty prefix, zscore 0, with
    any ``reached``. User ids are passed unchanged. `ValueError` for a malformed array, different lengths, a NULL user,
    or, beside a score, a NULL or negative ``reached``.

    A group of a season with columns is ``(labels, users, scores, reached, columns)``, the last one bytea[] with 8, 16
    or 24 bytes each. A ``reached`` in it has its highest bit set, so it is negative: any other one is a `ValueError`,
    and so are columns of another length. The prefix is ``low (2) | first column (8) | 0xff | other columns | reached
    (8)``, the bytes of the columns inverted, and ``reached`` without that bit.
    """
    check_bytes(sha, "sha")
    arguments = [b"EVALSHA", sha, b"%d" % len(all_bytes(keys, "keys")), *keys, *all_bytes(head, "head")]
    check_sequence(groups, "groups")
    for group in groups:
        if not isinstance(group, tuple) or len(group) not in (4, 5):
            raise TypeError("a group must be a tuple (labels, users, scores, reached), perhaps with columns")
        labels = all_bytes(group[0], "labels")
        users = _parse_array(group[1], TEXT_OID, "users")
        scores = _parse_array(group[2], INT8_OID, "scores")
        times = _parse_array(group[3], INT8_OID, "reached")
        if not len(users) == len(scores) == len(times):
            raise ValueError("users, scores and reached differ in length")
        runs = _parse_array(group[4], BYTEA_OID, "columns") if len(group) == 5 else [b""] * len(users)
        if len(runs) != len(users):
            raise ValueError("users and columns differ in length")
        pairs: list[bytes] = []
        zscores: list[bytes] = []
        for user, score, reached, run in zip(users, scores, times, runs, strict=True):
            if user is None:
                raise ValueError("user is NULL")
            if score is None:
                zscore, prefix = 0, b""
            elif len(group) == 4:
                zscore, prefix = _entry(score, reached)
            else:
                zscore, prefix = _entry_of_run(score, reached, run)
            pairs += user, prefix
            zscores.append(b"%d" % zscore)
        arguments += [*labels, b"%d" % len(users), *pairs, *zscores]
    return _command(arguments)


def build_load(zkey: bytes, hkey: bytes, rows: bytes, pairs: int) -> tuple[bytes, int, int]:
    """``ZADD`` and ``HSET`` commands that load a piece of a binary COPY stream: (payload, commands, rows).

    ``rows`` holds whole tuples (user text, score int8, reached int8), nothing NULL, perhaps after the COPY
    header, perhaps before its trailer. In a season with columns a tuple has them as a fourth field, and ``reached`` is
    negative: see `build_apply`. Every ``pairs`` rows (the last time fewer) become one ``ZADD zkey
    zscore member ...`` and one ``HSET hkey user prefix ...``. No rows: ``(b"", 0, 0)``. `ValueError` for a
    malformed piece, a negative ``reached`` or ``pairs`` < 1.
    """
    check_bytes(zkey, "zkey")
    entries = _entries_of(hkey, rows, pairs)
    commands: list[bytes] = []
    for start in range(0, len(entries), pairs):
        zadd, hset = [b"ZADD", zkey], [b"HSET", hkey]
        for user, zscore, prefix in entries[start : start + pairs]:
            zadd += b"%d" % zscore, prefix + user
            hset += user, prefix
        commands += _command(zadd), _command(hset)
    return b"".join(commands), len(commands), len(entries)


def build_segments(base: bytes, hkey: bytes, rows: bytes, pairs: int) -> tuple[bytes, int, int]:
    """``ZADD`` and ``HSET`` commands that load the boards of segments, as `build_load`: (payload, commands, rows).

    ``rows`` are tuples as those of `build_load` with two further fields: a segment, and the names of all segments of
    the user, or NULL where another tuple has them. Neighbours of the same segment become one ``ZADD base+segment
    zscore member ...``, and every ``pairs`` rows (the last time fewer) end with one ``HSET hkey user names ...``, if
    there are names.
    """
    check_bytes(base, "base")
    entries = _entries_of(hkey, rows, pairs, 2)
    if any(segment is None for _, _, _, segment, _ in entries):
        raise ValueError("rows: a segment is NULL")
    commands: list[bytes] = []
    for start in range(0, len(entries), pairs):
        chunk = entries[start : start + pairs]
        for segment, group in groupby(chunk, key=lambda entry: entry[3]):
            zadd = [b"ZADD", base + segment]
            for user, zscore, prefix, *_ in group:
                zadd += b"%d" % zscore, prefix + user
            commands.append(_command(zadd))
        hset = [part for user, _, _, _, names in chunk if names is not None for part in (user, names)]
        if hset:
            commands.append(_command([b"HSET", hkey, *hset]))
    return b"".join(commands), len(commands), len(entries)


def _entries_of(hkey: bytes, rows: bytes, pairs: int, more: int = 0) -> list[tuple[Any, ...]]:
    """All of `_copy_rows`, after the checks of the arguments that both kinds of loading have."""
    check_bytes(hkey, "hkey")
    check_bytes(rows, "rows")
    check_int(pairs, "pairs")
    if pairs < 1:
        raise ValueError("pairs must be at least 1")
    return list(_copy_rows(rows, more))


def _copy_rows(rows: bytes, more: int = 0) -> Iterator[tuple[Any, ...]]:
    """User, zscore and prefix of each tuple, and ``more`` fields that follow."""
    reader = Reader(rows, "rows")
    # A tuple begins with its column count, 3 or 4, so a piece that begins like the signature has the header.
    if rows.startswith(_COPY_SIGNATURE):
        reader.take(len(_COPY_SIGNATURE))
        flags, extension = reader.int32(), reader.int32()
        # Bits 16 to 31 are critical: a reader that does not know them must refuse. None is known today.
        if flags & ~0xFFFF:
            raise reader.malformed()
        reader.take(extension)
    while not reader.at_end():
        columns = reader.int16()
        if columns == -1:
            if not reader.at_end():
                raise reader.malformed()
            return
        if columns - more not in (3, 4):
            raise reader.malformed()
        user, score, reached = reader.field(), reader.field(), reader.field()
        if user is None or score is None or len(score) != 8 or reached is None or len(reached) != 8:
            raise reader.malformed()
        is_plain = columns - more == 3
        entry = _entry(score, reached) if is_plain else _entry_of_run(score, reached, reader.field())
        yield user, *entry, *(reader.field() for _ in range(more))


def _entry(score: bytes, reached: bytes | None) -> tuple[int, bytes]:
    """The encoded entry of two int8 in network order."""
    if reached is None or reached[0] & 0x80:
        raise ValueError("reached is NULL or negative")
    return encode_entry(int.from_bytes(score, "big", signed=True), int.from_bytes(reached, "big"))


def _entry_of_run(score: bytes, reached: bytes | None, run: bytes | None) -> tuple[int, bytes]:
    """The encoded entry of a row with columns; `ValueError` for columns of no such length, or a plain ``reached``."""
    if run is None or len(run) not in _COLUMN_SIZES:
        raise ValueError("columns are not 8, 16 or 24 bytes")
    if reached is None or not reached[0] & 0x80:
        raise ValueError("reached is not that of a row with columns")
    number = int.from_bytes(reached, "big") & _INT64_MAX
    zscore, prefix = encode_entry(int.from_bytes(score, "big", signed=True), number)
    inverted = run.translate(_INVERTED)
    return zscore, prefix[:2] + inverted[:8] + b"\xff" + inverted[8:] + prefix[2:]


def _command(arguments: list[bytes]) -> bytes:
    parts = [b"*%d\r\n" % len(arguments)]
    parts += (b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in arguments)
    return b"".join(parts)


# --- JSON ------------------------------------------------------------------------------------------------


def render_items(replies: Sequence[bytes], first_rank: int, turned: bool = False, shared_rank: int = 0) -> bytes:
    """The JSON list of a board window, from the flat Redis reply ``[member, zscore, ...]``.

    Items are ``{"userId":...,"score":...}``, and begin with ``"rank"``, counted from ``first_rank``, unless
    that is 0. With ``turned`` the scores are complements. With a ``shared_rank``, that of the first item,
    an item with the score of the one before has its rank, too. A zscore is an integer in a double as Redis
    prints it, also in exponent form. `ValueError` for an odd number of replies, a rank outside 0 .. 2**53, a
    bad number, a pair that no score gives, and invalid UTF-8.
    """
    check_int(first_rank, "first_rank")
    if not 0 <= first_rank <= _RANK_MAX:
        raise ValueError("first_rank is outside 0 .. 2**53")
    if not isinstance(turned, bool):
        raise TypeError(f"turned must be bool, not {type(turned).__name__}")
    check_int(shared_rank, "shared_rank")
    if not 0 <= shared_rank <= _RANK_MAX:
        raise ValueError("shared_rank is outside 0 .. 2**53")
    if len(all_bytes(replies, "replies")) % 2:
        raise ValueError("replies must be pairs of member and zscore")
    items = []
    last, shown = None, 0
    for index in range(0, len(replies), 2):
        member = replies[index]
        score = decode_score(_number(replies[index + 1]), member)
        user = json.dumps(member[PREFIX_SIZE:].decode(), ensure_ascii=False)
        if not shared_rank or (index and score != last):
            shown = first_rank + index // 2
        elif not index:
            shown = shared_rank
        last = score
        rank = f'"rank":{shown},' if first_rank else ""
        items.append(f'{{{rank}"userId":{user},"score":{~score if turned else score}}}')
    return f"[{','.join(items)}]".encode()


def _number(text: bytes) -> int:
    """The exact value of a number that Redis printed; `ValueError` when it is no integer within +-2**53."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError("zscore is not a number")
    sign, whole, fraction, exponent = match[1], match[2], match[3] or b"", int(match[4] or 0)
    if len(whole) + len(fraction) > _NUMBER_DIGITS:
        raise ValueError("zscore has too many digits")
    value: int = int(whole + fraction)
    rest = 0
    power = exponent - len(fraction)
    if power >= 0:
        value *= 10**power
    else:
        value, rest = divmod(value, 10**-power)
    if rest or value > 1 << 53:
        raise ValueError("zscore is not an integer that a double holds exactly")
    return -value if sign else value
