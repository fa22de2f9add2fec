"""`leaderboard audit`: the administrative acts."""

from __future__ import annotations

import datetime
from typing import Any, Final, get_args

import msgspec
import psycopg

from board.audit import Action, TargetType
from board.errors import UsageError
from board.pg import schema
from board.pg.connections import make_write_error
from board.pg.queries import queries
from ctl import output
from ctl.command import JSON, Command, Example, Invocation, argument
from ctl.connections import connect_postgres
from service.audit.log import choose, make_act
from service.audit.types import AuditedAct, Target

LIMIT_MOST: Final = 1_000
COLUMNS: Final = (
    output.Column("id", number=True),
    *map(output.Column, ("at", "actor", "action", "target", "reason", "change")),
)


def run(call: Invocation) -> int:
    """Print the latest acts, the latest first. Raises `UsageError`."""
    args = call.arguments
    if not 1 <= args.limit <= LIMIT_MOST:
        raise UsageError(f"--limit is 1 to {LIMIT_MOST}")
    chosen = choose(
        limit=args.limit, action=args.action, actor=args.actor, target_type=args.target_type, target=args.target
    )
    with connect_postgres(call.settings()) as db:
        schema.check(db)
        try:
            acts = [make_act(row) for row in db.execute(queries()["audit_page"], chosen).fetchall()]
        except psycopg.Error as error:
            raise make_write_error(error, db) from error
    if args.json:
        output.print_json({"items": acts})
        return 0
    output.print_parts(output.make_table(COLUMNS, [describe_act(act) for act in acts]))
    return 0


def describe_act(act: AuditedAct) -> tuple[str, ...]:
    """The cells of an act."""
    at = act.at.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    actor = "an open server's client" if act.actor is None else act.actor.id
    target = f"{act.target.type} {name_target(act.target)}"
    return str(act.id), at, actor, act.action, target, act.reason or "", describe_change(act.before, act.after)


def name_target(target: Target) -> str:
    """The id of a target; of a player who was erased the number."""
    return f"number {target.number}, erased" if target.id is msgspec.UNSET else target.id


def describe_change(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    """The members that differ, a line each."""
    was, became = before or {}, after or {}
    names = [name for name in {**was, **became} if was.get(name) != became.get(name)]
    return "\n".join(f"{name}: {to_text(was.get(name))} → {to_text(became.get(name))}" for name in names)


def to_text(value: Any) -> str:
    """A value as JSON."""
    return msgspec.json.encode(value).decode()


COMMAND: Final = Command(
    name="audit",
    summary="The administrative acts, the latest first: who did what, when and why.",
    arguments=(
        JSON,
        argument("--limit", type=int, default=50, metavar="N", help="how many at most (50)"),
        argument("--action", metavar="NAME", choices=get_args(Action), help="acts of this kind only, as season.define"),
        argument("--actor", metavar="ID", help="acts of this key, or account, only"),
        argument("--target-type", choices=get_args(TargetType), help="acts on such things only"),
        argument("--target", metavar="ID", help="acts on this season, key or player only"),
    ),
    examples=(
        Example("leaderboard audit --target spring", "all that was done to one season"),
        Example("leaderboard audit --action key.create --json", "for a program"),
    ),
    run=run,
)
