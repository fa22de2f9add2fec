"""Players' profiles on the rows of boards: joined at the read, from the players' own partitions.

The join works on the JSON of an answer. So it is the same for every board, period and order of rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from service.boards.profile_cache import ProfileCache
from service.contract.answers import Answer, PendingAnswer

SEAM: Final = b'","score":'
"""The end of a row's user id, and what follows. Inside of a JSON text no quote stands without a backslash before it."""
_USER: Final = b'"userId":"'

_encode: Final = msgspec.json.Encoder().encode
_decode_text: Final = msgspec.json.Decoder(str).decode
_decode_attributes: Final = msgspec.json.Decoder(dict[str, str]).decode


class ShownProfiles:
    """The profiles that answers of one worker show. PERF: it costs one comparison where no player has a profile."""

    def __init__(self, cache: ProfileCache) -> None:
        self._cache: Final = cache

    def join(self, pending: PendingAnswer, attributes: Sequence[str]) -> PendingAnswer:
        """The same answer with display names, and these attributes, on its rows.

        Raises also `BoardRebuilding` and `BoardUnavailable`.
        """
        return pending if self._cache.knows_of_none else self._show_pending(pending, attributes)

    async def _show_pending(self, pending: PendingAnswer, attributes: Sequence[str]) -> Answer:
        return await self.show(await pending, attributes)

    async def count_changes(self) -> int:
        """A number that is another one after profiles have changed. Raises `BoardUnavailable`."""
        await self._cache.has_some()
        return self._cache.changes

    async def show(self, answer: Answer, attributes: Sequence[str]) -> Answer:
        """As `join`, for an answer that is there."""
        if not await self._cache.has_some():
            return answer
        parts = answer.body.split(SEAM)
        if len(parts) == 1:
            return answer
        users = [find_user(part) for part in parts[:-1]]
        found = iter(await self._cache.find([user for user in users if user is not None]))
        profiles = [None if user is None else next(found) for user in users]
        if not any(profiles):
            return answer
        seams = [SEAM if profile is None else make_seam(profile, attributes) for profile in profiles]
        body = parts[0] + b"".join([piece for pair in zip(seams, parts[1:], strict=True) for piece in pair])
        return msgspec.structs.replace(answer, body=body, etag=extend_tag(answer.etag, seams))


def find_user(part: bytes) -> bytes | None:
    """The user id at the end of a part of an answer, which has lost its last quote; None for another text."""
    before, _, user = part.rpartition(_USER)
    if not before:
        return None
    return _decode_text(b'"%b"' % user).encode() if b"\\" in user else user


def make_seam(profile: bytes, attributes: Sequence[str]) -> bytes:
    """The members of a row between its user id and its score."""
    name, _, held = profile.partition(b"\n")
    shown = b""
    if name:
        shown = b',"displayName":' + _encode(name.decode())
    if attributes:
        values = _decode_attributes(held)
        asked = {attribute: values[attribute] for attribute in attributes if attribute in values}
        if asked:
            shown += b',"attributes":' + _encode(asked)
    return b'"' + shown + SEAM[1:]


def extend_tag(etag: str, seams: Sequence[bytes]) -> str:
    """The entity tag of an answer with these profiles; without a tag none."""
    if not etag:
        return etag
    digest = hashlib.blake2b(b"".join(seams), digest_size=8).hexdigest()
    return f'{etag[:-1]}-{digest}"'
