"""The HTTP errors of the service: one table of stable codes, and their form (RFC 9457). docs/errors.md repeats it."""

from __future__ import annotations

from typing import Final

import msgspec

from board import errors
from board.observe.log import masked
from service.contract.answers import PROBLEM_JSON, Answer
from service.contract.types import SEASON_ID_MAX, USER_ID_MAX, ProblemDetails

RETRY_AFTER_S: Final = 1
DETAIL_MOST: Final = 300
"""Characters of a `detail`; the rest is cut off."""


class Problem(msgspec.Struct, frozen=True):
    """A kind of error: stable code, HTTP status, title of the answer, and meaning for docs/errors.md and OpenAPI.

    `is_passing`: waiting helps. It always does for 503.
    """

    code: str
    status: int
    title: str
    meaning: str
    is_passing: bool = False

    @property
    def retry_after_s(self) -> int:
        """Seconds after which a client may ask again; 0 where waiting does not help."""
        return RETRY_AFTER_S if self.status == 503 or self.is_passing else 0

    def with_detail(self, detail: str) -> Answer:
        """An answer for one occurrence, with a `detail` of its own, of at most `DETAIL_MOST` characters.

        The detail may quote the request. Credentials in it are masked.
        """
        return self._answer(masked(detail if len(detail) <= DETAIL_MOST else detail[:DETAIL_MOST] + "…"))

    def _answer(self, detail: str) -> Answer:
        details = ProblemDetails(
            type=f"urn:leaderboard:problem:{self.code}",
            title=self.title,
            status=self.status,
            detail=detail,
            code=self.code,
            error=detail,
        )
        return Answer(self.status, _encode(details), PROBLEM_JSON, self.retry_after_s)

    def with_headers(self, *headers: tuple[str, str]) -> Answer:
        """The answer with these headers, (name in lower case, value) each."""
        return msgspec.structs.replace(self.answer, headers=headers)

    @property
    def answer(self) -> Answer:
        """The answer whose `detail` is the title. PERF: made once: refusing must be as cheap as accepting."""
        answer = _ANSWERS.get(self)
        if answer is None:
            answer = _ANSWERS[self] = self._answer(self.title)
        return answer


_encode = msgspec.json.Encoder().encode
_ANSWERS: Final[dict[Problem, Answer]] = {}

PROBLEMS: Final[dict[str, Problem]] = {}


def add_problem(code: str, status: int, title: str, meaning: str, *, is_passing: bool = False) -> Problem:
    """Make a problem and enter it in the table."""
    problem = Problem(code, status, title, meaning, is_passing)
    known = PROBLEMS.setdefault(code, problem)
    assert known == problem, f"{code} has two meanings"
    return known


class Rejected(errors.LeaderboardError):
    """A request is refused because of its content. `answer` is the answer to the client."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("the request is refused")
        self.answer = answer


MALFORMED_JSON = add_problem(
    "malformed-json", 400, "The body is not JSON.", "The body could not be parsed as UTF-8 JSON."
)
INVALID_BODY = add_problem(
    "invalid-body",
    400,
    "The body does not match the schema.",
    "A member is missing, unknown, present twice, or of the wrong type, or the body has too many levels.",
)
INVALID_USER = add_problem(
    "invalid-user-id",
    400,
    f"userId must be 1 to {USER_ID_MAX} characters without control characters.",
    "Empty, too long, not UTF-8, or with control characters (NUL among them).",
)
INVALID_SEASON = add_problem(
    "invalid-season-id",
    400,
    f"The season id must be 1 to {SEASON_ID_MAX} characters without control characters.",
    "Empty, too long, not UTF-8, or with control characters.",
)
INVALID_DELTA = add_problem(
    "invalid-delta",
    400,
    "delta must be a whole number of 64 bits and not 0.",
    "Zero, a fraction, a string, or outside -2^63 to 2^63-1.",
)
INVALID_SCORE = add_problem(
    "invalid-score",
    400,
    "score must be a whole number of 64 bits.",
    "A fraction, a string, or outside -2^63 to 2^63-1.",
)
INVALID_CURSOR = add_problem(
    "invalid-cursor",
    400,
    "cursor must be the nextCursor of an earlier answer to the same question.",
    "`cursor` is not one of this list: it is damaged, or of another season or period.",
)
INVALID_KEY = add_problem(
    "invalid-idempotency-key",
    400,
    "The idempotency key must be 1 to 255 printable ASCII characters, and the same in header and body.",
    "The `Idempotency-Key` header or the body's `submissionId` is malformed, or they differ.",
)
BAD_REQUEST = add_problem("bad-request", 400, "The request cannot be read.", "HTTP itself was malformed.")
CREDENTIAL_MISSING = add_problem(
    "credential-missing",
    401,
    "A credential is needed: Authorization: Bearer …",
    "The `Authorization` header is missing.",
)
CREDENTIAL_MALFORMED = add_problem(
    "credential-malformed",
    401,
    "The Authorization header does not hold a well-formed credential.",
    "Not `Bearer`, twice, cut short, or mistyped (a key's checksum does not fit).",
)
CREDENTIAL_UNKNOWN = add_problem(
    "credential-unknown",
    401,
    "The credential is not known to this server.",
    "The key does not exist, its secret is wrong, or the token's signature is not the issuer's.",
)
CREDENTIAL_EXPIRED = add_problem(
    "credential-expired", 401, "The credential has expired.", "The key or token has expired."
)
CREDENTIAL_REVOKED = add_problem("credential-revoked", 401, "The credential was revoked.", "The key was revoked.")
CREDENTIAL_EARLY = add_problem(
    "credential-not-yet-valid", 401, "The token is not valid yet.", "The token's `nbf` or `iat` lies in the future."
)
CLAIMS_REFUSED = add_problem(
    "claims-refused",
    401,
    "The token is for another audience, of another issuer, or lacks a claim.",
    "`aud`, `iss`, `exp`, `sub` are needed; `seasons`, `min_delta`, `max_delta` must fit their types.",
)
SCOPE_MISSING = add_problem(
    "scope-missing",
    403,
    "The credential lacks the scope for this operation; nothing was done.",
    "The scope in `WWW-Authenticate` is needed.",
)
SEASON_FORBIDDEN = add_problem(
    "season-forbidden",
    403,
    "The credential is limited to other seasons; nothing was done.",
    "The credential is limited to other seasons. It allows no operation that belongs to no season.",
)
PLAYER_FORBIDDEN = add_problem(
    "player-forbidden",
    403,
    "A player's token submits for that player only; nothing was written.",
    "`userId` is not `sub`.",
)
DELTA_FORBIDDEN = add_problem(
    "delta-forbidden",
    403,
    "delta or score is outside the bounds of the token; nothing was written.",
    "`delta`, or `score`, is outside the token's `min_delta` and `max_delta`.",
)
ORIGIN_FORBIDDEN = add_problem(
    "origin-forbidden",
    403,
    "Web pages of this origin may not change anything here; nothing was done.",
    "The server runs open, and `LEADERBOARD_CORS_ORIGINS` does not list the request's `Origin`.",
)
RATE_LIMITED = add_problem(
    "rate-limited",
    429,
    "Too many requests; nothing was done.",
    "The quota of the key or of the player is used up. `Retry-After` is the time until the request fits into it again.",
)
BATCH_OVER_LIMIT = add_problem(
    "batch-over-limit",
    413,
    "The batch is larger than a quota; nothing was written.",
    "The batch has more submissions of one key or player than the whole quota. Split the batch.",
)
KEYS_ARE_OFF = add_problem(
    "keys-are-off",
    403,
    "This server runs open; keys are managed with the command `leaderboard key`.",
    "With `LEADERBOARD_AUTH=open` an administrator cannot be told from other clients.",
)
KEY_NOT_FOUND = add_problem("key-not-found", 404, "There is no such key.", "No key has this id.")
KEY_NOT_ROTATABLE = add_problem(
    "key-not-rotatable",
    409,
    "The key is revoked, expired, or has a successor already.",
    "Only a valid key without a successor can be rotated.",
)
SEASON_NOT_FOUND = add_problem(
    "season-not-found",
    404,
    "There is no such season.",
    "No score was ever posted to this season, and it was never defined. With `LEADERBOARD_SEASONS=defined` also a "
    "submission to a season that was never defined; nothing was written.",
)
PLAYER_NOT_FOUND = add_problem(
    "player-not-found",
    404,
    "The player is not on this board.",
    "The player has no score in the season's current period.",
)
NOT_FOUND = add_problem("not-found", 404, "There is nothing at this path.", "Unknown path.")
METHOD_NOT_ALLOWED = add_problem(
    "method-not-allowed", 405, "This path does not take this method.", "The `Allow` header lists the methods."
)
PERIOD_CLOSED = add_problem(
    "period-closed",
    409,
    "The period has ended; nothing was written.",
    "The end that `schedule.endsAt` names has come, by PostgreSQL's clock: another schedule begins the next period. Or "
    "the period that the submission's `achievedAt` or `period` names ended more than `graceS` ago.",
)
PERIOD_NOT_FOUND = add_problem(
    "period-not-found", 404, "The season has not had such a period yet.", "The current period has a lower number."
)
PERIOD_EXPIRED = add_problem(
    "period-expired",
    410,
    "The period is no longer kept.",
    "It was deleted, or is older than the season's `keepPeriods`.",
)
BODY_TOO_LARGE = add_problem(
    "body-too-large",
    413,
    "The body is too large.",
    "The body is longer than the operation takes, see the table in docs/api.md.",
)
BATCH_TOO_LARGE = add_problem(
    "batch-too-large",
    413,
    "The body of a batch is too large.",
    "The body is longer than the operation takes. Split the batch.",
)
UNSUPPORTED_MEDIA_TYPE = add_problem(
    "unsupported-media-type",
    415,
    "The body must be application/json.",
    "The `Content-Type` is not `application/json`.",
)
UNSUPPORTED_ENCODING = add_problem(
    "unsupported-content-encoding",
    415,
    "The body must not be compressed.",
    "The `Content-Encoding` is not `identity`.",
)
REQUEST_TIMEOUT = add_problem(
    "request-timeout",
    408,
    "The request came too slowly; nothing was written.",
    "Head or body did not arrive in time (`LEADERBOARD_RECEIVE_S`).",
)
URI_TOO_LONG = add_problem("uri-too-long", 414, "The request's target is longer than 8 KiB.", "Shorten the target.")
KEY_REUSED = add_problem(
    "idempotency-key-reused",
    422,
    "This idempotency key was used for another submission; nothing was written.",
    "The same key came before with another player or number, or with other `metadata` or `clientVersion`.",
)
HEADERS_TOO_LARGE = add_problem(
    "headers-too-large",
    431,
    "The request's headers are too large.",
    "More than 64 headers, one above 8 KiB, or more than 16 KiB in all.",
)
INTERNAL = add_problem(
    "internal-error", 500, "The server failed; the error has been logged.", "A defect of the server; it is logged."
)
OVERLOADED = add_problem(
    "overloaded", 503, "Too many submissions are waiting; nothing was written.", "The intake queue is full."
)
STORE_UNAVAILABLE = add_problem(
    "store-unavailable",
    503,
    "PostgreSQL did not carry out the request; nothing was written.",
    "PostgreSQL is down or did not commit in time. Sending again is safe.",
)
ACCESS_NOT_LOADED = add_problem(
    "access-not-loaded",
    503,
    "The keys have not been read yet; nothing was done.",
    "The server has just started and PostgreSQL, or the source of the token keys, does not answer.",
)
TOO_MANY_CONNECTIONS = add_problem(
    "too-many-connections",
    503,
    "Too many clients are connected.",
    "The worker is at its limit (`LEADERBOARD_CONNECTIONS`), or the client's address is at its own "
    "(`LEADERBOARD_CONNECTIONS_PER_ADDRESS`); the connection is closed.",
)
TOO_MANY_BYTES = add_problem(
    "too-many-bytes",
    503,
    "The server holds too much of other requests; nothing was done.",
    "Large requests and unread answers of all clients fill the worker's room for them (128 MiB), and this one has been "
    "incomplete for longest; the connection is closed.",
)
VERSION_NOT_SUPPORTED = add_problem(
    "version-not-supported",
    505,
    "This server speaks HTTP/1.1.",
    "The request names another version of HTTP, or another protocol.",
)
PRECONDITION_FAILED = add_problem(
    "precondition-failed",
    412,
    "The season, or profile, is not in the state that If-Match or If-None-Match asks for; nothing was changed.",
    "It was changed or created meanwhile. Read it again.",
)
LIMITS_UNAVAILABLE = add_problem(
    "limits-unavailable",
    503,
    "Limits cannot be checked without Redis; nothing was done.",
    "Redis does not answer, and `LEADERBOARD_LIMIT_FAIL` is `closed`.",
)
BOARD_UNAVAILABLE = add_problem(
    "board-unavailable",
    503,
    "Redis does not answer.",
    "Redis does not answer, refuses the read, or is no master. Submissions go on.",
)
BOARD_REBUILDING = add_problem(
    "board-rebuilding",
    503,
    "The board is being rebuilt.",
    "Redis lost the board, or it was altered by hand; it is loaded again.",
)
RESET_PENDING = add_problem(
    "reset-pending",
    503,
    "The season is reset, but its board does not show it yet.",
    "The new period is committed, and Redis does not show it yet. Asking again is safe.",
)
OUTCOME_UNKNOWN = add_problem(
    "outcome-unknown",
    504,
    "PostgreSQL did not confirm the commit; the change may or may not count.",
    "The connection broke, or time ran out, while PostgreSQL was committing: the change may count or not.",
)


def problem_of(error: errors.LeaderboardError) -> Problem:
    """The problem with the code of an error; `INTERNAL` if there is none."""
    # A PostgreSQL that cannot be reached has written nothing, either.
    if isinstance(error, errors.ServerUnreachable):
        return STORE_UNAVAILABLE
    return PROBLEMS.get(error.code, INTERNAL)


_OF_HTTP: Final = (BAD_REQUEST, NOT_FOUND, METHOD_NOT_ALLOWED, REQUEST_TIMEOUT, BODY_TOO_LARGE, URI_TOO_LONG)
_FROM_STATUS: Final = {one.status: one for one in (*_OF_HTTP, UNSUPPORTED_MEDIA_TYPE, HEADERS_TOO_LARGE)}


def problem_of_status(status: int, title: str | None) -> Problem:
    """The problem for a status that the framework chose; `http-error` where the table has none."""
    return _FROM_STATUS.get(status) or Problem("http-error", status, title or "The request was refused.", "")
