"""The state of the system as PostgreSQL and Redis tell it, and its meaning in words."""

from __future__ import annotations

import datetime
from typing import Any, Final, Literal

import msgspec

State = Literal["ok", "behind", "foreign", "unknown"]
"""Redis' watermark beside the committed fence: behind (Redis lost something), foreign (another PostgreSQL wrote it),
unknown (Redis does not answer)."""

OVERDUE_S: Final = 60.0
UNCLOSED_S: Final = 600.0
HELD_BACK_S: Final = 60.0
"""From these ages on the alerts of monitoring/rules.yml fire, and the lines are red."""
EVENTS_MOST: Final = 10_000
"""The number up to which the events are counted."""


class PartitionRow(msgspec.Struct, frozen=True):
    """A row of the query `status`."""

    id: int
    fence: int
    identity: str | None
    committed_at: datetime.datetime | None
    rebuilt_at: datetime.datetime | None
    pending: int
    oldest_s: float
    seasons: int


class AilingRow(msgspec.Struct, frozen=True):
    """A row of the query `seasons_set_aside`: a season that is set aside (table `ailing`)."""

    season_id: str
    partition: int
    reason: str
    tries: int
    since: datetime.datetime
    retry_at: datetime.datetime


class PeriodStatus(msgspec.Struct, frozen=True):
    """The row of the query `period_status`. Ages in seconds, 0 where there is nothing of that kind.

    `keeper`: whether one is at work. `overdue`: seasons past their period's end without a turn. `closing`:
    ended periods without final ranks; `unclosed_s`: the longest time past a grace. `events`: 10,001 stands for more
    than 10,000. `held_back`: events that readers are not shown yet, since an older transaction goes on.
    """

    keeper: bool
    overdue: int
    overdue_s: float
    closing: int
    unclosed_s: float
    events: int
    oldest_event_s: float
    held_back: int
    held_back_s: float


def compare_watermark(fence: int, identity: str, watermark: Any) -> tuple[int | None, State]:
    """The fence that Redis holds, and its state beside the committed `fence` of the PostgreSQL named by `identity`.

    `watermark` is Redis' reply: fence and identity as bytes, an error, or None.
    """
    if watermark is None or isinstance(watermark, Exception):
        return None, "unknown"
    held_fence, held_identity = watermark
    if held_fence is None or not held_fence.isdigit():
        return None, "ok" if fence == 0 and held_fence is None else "behind"
    if held_identity != identity.encode():
        return int(held_fence), "foreign"
    return int(held_fence), "ok" if int(held_fence) >= fence else "behind"


def describe_periods(p: PeriodStatus) -> list[tuple[str, bool]]:
    """Lines about keeper, periods and events, each with whether it is wrong."""
    lines = [("keeper at work" if p.keeper else "no keeper is at work: periods do not end by themselves", not p.keeper)]
    if p.overdue:
        late = f"{p.overdue:,} periods overdue, the oldest for {p.overdue_s:.1f} s"
        lines.append((late, p.overdue_s >= OVERDUE_S))
    if p.closing:
        text = f"{p.closing:,} ended periods without final ranks"
        if p.unclosed_s:
            text += f", the oldest for {p.unclosed_s:.1f} s past its grace"
        lines.append((text, p.unclosed_s >= UNCLOSED_S))
    if p.events:
        number = f"{p.events:,}" if p.events <= EVENTS_MOST else f"more than {EVENTS_MOST:,}"
        lines.append((f"{number} events, the oldest of {p.oldest_event_s / 86_400:.1f} days ago", False))
    if p.held_back:
        text = f"{p.held_back:,} events are held back by an older transaction, the oldest for {p.held_back_s:.1f} s"
        lines.append((text, p.held_back_s >= HELD_BACK_S))
    return lines
