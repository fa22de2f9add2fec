# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: embedsignature=False, binding=False
"""The Cython kernels: same functions, bytes and kinds of error as the twin `_py.py`, which documents them.

Shape of each kernel: check the input completely and add up its size, reserve room once, then write without checks.
Bytes objects do not change, and no Python code runs between the two passes, so the checks stay valid.
"""

include "_bytes.pxi"

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX
    long long PyLong_AsLongLongAndOverflow(object value, int* overflow) except? -1
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    bytes PyBytes_FromStringAndSize(const char* data, Py_ssize_t size)
    str PyUnicode_DecodeASCII(const char* data, Py_ssize_t size, const char* errors)


# --- Arguments ------------------------------------------------------------------------------------------

cdef int check_bytes(object value, str name) except -1:
    if not isinstance(value, bytes):
        raise TypeError(f"{name} must be bytes, not {type(value).__name__}")
    return 0


cdef object checked_sequence(object values, str name):
    """A list or tuple of exactly that type: one that cannot run Python code while it is read."""
    if type(values) is list or type(values) is tuple:
        return values
    if isinstance(values, (list, tuple)):
        return tuple(values)
    raise TypeError(f"{name} must be a list or tuple, not {type(values).__name__}")


cdef int to_int64(object value, str name, int64_t* result) except -1:
    """0 when the int fits, else 1."""
    cdef int overflow = 0
    if not isinstance(value, int):
        raise TypeError(f"{name} must be int, not {type(value).__name__}")
    result[0] = PyLong_AsLongLongAndOverflow(value, &overflow)
    return overflow != 0


cdef object malformed(str name, Py_ssize_t at):
    return ValueError(f"{name}: malformed near byte {at}")


cdef bytes result_of(Buffer* buffer, Py_ssize_t start):
    return PyBytes_FromStringAndSize(<const char*>buffer.data + start, buffer.size - start)


# --- Board entries --------------------------------------------------------------------------------------

def encode_entry(score, reached):
    """The sorted-set score and the 10-byte member prefix of a board entry."""
    cdef int64_t score_value = 0
    cdef int64_t reached_value = 0
    cdef uint32_t low = 0
    cdef uint8_t[8] order
    cdef uint8_t[PREFIX_SIZE] prefix
    cdef bint too_big = to_int64(score, "score", &score_value)
    cdef bint too_late = to_int64(reached, "reached", &reached_value)
    if too_big:
        raise OverflowError("score is outside int64")
    if too_late or reached_value < 0:
        raise OverflowError("reached is outside 0 .. 2**63 - 1")
    cdef int64_t zscore = to_zscore(score_value, &low)
    put64(order, <uint64_t>reached_value)
    put_prefix(prefix, low, order)
    return zscore, PyBytes_FromStringAndSize(<const char*>prefix, PREFIX_SIZE)


def decode_score(zscore, member):
    """The score of an entry, from its sorted-set score and its member."""
    cdef int64_t value = 0
    cdef int64_t score = 0
    cdef bint too_big = to_int64(zscore, "zscore", &value)
    check_bytes(member, "member")
    if PyBytes_GET_SIZE(member) < PREFIX_SIZE:
        raise ValueError("member is shorter than its prefix")
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(member)
    if too_big or not from_zscore(value, (<uint32_t>data[0] << 8) | data[1], &score):
        raise ValueError("no score gives this zscore and member")
    return score


include "_arrays.pxi"
include "_commands.pxi"
include "_items.pxi"
include "_http.pxi"
