# Raw bytes for the kernels of _c.pyx: the growing buffer, integers in and out, board entries, RESP.
#
# Two rules. A reader is told how many bytes are left before it reads. Functions named `put_*` write at a pointer
# and return the next one; their caller has reserved the room, by an upper bound, so inner loops carry no checks.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

cdef extern from *:
    """
    #define LB_EXACT ((uint64_t)1 << 52)
    #define LB_TOP ((uint64_t)1 << 63)
    """
    const uint64_t EXACT "LB_EXACT"    # Scores nearer to zero than this are their own double.
    const uint64_t TOP "LB_TOP"        # The magnitude of the smallest int64.

cdef enum:
    INT8_OID = 20
    TEXT_OID = 25
    BYTEA_OID = 17
    PREFIX_SIZE = 10
    COLUMNS_ROOM = 25   # three columns and the byte that tells of them
    LOW_BITS = 11
    LOW_MASK = 2047
    COUNT_ROOM = 23     # "*" or "$", 20 digits, line end
    BULK_ROOM = 25      # the same, and the line end after the data
    PREFIX_ROOM = 17    # "$10", the prefix, two line ends
    ZSCORE_ROOM = 24    # "$17", sign, 16 digits, two line ends


# --- The buffer ------------------------------------------------------------------------------------------

cdef struct Buffer:
    uint8_t* data
    Py_ssize_t size
    Py_ssize_t room


cdef int reserve(Buffer* buffer, Py_ssize_t extra) except -1:
    """Room for ``extra`` more bytes. The owner of the buffer frees ``data``, on every path."""
    cdef Py_ssize_t room
    cdef void* data
    if extra <= buffer.room - buffer.size:
        return 0
    if extra > PY_SSIZE_T_MAX // 2 - buffer.size:
        raise MemoryError()
    room = buffer.size + extra
    # At least half again, so that many small appends stay linear.
    if room < buffer.room + buffer.room // 2:
        room = buffer.room + buffer.room // 2
    data = PyMem_Realloc(buffer.data, room)
    if data == NULL:
        raise MemoryError()
    buffer.data = <uint8_t*>data
    buffer.room = room
    return 0


cdef inline uint8_t* tail(Buffer* buffer) noexcept nogil:
    return buffer.data + buffer.size


cdef inline void end_at(Buffer* buffer, uint8_t* at) noexcept nogil:
    buffer.size = at - buffer.data


# --- Integers --------------------------------------------------------------------------------------------

# Compilers turn these shifts into one load and one byte swap.

cdef inline uint32_t get32(const uint8_t* at) noexcept nogil:
    return (<uint32_t>at[0] << 24) | (<uint32_t>at[1] << 16) | (<uint32_t>at[2] << 8) | at[3]


cdef inline uint64_t get64(const uint8_t* at) noexcept nogil:
    return (<uint64_t>get32(at) << 32) | get32(at + 4)


cdef inline uint8_t* put32(uint8_t* at, uint32_t value) noexcept nogil:
    at[0] = <uint8_t>(value >> 24)
    at[1] = <uint8_t>(value >> 16)
    at[2] = <uint8_t>(value >> 8)
    at[3] = <uint8_t>value
    return at + 4


cdef inline uint8_t* put64(uint8_t* at, uint64_t value) noexcept nogil:
    return put32(put32(at, <uint32_t>(value >> 32)), <uint32_t>value)


cdef inline int digits(uint64_t value) noexcept nogil:
    cdef int count = 1
    while value >= 10000:
        value //= 10000
        count += 4
    if value >= 1000:
        return count + 3
    if value >= 100:
        return count + 2
    if value >= 10:
        return count + 1
    return count


cdef const char* PAIRS = (
    b"00010203040506070809101112131415161718192021222324"
    b"25262728293031323334353637383940414243444546474849"
    b"50515253545556575859606162636465666768697071727374"
    b"75767778798081828384858687888990919293949596979899"
)


cdef inline uint8_t* put_digits(uint8_t* at, uint64_t value, int count) noexcept nogil:
    """``value`` in decimal, where ``count`` is ``digits(value)``."""
    cdef uint8_t* end = at + count
    cdef uint8_t* here = end
    cdef uint64_t rest
    while value >= 100:
        rest = value // 100
        here -= 2
        memcpy(here, PAIRS + 2 * (value - 100 * rest), 2)
        value = rest
    if value >= 10:
        memcpy(here - 2, PAIRS + 2 * value, 2)
    else:
        (here - 1)[0] = <uint8_t>(48 + value)
    return end


cdef inline uint8_t* put_int(uint8_t* at, int64_t value) noexcept nogil:
    cdef uint64_t magnitude = <uint64_t>value
    if value < 0:
        at[0] = c"-"
        at += 1
        magnitude = 0 - magnitude
    return put_digits(at, magnitude, digits(magnitude))


# --- Redis protocol --------------------------------------------------------------------------------------

cdef inline uint8_t* put_line_end(uint8_t* at) noexcept nogil:
    at[0] = c"\r"
    at[1] = c"\n"
    return at + 2


cdef inline uint8_t* put_count(uint8_t* at, uint8_t kind, uint64_t count) noexcept nogil:
    """``*count`` or ``$count``; at most COUNT_ROOM bytes."""
    at[0] = kind
    if count < 10:
        at[1] = <uint8_t>(48 + count)
        return put_line_end(at + 2)
    if count < 100:
        memcpy(at + 1, PAIRS + 2 * count, 2)
        return put_line_end(at + 3)
    return put_line_end(put_digits(at + 1, count, digits(count)))


cdef inline uint8_t* put_bulk(uint8_t* at, const void* data, Py_ssize_t size) noexcept nogil:
    """One argument; at most BULK_ROOM bytes and its own."""
    at = put_count(at, c"$", <uint64_t>size)
    memcpy(at, data, <size_t>size)
    return put_line_end(at + size)


cdef inline uint8_t* put_bulk_int(uint8_t* at, int64_t value) noexcept nogil:
    """An integer as one argument; at most BULK_ROOM + 20 bytes, ZSCORE_ROOM for a zscore."""
    cdef uint64_t magnitude = <uint64_t>value
    cdef int count
    if value < 0:
        magnitude = 0 - magnitude
        count = digits(magnitude)
        at = put_count(at, c"$", <uint64_t>count + 1)
        at[0] = c"-"
        at += 1
    else:
        count = digits(magnitude)
        at = put_count(at, c"$", <uint64_t>count)
    return put_line_end(put_digits(at, magnitude, count))


# --- Board entries (the mapping is explained in the twin) ------------------------------------------------

cdef inline int64_t to_zscore(int64_t score, uint32_t* low) noexcept nogil:
    cdef uint64_t excess
    low[0] = 0
    # Unsigned arithmetic, since -score does not exist for the smallest int64.
    if score >= <int64_t>EXACT:
        excess = <uint64_t>score - EXACT
        low[0] = LOW_MASK - <uint32_t>(excess & LOW_MASK)
        return -<int64_t>(EXACT + (excess >> LOW_BITS))
    if score <= -<int64_t>EXACT:
        excess = (0 - <uint64_t>score) - EXACT
        low[0] = <uint32_t>(excess & LOW_MASK)
        return <int64_t>(EXACT + (excess >> LOW_BITS))
    return -score


cdef inline int from_zscore(int64_t zscore, uint32_t low, int64_t* score) noexcept nogil:
    """The score of a pair; 0 when there is none, else 1."""
    cdef uint64_t size = <uint64_t>zscore
    if zscore < 0:
        size = 0 - size
    if size < EXACT:
        score[0] = -zscore
        return low == 0
    if low > LOW_MASK or size > 2 * EXACT:
        return 0
    size = EXACT + ((size - EXACT) << LOW_BITS)
    if zscore < 0:
        size += LOW_MASK - low
        score[0] = <int64_t>size
        return size < TOP
    size += low
    score[0] = <int64_t>(0 - size)
    return size <= TOP


cdef inline uint8_t* put_prefix(uint8_t* at, uint32_t low, const uint8_t* reached) noexcept nogil:
    """The member prefix, from the low bits and ``reached`` in network order."""
    at[0] = <uint8_t>(low >> 8)
    at[1] = <uint8_t>low
    memcpy(at + 2, reached, 8)
    return at + PREFIX_SIZE


cdef inline uint8_t* put_run_prefix(
    uint8_t* at, uint32_t low, const uint8_t* run, Py_ssize_t size, const uint8_t* reached
) noexcept nogil:
    """The member prefix of a row with ``size`` bytes of columns, at least 8; PREFIX_SIZE + size + 1 bytes."""
    at[0] = <uint8_t>(low >> 8)
    at[1] = <uint8_t>low
    at = put64(at + 2, ~get64(run))
    at[0] = 0xFF
    at += 1
    run += 8
    size -= 8
    while size > 0:
        at = put64(at, ~get64(run))
        run += 8
        size -= 8
    return put64(at, get64(reached) & ~TOP)
