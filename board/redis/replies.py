"""Error replies of Redis, told apart by their code: the first word of the reply.

redis-py has a class for many codes, and then leaves the code out of the message. hiredis alone keeps the whole text.
https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import hiredis
from redis.exceptions import (
    AskError,
    ClusterCrossSlotError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from board.errors import BoardUnavailable

ErrorReply = ResponseError | hiredis.ReplyError


class NodeUnavailable(ResponseError):
    """A node of a cluster does not answer, or none has the slot: it is as if the node had refused the command."""


_OF_THE_SERVER: Final = (
    NodeUnavailable,
    AskError,  # MovedError, too
    ClusterCrossSlotError,
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
_OF_THE_DATA: Final = frozenset({"ERR", "WRONGTYPE"})
"""The codes that one key, or one value, can cause. Every other code is about the server or the rights of its user."""
_ERR_OF_THE_SERVER: Final = re.compile(
    r"ACL failure in script|The user executing the script can't"
    r"|unknown (sub)?command|Unknown Redis command called from script"
    r"|This Redis command is not allowed|command not allowed|Script attempted to access a non local key",
    re.IGNORECASE,
)
"""Texts with the code ERR that are all the same about the server: rights inside a script, disabled commands."""
_NOT_MASTER: Final = frozenset({"READONLY", "MASTERDOWN", "UNBLOCKED"})
_CODE: Final = re.compile(r"[A-Z]{3,}(?= |$)")


def code_of(reply: ErrorReply) -> str:
    """The code, such as ``OOM`` or ``WRONGTYPE``; ``ERR`` if the reply has no other one."""
    if code := getattr(reply, "status_code", None):
        return str(code)
    found = _CODE.match(str(reply))
    return found[0] if found else "ERR"


def describe(reply: ErrorReply) -> str:
    """The text with its code, which redis-py leaves out of the message."""
    code, text = code_of(reply), str(reply)
    if isinstance(reply, NodeUnavailable):
        return text
    return text if text.startswith(code) else f"{code} {text}"


def concerns_server(reply: ErrorReply) -> bool:
    """True for an error that every season would get: memory, disk, role, rights, cluster. Not only this key's."""
    if isinstance(reply, _OF_THE_SERVER):
        return True
    code = code_of(reply)
    return code not in _OF_THE_DATA or (code == "ERR" and _ERR_OF_THE_SERVER.search(str(reply)) is not None)


def is_not_master(reply: ErrorReply) -> bool:
    """True if the reply shows that the node is no master, or has just ceased to be one."""
    return isinstance(reply, ReadOnlyError | MasterDownError) or code_of(reply) in _NOT_MASTER


def raise_server_error(*replies: Any) -> None:
    """Raise the first of these replies that is an error about the server: it says nothing about a key."""
    for reply in replies:
        if isinstance(reply, ResponseError) and concerns_server(reply):
            raise reply


class RedisRefused(BoardUnavailable):
    """Redis answered with this error reply."""

    def __init__(self, reply: ErrorReply) -> None:
        super().__init__(f"Redis refused: {describe(reply)}")
        self.reply: Final = reply


def parse_info(reply: bytes) -> Mapping[str, str]:
    """The reply to INFO, or to CLUSTER INFO: field -> value."""
    lines = reply.decode("utf-8", "replace").splitlines()
    return dict(line.partition(":")[::2] for line in lines if ":" in line)
