"""The Falcon resources: check the request completely, ask one collaborator, write bytes."""

from __future__ import annotations

import re
from typing import Any, Final

import falcon
import falcon.asgi
import msgspec

from board.errors import LeaderboardError, StoreUnavailable
from board.settings import Settings
from service import problems
from service.boards import Boards, PlayerNotFound, SeasonNotFound
from service.intake import Intake, QueueFull, ScoreOutOfRange
from service.probes import Probes
from service.seasons import Seasons
from service.types import SEASON_ID_MAX, USER_ID_MAX, Accepted, Deleted, Health, Submission

BODY_MOST: Final = 1024 * 1024
LIMIT_DEFAULT, LIMIT_MOST = 10, 1_000
RANGE_DEFAULT, RANGE_MOST = 5, 100

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_decode = msgspec.json.Decoder(Submission).decode
_encode = msgspec.json.Encoder().encode
_ACCEPTED: Final = falcon.HTTP_202


def is_plain(text: str, longest: int) -> bool:
    """1 to `longest` characters, none of them a control character or a lone surrogate."""
    if not 0 < len(text) <= longest:
        return False
    if text.isascii():
        # PERF: printable ASCII is what nearly every id is.
        return text.isprintable()
    return _CONTROL.search(text) is None and not any("\ud800" <= c <= "\udfff" for c in text)


def season_of(req: falcon.asgi.Request, sid: str) -> str | None:
    """The season id of the path, or None if it is not acceptable.

    The server has decoded the path with U+FFFD for bytes that are no UTF-8: two different wrong paths must not
    become one season, so that character counts only if it was really sent.
    """
    if not is_plain(sid, SEASON_ID_MAX):
        return None
    if "\ufffd" in sid and b"%EF%BF%BD" not in req.scope.get("raw_path", b"").upper():
        return None
    return sid


def user_of(req: falcon.asgi.Request) -> str | None:
    """The user id of the query, or None if it is missing or not acceptable."""
    user = req.params.get("userId")
    if not isinstance(user, str) or not is_plain(user, USER_ID_MAX):
        return None
    if "\ufffd" in user and "%EF%BF%BD" not in req.query_string.upper():
        return None
    return user


def number_of(req: falcon.asgi.Request, name: str, default: int, low: int, high: int) -> int | None:
    """A whole number of the query, or None if it is out of bounds or not a number."""
    text = req.params.get(name)
    if text is None:
        return default
    if not isinstance(text, str) or not _NUMBER.fullmatch(text):
        return None
    number = int(text)
    return number if low <= number <= high else None


class Scores:
    """``/v1/seasons/{sid}/scores``"""

    def __init__(self, intake: Intake) -> None:
        self._submit: Final = intake.submit

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sid: str) -> None:
        season = season_of(req, sid)
        if season is None:
            problems.INVALID_SEASON.write(resp)
            return
        content_type = req.content_type
        if content_type is not None and not is_json(content_type):
            problems.UNSUPPORTED_MEDIA_TYPE.write(resp)
            return
        length = req.content_length
        if length is not None and length > BODY_MOST:
            problems.BODY_TOO_LARGE.write(resp)
            return
        body = await req.stream.read(BODY_MOST + 1)
        if len(body) > BODY_MOST:
            problems.BODY_TOO_LARGE.write(resp)
            return
        try:
            submission = _decode(body)
        except msgspec.ValidationError as error:
            problem_of(error).write(resp, str(error))
            return
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            problems.MALFORMED_JSON.write(resp)
            return
        user = submission.userId
        if not is_plain(user, USER_ID_MAX):
            problems.INVALID_USER.write(resp)
            return
        if submission.delta == 0:
            problems.INVALID_DELTA.write(resp)
            return
        try:
            score, version = await self._submit(season, user, submission.delta)
        except QueueFull:
            problems.OVERLOADED.write(resp)
        except ScoreOutOfRange:
            problems.SCORE_OUT_OF_RANGE.write(resp)
        except StoreUnavailable:
            problems.STORE_UNAVAILABLE.write(resp)
        except LeaderboardError as error:
            problems.of(error).write(resp)
        else:
            resp.status = _ACCEPTED
            resp.data = _encode(Accepted(season, user, True, score, version))


def is_json(content_type: str) -> bool:
    """True for application/json, with or without parameters."""
    return content_type.partition(";")[0].strip().lower() == "application/json"


def problem_of(error: msgspec.ValidationError) -> problems.Problem:
    """Which problem a body has that is JSON but does not fit."""
    text = str(error)
    if text.endswith("`$.userId`"):
        return problems.INVALID_USER
    if text.endswith("`$.delta`"):
        return problems.INVALID_DELTA
    return problems.INVALID_BODY


class Top:
    """``/v1/seasons/{sid}/leaderboard/top``"""

    def __init__(self, boards: Boards) -> None:
        self._boards: Final = boards

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sid: str) -> None:
        season = season_of(req, sid)
        if season is None:
            problems.INVALID_SEASON.write(resp)
            return
        limit = number_of(req, "limit", LIMIT_DEFAULT, 1, LIMIT_MOST)
        if limit is None:
            problems.INVALID_LIMIT.write(resp)
            return
        try:
            resp.data = await self._boards.top(season, limit)
        except LeaderboardError as error:
            problems.of(error).write(resp)


class Rank:
    """``/v1/seasons/{sid}/leaderboard/rank``"""

    def __init__(self, boards: Boards) -> None:
        self._boards: Final = boards

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sid: str) -> None:
        season, user = season_of(req, sid), user_of(req)
        if season is None:
            problems.INVALID_SEASON.write(resp)
            return
        if user is None:
            problems.INVALID_USER.write(resp)
            return
        try:
            resp.data = await self._boards.rank(season, user)
        except PlayerNotFound:
            problems.PLAYER_NOT_FOUND.write(resp)
        except SeasonNotFound:
            problems.SEASON_NOT_FOUND.write(resp)
        except LeaderboardError as error:
            problems.of(error).write(resp)


class Around:
    """``/v1/seasons/{sid}/leaderboard/around``"""

    def __init__(self, boards: Boards) -> None:
        self._boards: Final = boards

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sid: str) -> None:
        season, user = season_of(req, sid), user_of(req)
        if season is None:
            problems.INVALID_SEASON.write(resp)
            return
        if user is None:
            problems.INVALID_USER.write(resp)
            return
        side = number_of(req, "range", RANGE_DEFAULT, 0, RANGE_MOST)
        if side is None:
            problems.INVALID_RANGE.write(resp)
            return
        try:
            resp.data = await self._boards.around(season, user, side)
        except PlayerNotFound:
            problems.PLAYER_NOT_FOUND.write(resp)
        except SeasonNotFound:
            problems.SEASON_NOT_FOUND.write(resp)
        except LeaderboardError as error:
            problems.of(error).write(resp)


class Season:
    """``/v1/seasons/{sid}``"""

    def __init__(self, seasons: Seasons, boards: Boards, settings: Settings) -> None:
        self._seasons: Final = seasons
        self._boards: Final = boards
        self._deadline_s: Final = settings.write_deadline_ms / 1000

    async def on_delete(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sid: str) -> None:
        season = season_of(req, sid)
        if season is None:
            problems.INVALID_SEASON.write(resp)
            return
        deadline = self._boards.now() + self._deadline_s
        turned = await self._seasons.reset(season)
        if turned is not None:
            partition, period = turned
            self._boards.poke({partition})
            if not await self._boards.shows(season, period, deadline):
                problems.RESET_PENDING.write(resp)
                return
        resp.data = _encode(Deleted(season, True))


class Healthz:
    """``/healthz`` and ``/livez``: the process answers, whatever its servers do."""

    _BODY: Final = _encode(Health("ok"))

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.data = self._BODY


class Readyz:
    """``/readyz``"""

    def __init__(self, probes: Probes) -> None:
        self._probes: Final = probes

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        state = await self._probes.readiness()
        if state.status != "ready":
            resp.status = falcon.HTTP_503
            resp.set_header("Retry-After", problems.RETRY_AFTER_S)
        resp.data = _encode(state)


class Document:
    """``/openapi.json``"""

    def __init__(self, document: dict[str, Any]) -> None:
        self._body: Final = _encode(document)

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.data = self._body
