# JSON items from replies of Redis.

cdef enum:
    PLAIN = 0       # stands for itself
    UNICODE = 1     # becomes \u00..
    LEAD = 2        # begins, or is wrongly, a sequence of several bytes
    # every other value is the letter after the backslash

cdef uint8_t[256] KIND


cdef void fill_kinds() noexcept:
    cdef int index
    for index in range(256):
        KIND[index] = UNICODE if index < 0x20 else PLAIN if index < 0x80 else LEAD
    KIND[c'"'] = c'"'
    KIND[c"\\"] = c"\\"
    KIND[c"\b"] = c"b"
    KIND[c"\t"] = c"t"
    KIND[c"\n"] = c"n"
    KIND[c"\f"] = c"f"
    KIND[c"\r"] = c"r"


fill_kinds()


cdef inline int sequence_size(const uint8_t* at, Py_ssize_t left) noexcept nogil:
    """The length of the UTF-8 sequence at a LEAD byte; 0 when it is not well-formed (Unicode, table 3-7)."""
    cdef uint8_t lead = at[0]
    cdef uint8_t least = 0x80
    cdef uint8_t most = 0xBF
    cdef int size, index
    if 0xC2 <= lead <= 0xDF:
        size = 2
    elif 0xE0 <= lead <= 0xEF:
        size = 3
        # No overlong forms, no surrogates.
        if lead == 0xE0:
            least = 0xA0
        elif lead == 0xED:
            most = 0x9F
    elif 0xF0 <= lead <= 0xF4:
        size = 4
        # No overlong forms, nothing past U+10FFFF.
        if lead == 0xF0:
            least = 0x90
        elif lead == 0xF4:
            most = 0x8F
    else:
        return 0
    if left < size or at[1] < least or at[1] > most:
        return 0
    for index in range(2, size):
        if at[index] & 0xC0 != 0x80:
            return 0
    return size


cdef inline bint all_plain(uint64_t word) noexcept nogil:
    """Whether eight bytes all stand for themselves; never wrongly true."""
    # The top bit of a byte is set where it was set before, or where a subtraction borrows: below 0x20, or equal to
    # the mark that was made zero. A borrow goes upwards only from a byte whose top bit is set already.
    cdef uint64_t ones = 0x0101010101010101
    cdef uint64_t quote = word ^ (ones * 0x22)
    cdef uint64_t backslash = word ^ (ones * 0x5C)
    return (word | (word - ones * 0x20) | (quote - ones) | (backslash - ones)) & (ones * 0x80) == 0


cdef uint8_t* put_text(uint8_t* to, const uint8_t* at, Py_ssize_t left) noexcept nogil:
    """The inside of a JSON string, at most six times as long; NULL when the text is not UTF-8."""
    cdef uint8_t kind
    cdef uint64_t word
    cdef int size
    while left > 0:
        if left >= 8:
            memcpy(&word, at, 8)
            if all_plain(word):
                memcpy(to, &word, 8)
                to += 8
                at += 8
                left -= 8
                continue
        kind = KIND[at[0]]
        if kind == PLAIN:
            to[0] = at[0]
            to += 1
            size = 1
        elif kind == LEAD:
            size = sequence_size(at, left)
            if size == 0:
                return NULL
            memcpy(to, at, size)
            to += size
        else:
            to[0] = c"\\"
            size = 1
            if kind == UNICODE:
                memcpy(to + 1, b"u00", 3)
                to[4] = 48 + (at[0] >> 4)
                to[5] = (48 if at[0] & 15 < 10 else 87) + (at[0] & 15)
                to += 6
            else:
                to[1] = kind
                to += 2
        at += size
        left -= size
    return to


cdef int read_number(const uint8_t* at, Py_ssize_t left, int64_t* result) noexcept nogil:
    """The exact value of a number that Redis printed, as `_number` in the twin; 0 for a text without one, else 1."""
    cdef bint negative = left > 0 and at[0] == c"-"
    cdef uint64_t value = 0
    cdef int count = 0, power = 0, exponent = 0, sign = 1, first
    if negative:
        at += 1
        left -= 1
    while left > 0 and 48 <= at[0] <= 57:
        value = 10 * value + (at[0] - 48)
        count += 1
        # 18 digits fit; a longer number leaves here, before anything overflows.
        if count > 18:
            return 0
        at += 1
        left -= 1
    if count == 0:
        return 0
    if left > 0 and at[0] == c".":
        at += 1
        left -= 1
        first = count
        while left > 0 and 48 <= at[0] <= 57:
            value = 10 * value + (at[0] - 48)
            count += 1
            if count > 18:
                return 0
            at += 1
            left -= 1
        power = first - count
        if power == 0:
            return 0
    if left > 0 and (at[0] | 32) == c"e":
        at += 1
        left -= 1
        if left > 0 and (at[0] == c"+" or at[0] == c"-"):
            sign = -1 if at[0] == c"-" else 1
            at += 1
            left -= 1
        if left < 1 or left > 3:
            return 0
        while left > 0 and 48 <= at[0] <= 57:
            exponent = 10 * exponent + (at[0] - 48)
            at += 1
            left -= 1
        power += sign * exponent
    if left != 0:
        return 0
    if value != 0:
        while power > 0:
            value *= 10
            power -= 1
            if value > 2 * EXACT:
                return 0
        while power < 0:
            if value % 10 != 0:
                return 0
            value //= 10
            power += 1
    if value > 2 * EXACT:
        return 0
    result[0] = -<int64_t>value if negative else <int64_t>value
    return 1


def render_items(replies, first_rank, turned=False, shared_rank=0):
    """The JSON list of a board window, from the flat Redis reply."""
    cdef Buffer buffer = Buffer(NULL, 0, 0)
    cdef int64_t rank = 0, shared = 0, last = 0, zscore = 0, score = 0
    cdef Py_ssize_t size, index, count
    cdef const uint8_t* member
    cdef uint8_t* at
    cdef bint ranked, complements
    if to_int64(first_rank, "first_rank", &rank) or not 0 <= rank <= <int64_t>(2 * EXACT):
        raise ValueError("first_rank is outside 0 .. 2**53")
    if not isinstance(turned, bool):
        raise TypeError(f"turned must be bool, not {type(turned).__name__}")
    if to_int64(shared_rank, "shared_rank", &shared) or not 0 <= shared <= <int64_t>(2 * EXACT):
        raise ValueError("shared_rank is outside 0 .. 2**53")
    ranked = rank != 0
    complements = turned
    replies = checked_sequence(replies, "replies")
    for reply in replies:
        check_bytes(reply, "replies")
    count = len(replies)
    if count % 2 != 0:
        raise ValueError("replies must be pairs of member and zscore")
    try:
        reserve(&buffer, 2 + 64 * count)
        at = buffer.data
        at[0] = c"["
        end_at(&buffer, at + 1)
        for index in range(0, count, 2):
            reply = replies[index]
            number = replies[index + 1]
            size = PyBytes_GET_SIZE(reply)
            if size < PREFIX_SIZE:
                raise ValueError("member is shorter than its prefix")
            if not read_number(<const uint8_t*>PyBytes_AS_STRING(number), PyBytes_GET_SIZE(number), &zscore):
                raise ValueError("zscore is not an integer that a double holds exactly")
            member = <const uint8_t*>PyBytes_AS_STRING(reply)
            if not from_zscore(zscore, (<uint32_t>member[0] << 8) | member[1], &score):
                raise ValueError("no score gives this zscore and member")
            if size > PY_SSIZE_T_MAX // 8:
                raise MemoryError()
            # Two numbers of 20 characters, 30 of names and marks, one byte for the end of the list.
            reserve(&buffer, 6 * (size - PREFIX_SIZE) + 80)
            at = tail(&buffer)
            if index > 0:
                at[0] = c","
                at += 1
            if ranked:
                memcpy(at, b'{"rank":', 8)
                if shared == 0:
                    at = put_int(at + 8, rank)
                else:
                    if index > 0 and score != last:
                        shared = rank
                    last = score
                    at = put_int(at + 8, shared)
                memcpy(at, b',"userId":"', 11)
                at += 11
                rank += 1
            else:
                memcpy(at, b'{"userId":"', 11)
                at += 11
            at = put_text(at, member + PREFIX_SIZE, size - PREFIX_SIZE)
            if at == NULL:
                raise ValueError("user id is not valid UTF-8")
            memcpy(at, b'","score":', 10)
            at = put_int(at + 10, ~score if complements else score)
            at[0] = c"}"
            end_at(&buffer, at + 1)
        reserve(&buffer, 1)
        at = tail(&buffer)
        at[0] = c"]"
        end_at(&buffer, at + 1)
        return result_of(&buffer, 0)
    finally:
        PyMem_Free(buffer.data)
