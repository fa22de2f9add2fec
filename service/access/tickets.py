"""Tickets and passes: credentials for clients that cannot send a header, signed and not stored.

A ticket stands in an address. It opens one stream, or is exchanged for a pass, once, within `TICKET_S`. A pass stands
in a header like a key, reads one season, and lasts for `PASS_S`. Both are as good as the credential that they were made
with: they end with it, and with its rights. The secret that signs them is that of the database, so every worker of
every host accepts what another one has made.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from math import inf
from time import time
from typing import Final, Literal

import msgspec

from board.redis.async_redis import AsyncRedis, pack
from board.redis.keyspace import Keyspace
from service.access.caller import Caller, Player
from service.access.grant import READER, Grant
from service.access.keyring import Keyring
from service.contract import problems
from service.contract.answers import Answer
from service.contract.problems import Problem, add_problem
from service.contract.scopes import BITS

TICKET_S: Final = 60
PASS_S: Final = 12 * 3_600
TICKET_PREFIX: Final = "lbt_"
PASS_PREFIX: Final = "lbp_"
TEXT_MOST: Final = 2_000
"""Characters of the longest ticket: of the longest season and player, in the longest characters."""

_MAC_BYTES: Final = 32
_NUMBER_BYTES: Final = 12
_READ: Final = BITS["read"]
_NOBODY: Final = ""

INVALID: Final = add_problem(
    "ticket-invalid",
    401,
    "This is no ticket of this server.",
    "`ticket` is cut short or mistyped, or another installation made it.",
)
EXPIRED: Final = add_problem(
    "ticket-expired", 401, "The ticket has expired.", f"It was made more than {TICKET_S} seconds ago. Get another one."
)
USED: Final = add_problem(
    "ticket-used",
    401,
    "The ticket has been used.",
    "A ticket is good for one use. Get another one for each stream, also to connect again.",
)
FOREIGN: Final = add_problem(
    "ticket-foreign",
    403,
    "The ticket is for another season or another use.",
    "Its season is not that of the path, or its `use` is `page` for a stream, or `stream` for a page.",
)
PROBLEMS: Final = (INVALID, EXPIRED, USED, FOREIGN)

Use = Literal["stream", "page"]
Kind = Literal["stream", "page", "pass"]


class Signed(msgspec.Struct, frozen=True, array_like=True):
    """The content of a ticket or a pass.

    `holder` is the name of the grant that it was made with; an empty text: of none, for a public season. `until` is the
    Unix time in seconds at which it ends, and `ends` the one at which the holder's token does.
    """

    kind: Kind
    season: str
    holder: str
    until: float
    ends: float
    number: bytes


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Signed).decode


def sign(secret: bytes, prefix: str, content: bytes) -> str:
    """The text of a signed content."""
    mac = hmac.digest(secret, prefix.encode() + content, hashlib.sha256)
    return prefix + base64.urlsafe_b64encode(content + mac).rstrip(b"=").decode()


def open_signed(secret: bytes, prefix: str, text: str) -> bytes | None:
    """The content of a signed text; None if `secret` has not signed it."""
    if not secret or not text.startswith(prefix) or len(text) > TEXT_MOST:
        return None
    body = text[len(prefix) :]
    try:
        data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    content, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
    if not hmac.compare_digest(hmac.digest(secret, prefix.encode() + content, hashlib.sha256), mac):
        return None
    return content


class Tickets:
    """Makes, checks and uses up tickets and passes, for one worker. Without a keyring the server is open: nothing is
    checked, and any text would do.
    """

    def __init__(self, keyring: Keyring | None, redis: AsyncRedis, keys: Keyspace) -> None:
        self._keyring: Final = keyring
        self._redis: Final = redis
        self._keys: Final = keys
        self._own: Final = secrets.token_bytes(32)

    @property
    def _secret(self) -> bytes:
        return self._own if self._keyring is None else self._keyring.secret

    def make(self, use: Use, season: str, caller: Caller) -> tuple[str, float]:
        """Make a ticket for a caller who may read the season; its text, and the Unix time at which it ends."""
        if caller.player is not None:
            holder = f"u:{caller.player.user}"
        else:
            holder = f"k:{caller.key_id}" if caller.key_id else _NOBODY
        until = min(time() + TICKET_S, caller.until)
        made = Signed(use, season, holder, until, caller.until, secrets.token_bytes(_NUMBER_BYTES))
        return sign(self._secret, TICKET_PREFIX, _encode(made)), until

    async def exchange(self, text: str, season: str) -> tuple[str, float] | Answer:
        """Use up a ticket for a page: the text of a pass, and the Unix time at which it ends; or the refusal."""
        ticket = self._open(TICKET_PREFIX, text)
        if self._keyring is not None:
            found = self.admit("page", text, season)
            if isinstance(found, Answer):
                return found
            assert ticket is not None
            refusal = await self.use(text)
            if refusal is not None:
                return refusal
        holder, ends = (_NOBODY, inf) if ticket is None else (ticket.holder, ticket.ends)
        until = min(time() + PASS_S, ends)
        made = Signed("pass", season, holder, until, ends, b"")
        return sign(self._secret, PASS_PREFIX, _encode(made)), until

    def admit(self, use: Use, text: str, season: str | None) -> Grant | Answer:
        """Admit a ticket: the grant of one read of its season, or the refusal (401, 403, 503). It is not used up."""
        if self._keyring is not None and not self._keyring.loaded:
            return problems.ACCESS_NOT_LOADED.answer
        ticket = self._open(TICKET_PREFIX, text)
        if ticket is None:
            return INVALID.answer
        if ticket.kind != use or ticket.season != season:
            return FOREIGN.answer
        if ticket.until <= time():
            return EXPIRED.answer
        grant = self._find_grant(ticket)
        return grant if isinstance(grant, Grant) else _REFUSALS[grant].answer

    async def use(self, text: str) -> Answer | None:
        """Use up a ticket that was admitted; the refusal if it was used before. Raises `BoardUnavailable`."""
        ticket = self._open(TICKET_PREFIX, text)
        assert ticket is not None
        # A little longer than the ticket: Redis has a clock of its own.
        mark = (b"SET", self._keys.used_ticket(ticket.number.hex().encode()), b"", b"NX", b"EX", b"%d" % (2 * TICKET_S))
        return None if await self._redis.ask(pack(mark)) is not None else USED.answer

    def find(self, text: bytes) -> Grant | str:
        """Verify a pass; its grant, or the reason of its refusal (a key of `authorizer.REFUSALS_BY_REASON`)."""
        found = self._open(PASS_PREFIX, text.decode("ascii"))
        if found is None:
            return "unknown"
        return "expired" if found.until <= time() else self._find_grant(found)

    def _open(self, prefix: str, text: str) -> Signed | None:
        """The content of a text, if this installation has signed it."""
        content = open_signed(self._secret, prefix, text)
        return None if content is None else _decode(content)

    def _find_grant(self, signed: Signed) -> Grant | str:
        """The grant of a signed text as its holder's rights are now; or the reason of its refusal."""
        assert self._keyring is not None
        season = frozenset((signed.season,))
        public = signed.season in self._keyring.public
        if signed.holder == _NOBODY:
            return READER if public else "forbidden"
        if signed.holder.startswith("u:"):
            return Grant(signed.holder, _READ, season, signed.until, Player(signed.holder[2:]))
        grant = self._keyring.find_valid(signed.holder[2:])
        if isinstance(grant, str):
            return grant
        if not public and not (grant.scopes & _READ and (grant.seasons is None or signed.season in grant.seasons)):
            return "forbidden"
        until = min(signed.until, grant.until)
        caller = Caller(key_id=grant.caller.key_id, is_admin=False, seasons=season, until=until)
        return Grant(grant.name, _READ, season, until, caller=caller)


_REFUSALS: Final[dict[str, Problem]] = {
    "unknown": problems.CREDENTIAL_UNKNOWN,
    "revoked": problems.CREDENTIAL_REVOKED,
    "expired": problems.CREDENTIAL_EXPIRED,
    "forbidden": problems.SEASON_FORBIDDEN,
}
