# PostgreSQL arrays in binary form: packing Python values, and reading arrays that PostgreSQL sent.

# --- Writing --------------------------------------------------------------------------------------------

cdef int open_array(Buffer* buffer, Py_ssize_t room) except -1:
    reserve(buffer, 20 + room)
    buffer.size = 20
    return 0


cdef bytes close_array(Buffer* buffer, uint32_t oid, Py_ssize_t count, bint nulls):
    """Fill in the header, now that the count is known."""
    if count == 0:
        put32(put32(put32(buffer.data, 0), 0), oid)
        buffer.size = 12
    else:
        if count > 0x7FFFFFFF:
            raise ValueError("too many elements for an array")
        put32(put32(put32(put32(put32(buffer.data, 1), nulls), oid), <uint32_t>count), 1)
    return result_of(buffer, 0)


def pack_int8_array(values):
    """A PostgreSQL int8[] in binary form."""
    cdef Buffer buffer = Buffer(NULL, 0, 0)
    cdef Py_ssize_t count = 0
    cdef bint nulls = False
    cdef int64_t number = 0
    cdef uint8_t* at
    items = checked_sequence(values, "values")
    try:
        open_array(&buffer, 12 * <Py_ssize_t>len(items))
        for value in items:
            reserve(&buffer, 12)
            at = tail(&buffer)
            if value is None:
                nulls = True
                at = put32(at, 0xFFFFFFFF)
            elif to_int64(value, "element", &number):
                raise OverflowError("element is outside int64")
            else:
                at = put64(put32(at, 8), <uint64_t>number)
            end_at(&buffer, at)
            count += 1
        return close_array(&buffer, INT8_OID, count, nulls)
    finally:
        PyMem_Free(buffer.data)


def pack_text_array(values):
    """A PostgreSQL text[] in binary form."""
    cdef Buffer buffer = Buffer(NULL, 0, 0)
    cdef Py_ssize_t count = 0
    cdef bint nulls = False
    cdef Py_ssize_t size = 0
    cdef const char* text
    cdef uint8_t* at
    items = checked_sequence(values, "values")
    try:
        open_array(&buffer, 24 * <Py_ssize_t>len(items))
        for value in items:
            if value is None:
                nulls = True
                reserve(&buffer, 4)
                end_at(&buffer, put32(tail(&buffer), 0xFFFFFFFF))
            elif not isinstance(value, str):
                raise TypeError(f"element must be str or None, not {type(value).__name__}")
            else:
                text = PyUnicode_AsUTF8AndSize(value, &size)
                if memchr(text, 0, size) != NULL:
                    raise ValueError("element contains a NUL character")
                if size > 0x7FFFFFFF:
                    raise ValueError("element is too long for an array")
                reserve(&buffer, 4 + size)
                at = put32(tail(&buffer), <uint32_t>size)
                memcpy(at, text, size)
                end_at(&buffer, at + size)
            count += 1
        return close_array(&buffer, TEXT_OID, count, nulls)
    finally:
        PyMem_Free(buffer.data)


# --- Reading --------------------------------------------------------------------------------------------

cdef struct Array:
    const uint8_t* start    # the whole array
    const uint8_t* items    # its first element
    const uint8_t* end
    Py_ssize_t count
    bint nulls


cdef int read_array(object data, uint32_t oid, str name, Array* array) except -1:
    """Check all of an array; only then may `read_item` walk through it."""
    check_bytes(data, name)
    cdef const uint8_t* at = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef Py_ssize_t left, length
    cdef int32_t item
    array.start = array.items = at
    array.end = at + size
    array.count = 0
    if size < 12 or get32(at) > 1 or get32(at + 4) > 1 or get32(at + 8) != oid:
        raise malformed(name, 0)
    array.nulls = get32(at + 4)
    if get32(at) == 0:
        if size != 12:
            raise malformed(name, 12)
        return 0
    if size < 20 or get32(at + 12) > 0x7FFFFFFF:
        raise malformed(name, 12)
    array.count = length = get32(at + 12)
    array.items = at = at + 20
    left = size - 20
    while length > 0:
        if left < 4:
            raise malformed(name, size - left)
        item = <int32_t>get32(at)
        left -= 4
        at += 4
        if item == -1:
            if not array.nulls:
                raise malformed(name, size - left)
        elif item < 0 or item > left or (oid == INT8_OID and item != 8):
            raise malformed(name, size - left)
        else:
            left -= item
            at += item
        length -= 1
    if left != 0:
        raise malformed(name, size - left)
    return 0


cdef inline const uint8_t* read_item(const uint8_t** at, Py_ssize_t* size) noexcept nogil:
    """The next element of a checked array, NULL for NULL."""
    cdef int32_t length = <int32_t>get32(at[0])
    cdef const uint8_t* data = at[0] + 4
    if length < 0:
        at[0] = data
        return NULL
    at[0] = data + length
    size[0] = length
    return data
