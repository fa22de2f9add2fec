"""Administrative acts, as the audit has them: who, what, when, why, before and after.

The row is written in the transaction of the act (`note_act`), so there is no act without a row, and no row without an
act.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

ActorType = Literal["key", "command"]
TargetType = Literal["season", "key", "player", "correction"]
Action = Literal[
    "season.define",
    "season.end-period",
    "season.empty",
    "key.create",
    "key.rotate",
    "key.revoke",
    "profile.write",
    "profile.delete",
    "player.erase",
    "player.ban",
    "player.unban",
    "player.hide",
    "player.show",
    "correction.create",
    "correction.undo",
]

_encode: Final = msgspec.json.Encoder().encode


class Act(msgspec.Struct, frozen=True):
    """Who acts, and why.

    `actor` is the id of a key, or the account of a command, by `actor_type`; both are None for a client of an open
    server. `request_id` is the client's own id of the request, if it sent one.
    """

    actor_type: ActorType | None = None
    actor: str | None = None
    request_id: str | None = None
    reason: str | None = None

    def note(
        self, action: Action, target_type: TargetType, target: str, before: Any, after: Any
    ) -> tuple[str, dict[str, Any]]:
        """The statement that notes this act, and its parameters. `before` and `after` become JSON; None: nothing."""
        name = "note_player_act" if target_type == "player" else "note_act"
        parameters = {
            **msgspec.structs.asdict(self),
            "action": action,
            "target_type": target_type,
            "target": target,
            "before": to_text(before),
            "after": to_text(after),
        }
        return name, parameters


def to_text(state: Any) -> str | None:
    """A state as JSON; None for none."""
    return None if state is None else _encode(state).decode()
