"""Committing one batch, and the outcome of each of its submissions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Final

from board.errors import LeaderboardError, OutcomeUnknown, StoreUnavailable
from board.partitions import PARTITIONS, partition_of
from service.submissions.columns import make_misfit
from service.submissions.item import (
    AchievedLater,
    Item,
    KeyReused,
    OutOfBounds,
    PeriodExpired,
    PeriodNotFound,
    PlayerBanned,
    ScoreOutOfRange,
    SeasonClosed,
    SeasonNotDefined,
    SeasonNotOpen,
    WrongOperator,
)
from service.submissions.statements import (
    AT_THE_EDGE,
    BANNED,
    CLOSED,
    DUE,
    FEEDS,
    HAS_MORE,
    KEY_REUSED,
    KEY_TWICE,
    MISFIT,
    NO_PERIOD,
    NO_SEASON,
    NOT_OPEN,
    OUT_OF_BOUNDS,
    OUT_OF_RANGE,
    OUTDATED,
    PERIOD_GONE,
    REFITTED,
    REPLAYED,
    RESTRICTED,
    TOO_NEW,
    WRITTEN,
    WRONG_OPERATOR,
    IdempotencyConflict,
    NotWritten,
    StatementRejected,
    SubmissionsTorn,
    Writer,
)

log: Final = logging.getLogger(__name__)

RETRIES_MOST: Final = 3
"""How often a submission is queued again before it fails."""
RULED_MOST: Final = 4_096
"""Seasons that an intake remembers to need the statement by rule."""

_REFUSALS: Final[dict[int, Callable[[], LeaderboardError]]] = {
    KEY_REUSED: lambda: KeyReused("the idempotency key was used for another submission"),
    WRONG_OPERATOR: lambda: WrongOperator("the season's operator takes the other one of delta and score"),
    OUT_OF_BOUNDS: lambda: OutOfBounds("the submission is outside the season's bounds"),
    NOT_OPEN: lambda: SeasonNotOpen("the season is not open yet"),
    BANNED: lambda: PlayerBanned("the player is banned"),
    CLOSED: lambda: SeasonClosed("the period has ended"),
    TOO_NEW: lambda: AchievedLater("the submission was achieved later than now"),
    NO_PERIOD: lambda: PeriodNotFound("the season has had no such period yet"),
    PERIOD_GONE: lambda: PeriodExpired("the period is not kept any more"),
}
"""The errors of submissions that PostgreSQL has refused for good."""
NOT_TURNED: Final = (NotWritten, StatementRejected, IdempotencyConflict)


class Committer:
    """Commits the batches of one intake. Each submission gets its outcome, or is queued again.

    `on_commit` is called after each commit with the partitions that have fresh hints. `put_back`
    queues submissions in front of all others. `put_apart` queues one for a batch in which its player
    has no other submission.

    `ruled` are the seasons that are known to need the statement by rule, `feeding` those of them that feed others. They
    save a round trip, and decide nothing.
    """

    def __init__(
        self,
        on_commit: Callable[[set[int]], None],
        *,
        put_back: Callable[[list[Item]], None],
        put_apart: Callable[[Item], None],
    ) -> None:
        self._on_commit: Final = on_commit
        self._put_back: Final = put_back
        self._put_apart: Final = put_apart
        self.ruled: Final[set[str]] = set()
        self.feeding: Final[set[str]] = set()

    async def commit(self, writer: Writer, batch: list[Item]) -> None:
        """Write a batch with one statement, and answer its callers. Errors go to the futures; none is raised."""
        try:
            rows = await writer.submit(batch)
        except NotWritten as error:
            for item in batch:
                item.fail(StoreUnavailable(str(error)))
            return
        except OutcomeUnknown as error:
            log.warning("outcome of %d submissions unknown: %s", len(batch), error)
            for item in batch:
                item.fail(error)
            return
        except IdempotencyConflict:
            # The conflict ends when the other batch has committed.
            self._send_again(batch)
            return
        except SubmissionsTorn as error:
            await self._commit_apart(writer, batch, error.torn)
            return
        except StatementRejected as error:
            await self._divide(writer, batch, error)
            return
        touched: set[int] = set()
        unknown: list[Item] = []
        repeated: list[Item] = []
        put_back: list[Item] = []
        due: dict[str, list[Item]] = {}
        counts: dict[tuple[str, str], int] | None = None
        for item, (status, counted) in zip(batch, rows, strict=True):
            if status in (WRITTEN, REPLAYED):
                if not item.future.done():
                    item.future.set_result(counted)
                touched.add(partition_of(item.season))
            elif status == NO_SEASON and item.scored and not writer.only_defined:
                # The season would be made with the defaults, and refuse the score.
                item.fail(_REFUSALS[WRONG_OPERATOR]())
            elif status == NO_SEASON and item.extras.columns and not writer.only_defined:
                item.fail(make_misfit(()))
            elif status == NO_SEASON:
                unknown.append(item)
            elif status == KEY_TWICE:
                repeated.append(item)
            elif status in (OUTDATED, REFITTED, RESTRICTED):
                # Each time another submission of the player has been written meanwhile, or the season was given other
                # columns, or the first player was restricted: no bound but the deadline.
                put_back.append(item)
            elif status == MISFIT:
                item.fail(writer.columns.make_misfit(item))
            elif status == DUE:
                due.setdefault(counted[-1] or item.season, []).append(item)
            elif status == FEEDS:
                self._note_ruled({item.season}, {item.season})
                item.by_rule = item.full = True
                put_back.append(item)
            elif status == HAS_MORE:
                item.by_rule = True
                put_back.append(item)
            elif status == AT_THE_EDGE:
                item.edge = True
                put_back.append(item)
            elif status != OUT_OF_RANGE:
                item.fail(_REFUSALS[status]())
            else:
                if counts is None:
                    counts = {}
                    for other in batch:
                        counts[other.season, other.user] = counts.get((other.season, other.user), 0) + 1
                if counts[item.season, item.user] > 1:
                    item.edge = True
                    self._put_apart(item)
                else:
                    item.fail(ScoreOutOfRange("the sum would leave the range of 64 bits"))
        if fed := writer.fed_partitions:
            touched.update(partition for partition in range(PARTITIONS) if fed >> partition & 1)
        if touched:
            self._on_commit(touched)
        if put_back:
            self._put_back(put_back)
        self._send_again(repeated)
        if unknown:
            await self._find_seasons(writer, unknown)
        if due:
            await self._turn_seasons(writer, due)

    async def _find_seasons(self, writer: Writer, items: list[Item]) -> None:
        """Create the seasons of these items, or learn that they need the statement by rule; queue the items again.

        No season is created for a banned player: the statement that has not found it may not have looked for bans.
        """
        try:
            if not writer.only_defined:
                for item in await writer.find_banned(items):
                    item.fail(_REFUSALS[BANNED]())
                items = [item for item in items if not item.future.done()]
            found = await writer.find_seasons({item.season for item in items}) if items else {}
        except (NotWritten, OutcomeUnknown, StatementRejected) as error:
            for item in items:
                item.fail(StoreUnavailable(f"the season could not be created: {error}"))
            return
        self._note_ruled({season for season, is_ruled in found.items() if is_ruled})
        again: list[Item] = []
        for item in items:
            if item.season in found:
                item.by_rule = item.by_rule or found[item.season]
                again.append(item)
            else:
                item.fail(SeasonNotDefined("the season was never defined"))
        self._send_again(again)

    def _note_ruled(self, ruled: AbstractSet[str], feeding: AbstractSet[str] = frozenset()) -> None:
        if len(self.ruled) + len(ruled) > RULED_MOST:
            self.ruled.clear()
            self.feeding.clear()
        self.ruled.update(ruled)
        self.feeding.update(feeding)

    async def _turn_seasons(self, writer: Writer, waiting: dict[str, list[Item]]) -> None:
        """Turn seasons whose periods' ends have come, and queue the items again that wait for each.

        The statement that found it out has ended: a turn that waited for others' locks with a lock of its own would
        deadlock. Each try turns something, here or elsewhere: no bound but the deadline.
        """
        for season, mine in waiting.items():
            try:
                if writer.closed:
                    raise StoreUnavailable("the connection to PostgreSQL was lost")
                await writer.turn_season(season)
            except (*NOT_TURNED, LeaderboardError) as error:
                log.warning("season %s could not be turned: %s", season, error)
                for item in mine:
                    item.fail(StoreUnavailable(f"the season's next period could not be begun: {error}"))
            else:
                self._put_back(mine)

    def _send_again(self, items: list[Item]) -> None:
        """Queue items again in front of all others, each at most `RETRIES_MOST` times."""
        again: list[Item] = []
        for item in items:
            item.tries += 1
            if item.tries > RETRIES_MOST:
                item.fail(StoreUnavailable("the submission conflicted with others, or lost its season, too often"))
            else:
                again.append(item)
        if again:
            self._put_back(again)

    async def _commit_apart(self, writer: Writer, batch: list[Item], torn: dict[int, int]) -> None:
        """Some of a batch would have counted in a part of their seasons, so nothing was written: commit the others,
        then the torn ones in batches that have each player once.

        Then no row depends on two of them, and one that is torn has met a later number, or left int64 by itself.
        """
        others = [item for at, item in enumerate(batch) if at not in torn]
        if len({item.user for item in batch}) == len(batch):
            again: list[Item] = []
            for at, status in torn.items():
                if status == OUT_OF_RANGE:
                    batch[at].fail(ScoreOutOfRange("the sum would leave the range of 64 bits"))
                else:
                    again.append(batch[at])
            if again:
                self._put_back(again)
            batches = [others]
        else:
            batches = [others, *divide_by_player([batch[at] for at in sorted(torn)])]
        for part in batches:
            waiting = [item for item in part if not item.future.done()]
            if writer.closed:
                for item in waiting:
                    item.fail(StoreUnavailable("the connection to PostgreSQL was lost"))
            elif waiting:
                await self.commit(writer, waiting)

    async def _divide(self, writer: Writer, batch: list[Item], error: StatementRejected) -> None:
        """PostgreSQL rejected the statement because of an item: halve the batch until that item fails alone."""
        if len(batch) == 1:
            log.error("a submission was rejected by PostgreSQL: %s", error)
            batch[0].fail(LeaderboardError(str(error)))
            return
        middle = len(batch) // 2
        for half in (batch[:middle], batch[middle:]):
            if writer.closed:
                for item in half:
                    item.fail(StoreUnavailable("the connection to PostgreSQL was lost"))
            else:
                await self.commit(writer, half)


def divide_by_player(items: list[Item]) -> list[list[Item]]:
    """Divide items into batches that have each player once, those of a player in their order."""
    batches: list[list[Item]] = []
    counts: dict[str, int] = {}
    for item in items:
        nth = counts.get(item.user, 0)
        counts[item.user] = nth + 1
        if nth == len(batches):
            batches.append([])
        batches[nth].append(item)
    return batches
