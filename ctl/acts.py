"""Administrative acts of commands, as the audit has them."""

from __future__ import annotations

import os
import pwd
import socket
from typing import Final

from board.audit import Act
from board.errors import UsageError
from ctl.command import Argument, Invocation, argument
from service.contract.reason import REASON_MAX
from service.contract.validation import is_plain

REASON: Final[Argument] = argument("--reason", metavar="TEXT", help="why, for the audit")
"""The option of every command that changes something on an administrator's behalf."""


def make_act(call: Invocation) -> Act:
    """The act of this command. Raises `UsageError` for a reason that the audit does not take."""
    reason = getattr(call.arguments, "reason", None)
    if reason is not None and not is_plain(reason, REASON_MAX):
        raise UsageError(f"--reason has 1 to {REASON_MAX} characters, none of them a control character")
    return Act("command", name_account(), None, reason)


def name_account() -> str:
    """The account of this process and its host, as `root@board-1`. The environment does not decide about it."""
    try:
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        # Containers run accounts that have no name.
        account = str(os.getuid())
    return f"{account}@{socket.gethostname()}"[:256]
