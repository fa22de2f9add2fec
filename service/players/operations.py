"""The operations on profiles of players."""

from __future__ import annotations

from typing import Final

from service.contract import problems as p
from service.contract.body import KIB, Body
from service.contract.operation import Operation
from service.contract.parameters import Parameter, make_text_parameter, parse_number
from service.contract.problems import Rejected
from service.contract.profiles import INVALID_ATTRIBUTES
from service.contract.reason import REASON
from service.contract.shared import IF_MATCH, IF_NEW
from service.contract.types import UserId
from service.contract.validation import JSON_TYPE, MERGE_PATCH_TYPE
from service.players import problems as own
from service.players.erase import PlayerEraser
from service.players.manage import PlayerManager
from service.players.profile import decode_patch, decode_profile
from service.players.types import (
    Erasure,
    ErasureBegun,
    ErasureNumber,
    Profile,
    ProfileBody,
    ProfileDeleted,
    ProfilePatch,
)

_USER: Final = make_text_parameter("userId", "path", UserId, p.INVALID_USER, "The player.")


def _parse_erasure(text: str | None) -> int:
    """The number in the path. Raises `Rejected`."""
    number = parse_number(text, None, 1, 999_999_999)
    if number is None:
        raise Rejected(own.ERASURE_NOT_FOUND.answer)
    return number


_ERASURE: Final = Parameter(
    name="id",
    place="path",
    kind=ErasureNumber,
    meaning="The erasure's number.",
    parse=_parse_erasure,
    problem=own.ERASURE_NOT_FOUND,
)
_BODY_MOST: Final = 16 * KIB
_TEXTS: Final = (own.INVALID_NAME, INVALID_ATTRIBUTES)
_CHANGE: Final = (p.PLAYER_FORBIDDEN, p.PRECONDITION_FAILED, p.STORE_UNAVAILABLE, p.OUTCOME_UNKNOWN)

OPERATIONS: Final = (
    Operation(
        name="putProfile",
        method="PUT",
        path="/v1/players/{userId}",
        handler=PlayerManager.put,
        scope="submit",
        summary="Write a player's profile, which boards show. A player's token: its own only.",
        parameters=(_USER, IF_MATCH, IF_NEW, REASON),
        body=Body(kind=ProfileBody, most=_BODY_MOST, decode=decode_profile, own_problems=_TEXTS),
        answers={200: ("The profile, which existed.", Profile), 201: ("The new profile.", Profile)},
        problems=_CHANGE,
    ),
    Operation(
        name="patchProfile",
        method="PATCH",
        path="/v1/players/{userId}",
        handler=PlayerManager.patch,
        scope="submit",
        summary="Change members of a profile (JSON merge patch); `null` takes a member away.",
        parameters=(_USER, IF_MATCH, IF_NEW, REASON),
        body=Body(
            kind=ProfilePatch,
            most=_BODY_MOST,
            decode=decode_patch,
            media_types=(JSON_TYPE, MERGE_PATCH_TYPE),
            own_problems=_TEXTS,
        ),
        answers={200: ("The profile.", Profile)},
        problems=(own.PROFILE_NOT_FOUND, *_CHANGE),
    ),
    Operation(
        name="getProfile",
        method="GET",
        path="/v1/players/{userId}",
        handler=PlayerManager.read,
        scope="read",
        summary="A player's profile. `ETag` names its revision.",
        parameters=(_USER,),
        answers={200: ("The profile.", Profile)},
        problems=(own.PROFILE_NOT_FOUND, p.STORE_UNAVAILABLE),
    ),
    Operation(
        name="deleteProfile",
        method="DELETE",
        path="/v1/players/{userId}/profile",
        handler=PlayerManager.delete,
        scope="submit",
        summary="Delete a player's profile. Scores and ranks stay.",
        parameters=(_USER, IF_MATCH, IF_NEW, REASON),
        answers={200: ("There is no profile any more.", ProfileDeleted)},
        problems=(own.PROFILE_NOT_FOUND, *_CHANGE),
    ),
    Operation(
        name="erasePlayer",
        method="DELETE",
        path="/v1/players/{userId}",
        handler=PlayerEraser.erase,
        scope="admin",
        summary="Erase a player: no board shows the player when the answer comes; the rest goes on by itself.",
        parameters=(_USER, REASON),
        answers={202: ("The erasure has begun.", ErasureBegun)},
        problems=(p.STORE_UNAVAILABLE, own.ERASURE_PENDING, p.OUTCOME_UNKNOWN),
    ),
    Operation(
        name="getErasure",
        method="GET",
        path="/v1/erasures/{id}",
        handler=PlayerEraser.read_erasure,
        scope="admin",
        summary="An erasure: whether it is done, and what was deleted.",
        parameters=(_ERASURE,),
        answers={200: ("The erasure.", Erasure)},
        problems=(own.ERASURE_NOT_FOUND, p.STORE_UNAVAILABLE),
    ),
)
