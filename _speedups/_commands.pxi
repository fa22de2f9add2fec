# Redis commands from PostgreSQL rows: the batch of a partition, and the load of a board.

# --- build_apply ----------------------------------------------------------------------------------------

cdef int put_argument(Buffer* buffer, object value, str name) except -1:
    check_bytes(value, name)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value)
    reserve(buffer, BULK_ROOM + size)
    end_at(buffer, put_bulk(tail(buffer), PyBytes_AS_STRING(value), size))
    return 0


cdef Py_ssize_t put_arguments(Buffer* buffer, object values, str name) except -1:
    cdef Py_ssize_t count = 0
    for value in values:
        put_argument(buffer, value, name)
        count += 1
    return count


cdef int put_number(Buffer* buffer, Py_ssize_t value) except -1:
    reserve(buffer, BULK_ROOM + 20)
    end_at(buffer, put_bulk_int(tail(buffer), value))
    return 0


cdef int check_run(const uint8_t* run, Py_ssize_t size) except -1:
    """Check the columns of a row."""
    if run == NULL or size not in (8, 16, 24):
        raise ValueError("columns are not 8, 16 or 24 bytes")
    return 0


cdef Py_ssize_t put_group(Buffer* buffer, tuple group) except -1:
    """The arguments of one group; how many they are."""
    cdef Array users, scores, times, runs
    cdef bint has_columns = len(group) == 5
    cdef Py_ssize_t count, size = 0, unused = 0, run_size = 0
    cdef const uint8_t* user_at
    cdef const uint8_t* score_at
    cdef const uint8_t* time_at
    cdef const uint8_t* user
    cdef const uint8_t* score
    cdef const uint8_t* reached
    cdef const uint8_t* run_at = NULL
    cdef const uint8_t* run = NULL
    cdef uint8_t* at
    cdef uint32_t low = 0
    labels = checked_sequence(group[0], "labels")
    cdef Py_ssize_t arguments = put_arguments(buffer, labels, "labels")
    read_array(group[1], TEXT_OID, "users", &users)
    read_array(group[2], INT8_OID, "scores", &scores)
    read_array(group[3], INT8_OID, "reached", &times)
    count = users.count
    if scores.count != count or times.count != count:
        raise ValueError("users, scores and reached differ in length")
    if has_columns:
        read_array(group[4], BYTEA_OID, "columns", &runs)
        if runs.count != count:
            raise ValueError("users and columns differ in length")
        run_at = runs.items
    put_number(buffer, count)
    if count > PY_SSIZE_T_MAX // 256:
        raise MemoryError()
    reserve(
        buffer,
        (users.end - users.items)
        + count * (BULK_ROOM + PREFIX_ROOM + ZSCORE_ROOM + (COLUMNS_ROOM if has_columns else 0)),
    )

    at = tail(buffer)
    user_at, score_at, time_at = users.items, scores.items, times.items
    for _ in range(count):
        user = read_item(&user_at, &size)
        score = read_item(&score_at, &unused)
        reached = read_item(&time_at, &unused)
        if has_columns:
            run = read_item(&run_at, &run_size)
        if user == NULL:
            raise ValueError("user is NULL")
        at = put_bulk(at, user, size)
        if score == NULL:
            at = put_line_end(put_count(at, c"$", 0))
            continue
        if has_columns:
            check_run(run, run_size)
            if reached == NULL or not reached[0] & 0x80:
                raise ValueError("reached is not that of a row with columns")
            to_zscore(<int64_t>get64(score), &low)
            at = put_count(at, c"$", PREFIX_SIZE + 1 + run_size)
            at = put_line_end(put_run_prefix(at, low, run, run_size, reached))
            continue
        if reached == NULL or reached[0] & 0x80:
            raise ValueError("reached is NULL or negative")
        to_zscore(<int64_t>get64(score), &low)
        at = put_count(at, c"$", PREFIX_SIZE)
        at = put_line_end(put_prefix(at, low, reached))

    score_at = scores.items
    for _ in range(count):
        score = read_item(&score_at, &unused)
        at = put_bulk_int(at, 0 if score == NULL else to_zscore(<int64_t>get64(score), &low))
    end_at(buffer, at)
    return arguments + 1 + 3 * count


def build_apply(sha, keys, head, groups):
    """One EVALSHA command that carries the rows of a partition batch, as RESP."""
    cdef Buffer buffer = Buffer(NULL, 0, 0)
    cdef Py_ssize_t arguments, start
    cdef uint8_t[COUNT_ROOM] count
    check_bytes(sha, "sha")
    keys = checked_sequence(keys, "keys")
    try:
        # The number of arguments comes first but is known last: leave a gap, fill its right end.
        reserve(&buffer, 1024)
        buffer.size = COUNT_ROOM
        put_argument(&buffer, b"EVALSHA", "command")
        put_argument(&buffer, sha, "sha")
        put_number(&buffer, len(keys))
        arguments = 3 + put_arguments(&buffer, keys, "keys")
        arguments += put_arguments(&buffer, checked_sequence(head, "head"), "head")
        for group in checked_sequence(groups, "groups"):
            if not isinstance(group, tuple) or len(<tuple>group) not in (4, 5):
                raise TypeError("a group must be a tuple (labels, users, scores, reached), perhaps with columns")
            arguments += put_group(&buffer, <tuple>group)
        start = COUNT_ROOM - (put_count(count, c"*", arguments) - count)
        put_count(buffer.data + start, c"*", arguments)
        return result_of(&buffer, start)
    finally:
        PyMem_Free(buffer.data)


# --- build_load -----------------------------------------------------------------------------------------

cdef struct Rows:
    const uint8_t* start
    const uint8_t* at
    const uint8_t* end


cdef int skip_copy_header(Rows* rows) except -1:
    cdef Py_ssize_t left = rows.end - rows.at
    cdef uint32_t extension
    if left < 11 or memcmp(rows.at, b"PGCOPY\n\xff\r\n\0", 11) != 0:
        return 0
    if left < 19:
        raise malformed("rows", left)
    extension = get32(rows.at + 15)
    # Bits 16 to 31 are critical: a reader that does not know them must refuse. None is known today.
    if get32(rows.at + 11) >> 16 != 0 or extension > 0x7FFFFFFF or <Py_ssize_t>extension > left - 19:
        raise malformed("rows", 11)
    rows.at += 19 + <Py_ssize_t>extension
    return 0


cdef Py_ssize_t check_rows(Rows* rows, Py_ssize_t limit, Py_ssize_t* size) except -1:
    """Check and step over up to ``limit`` tuples; their number, and in ``size`` their bytes."""
    cdef const uint8_t* first = rows.at
    cdef const uint8_t* at = first
    cdef Py_ssize_t left = rows.end - at
    cdef Py_ssize_t count = 0
    cdef int32_t user
    cdef uint32_t run
    cdef bint has_columns
    while count < limit and left > 0:
        if left == 2 and at[0] == 0xFF and at[1] == 0xFF:
            rows.end = at
            break
        if left < 30 or at[0] != 0 or (at[1] != 3 and at[1] != 4):
            raise malformed("rows", at - rows.start)
        has_columns = at[1] == 4
        user = <int32_t>get32(at + 2)
        if user < 0 or user > left - 30:
            raise malformed("rows", at - rows.start)
        at += 6 + user
        if get32(at) != 8 or get32(at + 12) != 8:
            raise malformed("rows", at - rows.start)
        left -= 30 + <Py_ssize_t>user
        if has_columns:
            if left < 4:
                raise malformed("rows", at - rows.start)
            run = get32(at + 24)
            if run not in (8, 16, 24):
                raise ValueError("columns are not 8, 16 or 24 bytes")
            if <Py_ssize_t>run > left - 4:
                raise malformed("rows", at - rows.start)
            if not at[16] & 0x80:
                raise ValueError("reached is not that of a row with columns")
            at += 28 + run
            left -= 4 + <Py_ssize_t>run
        else:
            if at[16] & 0x80:
                raise ValueError("reached is NULL or negative")
            at += 24
        count += 1
    rows.at = at
    size[0] = at - first
    return count


cdef inline Py_ssize_t columns_of(const uint8_t* row, const uint8_t* numbers) noexcept nogil:
    """The length of the columns of a checked row, 0 without any; ``numbers`` is behind its user."""
    return <Py_ssize_t>get32(numbers + 24) if row[1] == 4 else 0


cdef inline uint8_t* put_row_prefix(
    uint8_t* at, uint32_t low, const uint8_t* numbers, Py_ssize_t run, Py_ssize_t user
) noexcept nogil:
    """The beginning of an argument of a prefix and ``user`` more bytes, and the prefix."""
    if run == 0:
        return put_prefix(put_count(at, c"$", PREFIX_SIZE + user), low, numbers + 16)
    at = put_count(at, c"$", PREFIX_SIZE + 1 + run + user)
    return put_run_prefix(at, low, numbers + 28, run, numbers + 16)


cdef inline const uint8_t* row_after(const uint8_t* numbers, Py_ssize_t run) noexcept nogil:
    return numbers + (24 if run == 0 else 28 + run)


cdef uint8_t* put_zadd(uint8_t* at, const uint8_t* row, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t user, run
    cdef const uint8_t* numbers
    cdef uint32_t low = 0
    for _ in range(count):
        user = <Py_ssize_t>get32(row + 2)
        numbers = row + 6 + user
        run = columns_of(row, numbers)
        at = put_bulk_int(at, to_zscore(<int64_t>get64(numbers + 4), &low))
        at = put_row_prefix(at, low, numbers, run, user)
        memcpy(at, row + 6, user)
        at = put_line_end(at + user)
        row = row_after(numbers, run)
    return at


cdef uint8_t* put_hset(uint8_t* at, const uint8_t* row, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t user, run
    cdef const uint8_t* numbers
    cdef uint32_t low = 0
    for _ in range(count):
        user = <Py_ssize_t>get32(row + 2)
        numbers = row + 6 + user
        run = columns_of(row, numbers)
        at = put_bulk(at, row + 6, user)
        to_zscore(<int64_t>get64(numbers + 4), &low)
        at = put_line_end(put_row_prefix(at, low, numbers, run, 0))
        row = row_after(numbers, run)
    return at


cdef uint8_t* put_command(uint8_t* at, const char* name, bytes key, Py_ssize_t count) noexcept:
    """The beginning of a command with ``count`` pairs; ``name`` has four letters."""
    at = put_bulk(put_count(at, c"*", 2 + 2 * <uint64_t>count), name, 4)
    return put_bulk(at, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))


def build_load(zkey, hkey, rows, pairs):
    """ZADD and HSET commands that load a piece of a binary COPY stream: (payload, commands, rows)."""
    cdef Buffer buffer = Buffer(NULL, 0, 0)
    cdef int64_t limit = 0
    cdef Py_ssize_t commands = 0, total = 0, count, size = 0
    cdef Rows piece
    cdef const uint8_t* first
    cdef uint8_t* at
    check_bytes(zkey, "zkey")
    check_bytes(hkey, "hkey")
    check_bytes(rows, "rows")
    if PyBytes_GET_SIZE(rows) > PY_SSIZE_T_MAX // 16:
        raise MemoryError()
    if to_int64(pairs, "pairs", &limit):
        limit = PY_SSIZE_T_MAX if pairs > 0 else 0
    if limit < 1:
        raise ValueError("pairs must be at least 1")
    piece.start = piece.at = <const uint8_t*>PyBytes_AS_STRING(rows)
    piece.end = piece.start + PyBytes_GET_SIZE(rows)
    skip_copy_header(&piece)
    try:
        # A usual row of 40 to 50 bytes becomes 110 to 120.
        reserve(&buffer, 256 + 3 * (piece.end - piece.at))
        while True:
            first = piece.at
            count = check_rows(&piece, min(limit, PY_SSIZE_T_MAX), &size)
            if count == 0:
                break
            # The user of each row is written twice, within its 30 other bytes: they are room for the prefixes.
            reserve(
                &buffer,
                2 * size
                + count * (2 * BULK_ROOM + ZSCORE_ROOM)
                + 2 * (COUNT_ROOM + 2 * BULK_ROOM + 4)
                + PyBytes_GET_SIZE(zkey)
                + PyBytes_GET_SIZE(hkey),
            )
            at = put_command(tail(&buffer), b"ZADD", <bytes>zkey, count)
            at = put_zadd(at, first, count)
            at = put_command(at, b"HSET", <bytes>hkey, count)
            at = put_hset(at, first, count)
            end_at(&buffer, at)
            commands += 2
            total += count
        return result_of(&buffer, 0), commands, total
    finally:
        PyMem_Free(buffer.data)


# --- build_segments -------------------------------------------------------------------------------------

cdef struct Placed:
    const uint8_t* row        # a tuple, as `put_zadd` reads it
    Py_ssize_t run
    const uint8_t* segment
    Py_ssize_t segment_size
    const uint8_t* names
    Py_ssize_t names_size     # -1: NULL
    const uint8_t* after


cdef inline Placed placed_at(const uint8_t* row) noexcept nogil:
    """The parts of a checked tuple."""
    cdef Placed found
    cdef const uint8_t* at
    cdef const uint8_t* numbers = row + 6 + get32(row + 2)
    found.row = row
    found.run = <Py_ssize_t>get32(numbers + 24) if row[1] == 6 else 0
    at = row_after(numbers, found.run)
    found.segment, found.segment_size = at + 4, <Py_ssize_t>get32(at)
    at += 4 + found.segment_size
    found.names, found.names_size = at + 4, <Py_ssize_t><int32_t>get32(at)
    found.after = found.names + (found.names_size if found.names_size > 0 else 0)
    return found


cdef Py_ssize_t check_field(Rows* rows, const uint8_t* at, bint may_be_null) except -1:
    """Check a field of any length; its bytes, with those of the length."""
    cdef Py_ssize_t left = rows.end - at
    cdef int32_t size
    if left < 4:
        raise malformed("rows", at - rows.start)
    size = <int32_t>get32(at)
    if size == -1 and may_be_null:
        return 4
    if size < 0 or size > left - 4:
        raise malformed("rows", at - rows.start)
    return 4 + <Py_ssize_t>size


cdef int check_placed(Rows* rows) except -1:
    """Check the next tuple and step over it."""
    cdef const uint8_t* row = rows.at
    cdef const uint8_t* at = row
    cdef bint has_columns
    cdef Py_ssize_t run
    if rows.end - at < 2 or at[0] != 0 or (at[1] != 5 and at[1] != 6):
        raise malformed("rows", at - rows.start)
    has_columns = at[1] == 6
    at += 2
    at += check_field(rows, at, False)
    if rows.end - at < 24 or get32(at) != 8 or get32(at + 12) != 8:
        raise malformed("rows", at - rows.start)
    if has_columns != (at[16] >> 7):
        raise ValueError("reached is negative, or not that of a row with columns")
    at += 24
    if has_columns:
        run = check_field(rows, at, False) - 4
        check_run(at + 4, run)
        at += 4 + run
    at += check_field(rows, at, False)
    rows.at = at + check_field(rows, at, True)
    return 0


cdef Py_ssize_t check_group(Rows* rows, Py_ssize_t limit, Py_ssize_t* named) except -1:
    """Check and step over up to ``limit`` tuples of one segment; their number. ``named`` counts those with names."""
    cdef Placed first, placed
    cdef const uint8_t* at
    cdef Py_ssize_t count = 0
    while count < limit and rows.at < rows.end:
        at = rows.at
        if rows.end - at == 2 and at[0] == 0xFF and at[1] == 0xFF:
            rows.end = at
            break
        check_placed(rows)
        placed = placed_at(at)
        if count == 0:
            first = placed
        elif placed.segment_size != first.segment_size or memcmp(
            placed.segment, first.segment, <size_t>first.segment_size
        ) != 0:
            # Of the next group, which checks it again.
            rows.at = at
            break
        named[0] += placed.names_size >= 0
        count += 1
    return count


cdef int put_placed(Buffer* buffer, bytes base, const uint8_t* at, Py_ssize_t count, Py_ssize_t size) except -1:
    """The ZADD of ``count`` checked tuples of one segment, ``size`` bytes in all."""
    cdef Placed placed = placed_at(at)
    cdef Py_ssize_t user, key = PyBytes_GET_SIZE(base) + placed.segment_size
    cdef const uint8_t* numbers
    cdef uint8_t* to
    cdef uint32_t low = 0
    # The user of each tuple is written once; the prefix fits within its other bytes.
    reserve(buffer, size + count * (BULK_ROOM + ZSCORE_ROOM) + COUNT_ROOM + 2 * BULK_ROOM + 4 + key)
    to = put_bulk(put_count(tail(buffer), c"*", 2 + 2 * <uint64_t>count), b"ZADD", 4)
    to = put_count(to, c"$", <uint64_t>key)
    memcpy(to, PyBytes_AS_STRING(base), <size_t>PyBytes_GET_SIZE(base))
    to += PyBytes_GET_SIZE(base)
    memcpy(to, placed.segment, <size_t>placed.segment_size)
    to = put_line_end(to + placed.segment_size)
    for _ in range(count):
        placed = placed_at(at)
        user = <Py_ssize_t>get32(at + 2)
        numbers = at + 6 + user
        to = put_bulk_int(to, to_zscore(<int64_t>get64(numbers + 4), &low))
        to = put_row_prefix(to, low, numbers, placed.run, user)
        memcpy(to, at + 6, <size_t>user)
        to = put_line_end(to + user)
        at = placed.after
    end_at(buffer, to)
    return 0


cdef int put_names(
    Buffer* buffer, bytes hkey, const uint8_t* at, Py_ssize_t count, Py_ssize_t named, Py_ssize_t size
) except -1:
    """The HSET of those of ``count`` checked tuples, ``size`` bytes in all, that have names."""
    cdef Placed placed
    cdef uint8_t* to
    reserve(buffer, size + 2 * BULK_ROOM * named + COUNT_ROOM + 2 * BULK_ROOM + 4 + PyBytes_GET_SIZE(hkey))
    to = put_command(tail(buffer), b"HSET", hkey, named)
    for _ in range(count):
        placed = placed_at(at)
        if placed.names_size >= 0:
            to = put_bulk(to, at + 6, <Py_ssize_t>get32(at + 2))
            to = put_bulk(to, placed.names, placed.names_size)
        at = placed.after
    end_at(buffer, to)
    return 0


def build_segments(base, hkey, rows, pairs):
    """ZADD and HSET commands that load the boards of segments: (payload, commands, rows)."""
    cdef Buffer buffer = Buffer(NULL, 0, 0)
    cdef int64_t limit = 0
    cdef Py_ssize_t commands = 0, total = 0, count, chunk, named
    cdef Rows piece
    cdef const uint8_t* first
    cdef const uint8_t* group
    check_bytes(base, "base")
    check_bytes(hkey, "hkey")
    check_bytes(rows, "rows")
    if PyBytes_GET_SIZE(rows) > PY_SSIZE_T_MAX // 16:
        raise MemoryError()
    if to_int64(pairs, "pairs", &limit):
        limit = PY_SSIZE_T_MAX if pairs > 0 else 0
    if limit < 1:
        raise ValueError("pairs must be at least 1")
    piece.start = piece.at = <const uint8_t*>PyBytes_AS_STRING(rows)
    piece.end = piece.start + PyBytes_GET_SIZE(rows)
    skip_copy_header(&piece)
    try:
        reserve(&buffer, 256 + 3 * (piece.end - piece.at))
        while True:
            first = piece.at
            chunk = named = 0
            while chunk < limit:
                group = piece.at
                count = check_group(&piece, min(limit, PY_SSIZE_T_MAX) - chunk, &named)
                if count == 0:
                    break
                put_placed(&buffer, <bytes>base, group, count, piece.at - group)
                commands += 1
                chunk += count
            if chunk == 0:
                break
            if named > 0:
                put_names(&buffer, <bytes>hkey, first, chunk, named, piece.at - first)
                commands += 1
            total += chunk
        return result_of(&buffer, 0), commands, total
    finally:
        PyMem_Free(buffer.data)
