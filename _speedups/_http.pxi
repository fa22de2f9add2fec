# Requests in HTTP/1.1, in the form in which nearly all clients send them.

cdef enum:
    REQUEST_MOST = 8192     # bytes of a plain request, with its body
    HEADERS_MOST = 64
    NAME_ROOM = 18          # of the longest header whose name is looked at, and one more

cdef uint8_t[256] TOKEN     # the lower-case form of a character of a header's name; 0: a name has no such one
cdef uint8_t[256] TARGET    # whether a plain target may have the character
cdef uint8_t[256] VALUE     # whether a plain value may have it


cdef void fill_characters() noexcept:
    cdef int index
    cdef bint digit, letter
    for index in range(256):
        digit = c"0" <= index <= c"9"
        letter = c"a" <= index <= c"z" or c"A" <= index <= c"Z"
        TOKEN[index] = index | 0x20 if letter else index if digit else 0
        TARGET[index] = digit or letter
        VALUE[index] = 0x20 <= index < 0x7F or index == c"\t"
    for index in b"!#$%&'*+-.^_`|~":
        TOKEN[index] = index
    for index in b"_.~-/?&=":
        TARGET[index] = 1


fill_characters()

cdef struct Slice:
    const uint8_t* at       # NULL: nothing was sent
    Py_ssize_t size


cdef inline bint fill_once(Slice* slot, const uint8_t* at, Py_ssize_t size) noexcept nogil:
    """False when the header came before."""
    if slot.at != NULL:
        return False
    slot.at = at
    slot.size = size
    return True


cdef inline object text_or_none(Slice* slot):
    if slot.at == NULL:
        return None
    return PyUnicode_DecodeASCII(<const char*>slot.at, slot.size, NULL)


cdef str JSON_TYPE = "application/json"


def split_request(data):
    """A plain request in one piece, split; None when it is not plain."""
    check_bytes(data, "data")
    cdef const uint8_t* start = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef const uint8_t* end = start + size
    cdef const uint8_t* at = start
    cdef const uint8_t* target
    cdef const uint8_t* value
    cdef Py_ssize_t target_size, name_size, value_size
    cdef uint8_t[NAME_ROOM] name
    cdef uint8_t letter
    cdef Slice content_type = Slice(NULL, 0)
    cdef Slice key = Slice(NULL, 0)
    cdef Slice credential = Slice(NULL, 0)
    cdef Slice request_id = Slice(NULL, 0)
    cdef Slice traceparent = Slice(NULL, 0)
    cdef Slice if_none_match = Slice(NULL, 0)
    cdef Slice length = Slice(NULL, 0)
    cdef Slice host = Slice(NULL, 0)
    cdef Slice connection = Slice(NULL, 0)
    cdef int headers = 0
    cdef Py_ssize_t body = 0
    cdef Py_ssize_t index
    cdef bytes method
    # The shortest: "GET / HTTP/1.1", "host:x" and an empty line.
    if size > REQUEST_MOST or size < 26:
        return None
    if memcmp(at, b"GET ", 4) == 0:
        method = b"GET"
        at += 4
    elif memcmp(at, b"POST ", 5) == 0:
        method = b"POST"
        at += 5
    else:
        return None
    target = at
    while at < end and TARGET[at[0]]:
        at += 1
    target_size = at - target
    if target_size == 0 or target[0] != c"/" or end - at < 11 or memcmp(at, b" HTTP/1.1\r\n", 11) != 0:
        return None
    at += 11
    while True:
        if end - at < 2:
            return None
        if at[0] == c"\r":
            if at[1] != c"\n":
                return None
            at += 2
            break
        headers += 1
        if headers > HEADERS_MOST:
            return None
        name_size = 0
        while at < end:
            letter = TOKEN[at[0]]
            if letter == 0:
                break
            if name_size < NAME_ROOM:
                name[name_size] = letter
            name_size += 1
            at += 1
        if name_size == 0 or at == end or at[0] != c":":
            return None
        at += 1
        while at < end and (at[0] == c" " or at[0] == c"\t"):
            at += 1
        value = at
        while at < end and VALUE[at[0]]:
            at += 1
        value_size = at - value
        # Spaces at the end are left to the parser of the ordinary path, and so is a value without a character.
        if end - at < 2 or at[0] != c"\r" or at[1] != c"\n" or value_size == 0:
            return None
        if value[value_size - 1] == c" " or value[value_size - 1] == c"\t":
            return None
        at += 2
        if name_size == 4:
            if memcmp(name, b"host", 4) == 0 and not fill_once(&host, value, value_size):
                return None
        elif name_size == 6:
            if memcmp(name, b"expect", 6) == 0 or memcmp(name, b"origin", 6) == 0 or memcmp(name, b"prefer", 6) == 0:
                return None
        elif name_size == 7:
            if memcmp(name, b"upgrade", 7) == 0:
                return None
        elif name_size == 10:
            if memcmp(name, b"connection", 10) == 0 and (
                value_size != 10 or not is_keep_alive(value) or not fill_once(&connection, value, value_size)
            ):
                return None
        elif name_size == 11:
            if memcmp(name, b"traceparent", 11) == 0 and not fill_once(&traceparent, value, value_size):
                return None
        elif name_size == 12:
            if memcmp(name, b"content-type", 12) == 0:
                if not fill_once(&content_type, value, value_size):
                    return None
            elif memcmp(name, b"x-request-id", 12) == 0 and not fill_once(&request_id, value, value_size):
                return None
        elif name_size == 13:
            if memcmp(name, b"authorization", 13) == 0:
                if not fill_once(&credential, value, value_size):
                    return None
            elif memcmp(name, b"if-none-match", 13) == 0 and not fill_once(&if_none_match, value, value_size):
                return None
        elif name_size == 14:
            if memcmp(name, b"content-length", 14) == 0 and (
                value_size > 4 or not fill_once(&length, value, value_size)
            ):
                return None
        elif name_size == 15:
            if memcmp(name, b"idempotency-key", 15) == 0 and not fill_once(&key, value, value_size):
                return None
        elif name_size == 16:
            if memcmp(name, b"content-encoding", 16) == 0 or memcmp(name, b"proxy-connection", 16) == 0:
                return None
        elif name_size == 17:
            if memcmp(name, b"transfer-encoding", 17) == 0:
                return None
    if host.at == NULL:
        return None
    for index in range(length.size):
        if not c"0" <= length.at[index] <= c"9":
            return None
        body = 10 * body + (length.at[index] - c"0")
    if end - at != body:
        return None
    return (
        method,
        PyUnicode_DecodeASCII(<const char*>target, target_size, NULL),
        JSON_TYPE
        if content_type.size == 16 and memcmp(content_type.at, b"application/json", 16) == 0
        else text_or_none(&content_type),
        text_or_none(&key),
        None if credential.at == NULL else PyBytes_FromStringAndSize(<const char*>credential.at, credential.size),
        text_or_none(&request_id),
        text_or_none(&traceparent),
        text_or_none(&if_none_match),
        None if length.at == NULL else PyBytes_FromStringAndSize(<const char*>at, body),
    )


cdef inline bint is_keep_alive(const uint8_t* value) noexcept nogil:
    cdef int index
    for index in range(10):
        if TOKEN[value[index]] != b"keep-alive"[index]:
            return False
    return True
