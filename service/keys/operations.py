"""The operations that administer keys."""

from __future__ import annotations

from functools import partial
from typing import Final

from service.contract import problems as p
from service.contract.body import KIB, Body, decode_strictly
from service.contract.operation import Operation
from service.contract.parameters import Parameter
from service.contract.reason import REASON
from service.keys.manage import KeyManager, decode_rotation
from service.keys.types import Key, KeyId, KeyList, NewKey, Rotation, Wanted

_KEY_ID: Final = Parameter(
    name="id", place="path", kind=KeyId, meaning="The key's id: the text between its first two underscores."
)
_STORE: Final = (p.KEYS_ARE_OFF, p.STORE_UNAVAILABLE, p.OUTCOME_UNKNOWN)
_BODY_MOST: Final = 128 * KIB

OPERATIONS: Final = (
    Operation(
        name="createKey",
        method="POST",
        path="/v1/keys",
        handler=KeyManager.create,
        scope="admin",
        summary="Make a key. Only this answer has its text.",
        parameters=(REASON,),
        body=Body(kind=Wanted, most=_BODY_MOST, decode=partial(decode_strictly, Wanted)),
        answers={201: ("The key.", NewKey)},
        problems=_STORE,
    ),
    Operation(
        name="listKeys",
        method="GET",
        path="/v1/keys",
        handler=KeyManager.list,
        scope="admin",
        summary="All keys, without their secrets.",
        answers={200: ("The keys.", KeyList)},
        problems=_STORE,
    ),
    Operation(
        name="rotateKey",
        method="POST",
        path="/v1/keys/{id}/rotate",
        handler=KeyManager.rotate,
        scope="admin",
        summary="Give a key a successor; both are valid until the time of grace is over. The body may be empty.",
        parameters=(_KEY_ID, REASON),
        body=Body(kind=Rotation, most=_BODY_MOST, decode=decode_rotation, required=False),
        answers={201: ("The successor.", NewKey)},
        problems=(p.KEY_NOT_FOUND, p.KEY_NOT_ROTATABLE, *_STORE),
    ),
    Operation(
        name="revokeKey",
        method="DELETE",
        path="/v1/keys/{id}",
        handler=KeyManager.revoke,
        scope="admin",
        summary="Revoke a key, on every server within two seconds. Revoking it again changes nothing.",
        parameters=(_KEY_ID, REASON),
        answers={200: ("The revoked key.", Key)},
        problems=(p.KEY_NOT_FOUND, *_STORE),
    ),
)
