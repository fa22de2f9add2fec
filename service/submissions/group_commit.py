"""Taking submissions: natural group commit.

While one statement is being committed, arrivals gather; when it returns, all of them go into the next one. An idle
server commits a lone submission at once, a busy one commits hundreds together and waits a moment (`GATHER_S`) for
those it has just answered. A caller is answered after the commit that holds its submission and never before. Callers
own nothing but a future, so one that hangs up cancels only itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from time import perf_counter_ns
from typing import Final

from board.errors import LeaderboardError, OutcomeUnknown, ServerUnreachable, StoreUnavailable
from board.partitions import partition_of
from board.process.backoff import Backoff
from service.submissions.item import BatchItem, BatchRequest, Item, KeyReused, Outcome, QueueFull, ScoreOutOfRange
from service.submissions.statements import (
    KEY_REUSED,
    KEY_TWICE,
    NO_SEASON,
    REPLAYED,
    WRITTEN,
    IdempotencyConflict,
    NotWritten,
    StatementRejected,
    Writer,
)

log: Final = logging.getLogger(__name__)

GATHER_FROM: Final = 8
GATHER_S: Final = 0.003
"""After a statement of that many submissions, how long their senders get at most to come again before the next one."""

RETRIES: Final = 3


class Intake:
    """The queue of one worker and the connections that empty it.

    `on_commit` is told, after each commit, the set of partitions that have fresh hints. `on_batch` is told of each
    batch how many submissions it had and how many nanoseconds it took.
    """

    def __init__(
        self,
        database_url: str,
        *,
        queue: int,
        batch: int,
        connections: int,
        deadline_s: float,
        on_commit: Callable[[set[int]], None],
        on_batch: Callable[[int, int], None] = lambda size, took_ns: None,
    ) -> None:
        self._url: Final = database_url
        self._room: Final = queue
        self._most: Final = batch
        self._connections: Final = connections
        self._deadline_s: Final = deadline_s
        self._on_commit: Final = on_commit
        self._on_batch: Final = on_batch
        self._queue: deque[Item] = deque()
        self._solo: deque[Item] = deque()
        self._flying = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._gathered = asyncio.Event()
        self._enough = queue + 1
        """So many waiting submissions end the wait for more."""
        self._timer: asyncio.TimerHandle | None = None
        self._down: str | None = None
        self._open = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Begin to connect and write."""
        self._tasks = [asyncio.create_task(self._write(), name=f"intake-{n}") for n in range(self._connections)]

    async def stop(self) -> None:
        """Commit what is queued (each item at most until its deadline), then close."""
        await self._idle.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def depth(self) -> int:
        """Submissions that wait for their commit."""
        return len(self._queue) + len(self._solo) + self._flying

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return self._open

    def submit(
        self, season: str, user: str, delta: int, key: str | None = None, trace: str | None = None
    ) -> asyncio.Future[tuple[int, int]]:
        """Queue a checked submission. The future gets (score, version) after the commit.

        With an idempotency key, a submission that counts already gets the same answer again. `trace` is the
        `traceparent` that a relay shall get with it.

        Nothing PostgreSQL could refuse may be passed in: it would fail its batch-mates. Raises `QueueFull` and
        `StoreUnavailable` at once; the future raises `ScoreOutOfRange`, `KeyReused`, `StoreUnavailable` (not written)
        and `OutcomeUnknown`.
        """
        if self._down is not None:
            raise StoreUnavailable(self._down)
        if len(self._queue) >= self._room:
            raise QueueFull("too many submissions are waiting")
        future: asyncio.Future[tuple[int, int]] = self._loop.create_future()
        item = Item(season, user, delta, future, self._loop.time() + self._deadline_s)
        if key is not None:
            item.set_key(key)
        if trace is not None:
            item.trace = trace
        self._queue.append(item)
        self._begin()
        return future

    def submit_all(
        self, season: str, submissions: list[tuple[str, int, str | None]], trace: str | None = None
    ) -> asyncio.Future[list[Outcome]]:
        """Queue checked submissions (user, delta, key or None) as one batch request, which one statement writes.

        At most `batch` of them. The future gets an `Outcome` for each, in order, and never raises. Raises
        `QueueFull` and `StoreUnavailable` at once. An empty queue takes a batch request of any size.
        """
        if self._down is not None:
            raise StoreUnavailable(self._down)
        if self._queue and len(self._queue) + len(submissions) > self._room:
            raise QueueFull("too many submissions are waiting")
        if not self._tasks:
            # Its connection is opened when the first batch request comes.
            self.start()
        future: asyncio.Future[list[Outcome]] = self._loop.create_future()
        request = BatchRequest(future, len(submissions))
        deadline = self._loop.time() + self._deadline_s
        items = [
            BatchItem(season, user, delta, deadline, request, at) for at, (user, delta, _) in enumerate(submissions)
        ]
        items[0].weight = len(items)
        for item, (_, _, key) in zip(items, submissions, strict=True):
            if key is not None:
                item.set_key(key)
        if trace is not None:
            for item in items:
                item.trace = trace
        self._queue.extend(items)
        self._begin()
        return future

    def _begin(self) -> None:
        """There is something in the queue: wake a writer, and see to the deadline."""
        self._wake.set()
        self._idle.clear()
        if len(self._queue) >= self._enough:
            self._gathered.set()
        if self._timer is None:
            self._timer = self._loop.call_later(self._deadline_s, self._expire)

    def _expire(self) -> None:
        """Drop queued items whose time is up: they were never sent, so that is certain."""
        now = self._loop.time()
        self._timer = None
        for queue in (self._queue, self._solo):
            while queue and queue[0].deadline <= now:
                queue.popleft().fail(StoreUnavailable("PostgreSQL did not get to the submission in time"))
            if queue:
                due = queue[0].deadline
                if self._timer is None or due < self._timer.when():
                    if self._timer is not None:
                        self._timer.cancel()
                    self._timer = self._loop.call_at(due, self._expire)
        self._note_idle()

    def _note_idle(self) -> None:
        if not self._queue and not self._solo and not self._flying:
            self._idle.set()

    async def _wait_for_senders(self, answered: int, waiting: int) -> None:
        """Under load, give those who were just answered the time to come again, beside those who waited already.

        PERF: else they and those who came meanwhile take turns for ever, in statements of half the size.
        """
        if answered >= GATHER_FROM and len(self._queue) < answered + waiting:
            self._enough = answered + waiting
            self._gathered.clear()
            timer = self._loop.call_later(GATHER_S, self._gathered.set)
            try:
                await self._gathered.wait()
            finally:
                timer.cancel()
                self._enough = self._room + 1

    async def _gather(self) -> None:
        """Let the loop read what has already arrived, as long as each turn brings more.

        PERF: a statement costs PostgreSQL about 0.3 ms before its first row. Taking what the kernel already holds
        makes batches several times larger under load, and costs an idle server one turn of the loop.
        """
        waiting = 0
        while waiting < len(self._queue) < self._most:
            waiting = len(self._queue)
            await asyncio.sleep(0)

    def _take(self) -> list[Item]:
        """The next batch; callers that are gone drop out here."""
        batch: list[Item] = []
        if self._solo:
            # One of each player only: their sums are near the edge and have to be judged one by one.
            seen: set[tuple[str, str]] = set()
            rest: deque[Item] = deque()
            while self._solo:
                item = self._solo.popleft()
                if (item.season, item.user) in seen:
                    rest.append(item)
                elif not item.future.done():
                    seen.add((item.season, item.user))
                    batch.append(item)
            self._solo = rest
            return batch
        queue = self._queue
        while queue and len(batch) + queue[0].weight <= self._most:
            item = queue.popleft()
            if not item.future.done():
                batch.append(item)
        return batch

    async def _write(self) -> None:
        """One connection's life: connect, write batches, connect again."""
        backoff = Backoff(0.05, 1.0)
        while True:
            try:
                writer = await Writer.connect(self._url, self._deadline_s)
            except ServerUnreachable as error:
                self._refuse_all(str(error))
                await asyncio.sleep(backoff.failed())
                continue
            self._down = None
            self._open += 1
            backoff.succeeded()
            answered = waiting = 0
            try:
                while not writer.closed:
                    await self._wake.wait()
                    await self._wait_for_senders(answered, waiting)
                    await self._gather()
                    batch = self._take()
                    if not batch:
                        self._wake.clear()
                        self._note_idle()
                        answered = 0
                        continue
                    answered = len(batch)
                    self._flying += len(batch)
                    timer = self._loop.call_at(batch[0].deadline, self._expire_flying, batch)
                    started = perf_counter_ns()
                    try:
                        await self._commit(writer, batch)
                    finally:
                        self._on_batch(len(batch), perf_counter_ns() - started)
                        timer.cancel()
                        self._flying -= len(batch)
                        self._note_idle()
                    waiting = len(self._queue)
            finally:
                self._open -= 1
                await writer.close()

    def _expire_flying(self, batch: list[Item]) -> None:
        """Nobody waits longer than the deadline, not even for a commit whose outcome is open."""
        now = self._loop.time()
        for item in batch:
            if item.deadline <= now:
                item.fail(OutcomeUnknown("PostgreSQL did not confirm the commit in time"))
            elif not item.future.done():
                self._loop.call_at(item.deadline, self._expire_flying, batch)
                break

    def _refuse_all(self, reason: str) -> None:
        """PostgreSQL is down: answer everybody who waits, and everybody who comes, at once."""
        if self._open:
            return
        if self._down is None:
            log.error("submissions are refused: %s", reason)
        self._down = reason
        for queue in (self._queue, self._solo):
            while queue:
                queue.popleft().fail(StoreUnavailable(reason))
        self._note_idle()

    async def _commit(self, writer: Writer, batch: list[Item]) -> None:
        """Write one batch and answer its callers."""
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
            # It is over once the other batch has committed.
            self._send_again(batch)
            return
        except StatementRejected as error:
            await self._divide(writer, batch, error)
            return
        touched: set[int] = set()
        again: list[Item] = []
        repeated: list[Item] = []
        crowd: dict[tuple[str, str], int] | None = None
        for item, (status, score, version) in zip(batch, rows, strict=True):
            if status in (WRITTEN, REPLAYED):
                if not item.future.done():
                    item.future.set_result((score, version))
                touched.add(partition_of(item.season))
            elif status == NO_SEASON:
                again.append(item)
            elif status == KEY_REUSED:
                item.fail(KeyReused("the idempotency key was used for another submission"))
            elif status == KEY_TWICE:
                repeated.append(item)
            else:
                if crowd is None:
                    crowd = {}
                    for other in batch:
                        crowd[other.season, other.user] = crowd.get((other.season, other.user), 0) + 1
                if crowd[item.season, item.user] > 1:
                    self._solo.append(item)
                    self._wake.set()
                else:
                    item.fail(ScoreOutOfRange("the sum would leave the range of 64 bits"))
        if touched:
            self._on_commit(touched)
        self._send_again(repeated)
        if again:
            await self._open_seasons(writer, again)

    async def _open_seasons(self, writer: Writer, items: list[Item]) -> None:
        """Create the seasons of these items and put the items back in front."""
        try:
            await writer.create_seasons({item.season for item in items})
        except (NotWritten, OutcomeUnknown, StatementRejected) as error:
            for item in items:
                item.fail(StoreUnavailable(f"the season could not be created: {error}"))
            return
        self._send_again(items)

    def _send_again(self, items: list[Item]) -> None:
        """Put items back in front of the queue, each a bounded number of times."""
        for item in reversed(items):
            item.tries += 1
            if item.tries > RETRIES:
                item.fail(StoreUnavailable("the submission could not be placed"))
            else:
                self._queue.appendleft(item)
        if items:
            self._wake.set()

    async def _divide(self, writer: Writer, batch: list[Item], error: StatementRejected) -> None:
        """PostgreSQL refused the statement as such: find the item it chokes on, so that it fails alone."""
        if len(batch) == 1:
            log.error("a submission was refused by PostgreSQL: %s", error)
            batch[0].fail(LeaderboardError(str(error)))
            return
        middle = len(batch) // 2
        for half in (batch[:middle], batch[middle:]):
            if writer.closed:
                for item in half:
                    item.fail(StoreUnavailable("the connection to PostgreSQL was lost"))
            else:
                await self._commit(writer, half)
