"""The intake: a queue of submissions with deadlines, and natural group commit.

While one statement commits, new submissions gather in the queue; the next statement writes all of them. An idle server
commits a single submission at once. A busy server commits hundreds together, and waits up to `GATHER_S` for the clients
it has just answered. A submission is answered after its commit and never before. A caller holds only a future, so a
client that hangs up cancels nothing but its own submission.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import islice
from time import perf_counter_ns
from typing import Final

from board.errors import OutcomeUnknown, ServerUnreachable, StoreUnavailable
from board.process.backoff import Backoff
from board.process.tasks import LastingTask
from service.submissions.apart import ApartQueue
from service.submissions.columns import ColumnMemory
from service.submissions.item import NO_EXTRAS, BatchItem, BatchRequest, Counted, Extras, Item, Outcome, QueueFull
from service.submissions.outcomes import Committer
from service.submissions.statements import Writer

log: Final = logging.getLogger(__name__)

GATHER_FROM: Final = 8
"""Submissions of a statement from which on the next one waits for their senders to send again (linger)."""
GATHER_S: Final = 0.003
"""The longest such wait."""
TOO_LATE: Final = "the submission was not sent to PostgreSQL in time"


class Intake:
    """The queue of one worker, and the connections that empty it.

    `queue` is the number of submissions that may wait, `batch` the number that one statement writes at most. Within
    `deadline_s` seconds each submission has an outcome.

    `on_commit` is called after each commit with the set of partitions that have fresh hints; `on_batch` after each
    batch with its number of submissions and its duration in nanoseconds. `only_defined` refuses submissions to seasons
    that were never defined.
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
        only_defined: bool = False,
    ) -> None:
        self._url: Final = database_url
        self._room: Final = queue
        self._most: Final = batch
        self._connections: Final = connections
        self._deadline_s: Final = deadline_s
        self._committer: Final = Committer(on_commit, put_back=self._put_back, put_apart=self._put_apart)
        self._on_batch: Final = on_batch
        self._only_defined: Final = only_defined
        self._columns: Final = ColumnMemory()
        self._ruled: Final = self._committer.ruled
        self._feeding: Final = self._committer.feeding
        self._queue: deque[Item] = deque()
        self._apart: Final = ApartQueue()
        self._apart_took_part = False
        """Whether the last batch had items set apart."""
        self._flying = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._gathered = asyncio.Event()
        self._enough = queue + 1
        """The number of waiting submissions that ends the linger."""
        self._timer: asyncio.TimerHandle | None = None
        self._down: str | None = None
        self._open = 0
        self._tasks: list[LastingTask] = []
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Begin to connect and write. Needs the running event loop."""
        failed = partial(self._refuse_all, "the intake of this worker has failed")
        self._tasks = [LastingTask(self._write(), f"intake-{n}", on_failure=failed) for n in range(self._connections)]

    async def stop(self) -> None:
        """Commit the queued submissions, each until its deadline at most; then close."""
        await self._idle.wait()
        await asyncio.gather(*(task.stop() for task in self._tasks))

    @property
    def depth(self) -> int:
        """The number of submissions that wait for their commit."""
        return len(self._queue) + len(self._apart) + self._flying

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return self._open

    def submit(
        self,
        season: str,
        user: str,
        number: int,
        key: str | None = None,
        trace: str | None = None,
        *,
        scored: bool = False,
        extras: Extras = NO_EXTRAS,
    ) -> asyncio.Future[Counted]:
        """Queue a validated submission: its delta, or its score if it is `scored`.

        The future gets its figures after the commit.

        With an idempotency key, a submission that already counts gets the same answer again. `trace` is the
        `traceparent` for the relay (W3C Trace Context). `extras` are kept by the statement by rule
        only; with metadata or a version they need it.

        Values that PostgreSQL rejects must not be passed in: their batch would have to be divided. Raises `QueueFull`
        and `StoreUnavailable` at once. The future raises `ScoreOutOfRange`, `KeyReused`, `StoreUnavailable` (nothing
        was written), `OutcomeUnknown`, and the refusals of the season: `WrongOperator`, `OutOfBounds`, `SeasonNotOpen`,
        `SeasonNotDefined`.
        """
        if self._down is not None:
            raise StoreUnavailable(self._down)
        if len(self._queue) >= self._room:
            raise QueueFull("too many submissions are waiting")
        future: asyncio.Future[Counted] = self._loop.create_future()
        item = Item(season, user, number, future, self._loop.time() + self._deadline_s)
        if scored or season in self._ruled:
            item.scored = scored
            item.by_rule = True
            item.full = season in self._feeding
        if extras is not NO_EXTRAS:
            item.extras = extras
            item.by_rule = item.by_rule or extras.by_rule
            item.full = item.full or extras.is_placed
        if key is not None:
            item.set_key(key)
        if trace is not None:
            item.trace = trace
        self._queue.append(item)
        self._begin()
        return future

    def submit_all(
        self, season: str, submissions: list[tuple[str, int, str | None, bool, Extras]], trace: str | None = None
    ) -> asyncio.Future[list[Outcome]]:
        """Queue validated submissions as one batch request, which one statement writes.

        `submissions` are 1 to `batch` tuples of user, number, idempotency key or None, whether the number is a score,
        and extras (`submit`). The future gets an `Outcome` for each, in order, and never raises. Raises `QueueFull` and
        `StoreUnavailable` at once. An empty queue accepts a batch request of any size.
        """
        if self._down is not None:
            raise StoreUnavailable(self._down)
        if self._queue and len(self._queue) + len(submissions) > self._room:
            raise QueueFull("too many submissions are waiting")
        if not self._tasks:
            # The first batch request opens the connection.
            self.start()
        future: asyncio.Future[list[Outcome]] = self._loop.create_future()
        request = BatchRequest(future, len(submissions))
        deadline = self._loop.time() + self._deadline_s
        items = [
            BatchItem(season, user, number, deadline, request, at) for at, (user, number, *_) in enumerate(submissions)
        ]
        items[0].weight = len(items)
        is_ruled, is_feeding = season in self._ruled, season in self._feeding
        for item, (_, _, key, scored, extras) in zip(items, submissions, strict=True):
            if scored or is_ruled:
                item.scored = scored
                item.by_rule = True
                item.full = is_feeding
            if extras is not NO_EXTRAS:
                item.extras = extras
                item.by_rule = item.by_rule or extras.by_rule
                item.full = item.full or extras.is_placed
            if key is not None:
                item.set_key(key)
        if trace is not None:
            for item in items:
                item.trace = trace
        self._queue.extend(items)
        self._begin()
        return future

    def _begin(self) -> None:
        """Wake a writer for a queued submission, and set the timer for its deadline."""
        self._wake.set()
        self._idle.clear()
        if len(self._queue) >= self._enough:
            self._gathered.set()
        if self._timer is None:
            self._timer = self._loop.call_later(self._deadline_s, self._expire)

    def _expire(self) -> None:
        """Fail queued items whose deadline has passed. They were never sent, so nothing was written."""
        now = self._loop.time()
        self._timer = None
        queue = self._queue
        while queue and queue[0].deadline <= now:
            queue.popleft().fail(StoreUnavailable(TOO_LATE))
        for item in self._apart.take_expired(now):
            item.fail(StoreUnavailable(TOO_LATE))
        due = self._apart.find_deadline()
        if queue and (due is None or queue[0].deadline < due):
            due = queue[0].deadline
        if due is not None:
            self._expire_at(due)
        self._note_idle()

    def _expire_at(self, deadline: float) -> None:
        """Set the timer for queued items, unless it is set."""
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._expire)

    def _note_idle(self) -> None:
        if not self._queue and not self._apart and not self._flying:
            self._idle.set()

    async def _wait_for_senders(self, answered: int, waiting: int) -> None:
        """Linger: under load, wait until the clients just answered have sent again, beside those already waiting.

        PERF: otherwise two groups of clients alternate, in statements of half the size.
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
        """Let the loop read requests that have already arrived, while each turn brings more.

        PERF: a statement costs PostgreSQL about 0.3 ms before its first row. Taking the requests that the kernel
        already holds makes batches several times larger under load, and costs an idle server one turn of the loop.
        """
        waiting = 0
        while waiting < len(self._queue) < self._most:
            waiting = len(self._queue)
            await asyncio.sleep(0)

    def _take(self) -> list[Item]:
        """The next batch, without items whose callers are gone."""
        queue = self._queue
        if self._apart:
            self._apart_took_part = not self._apart_took_part or not queue
            if self._apart_took_part:
                return self._take_apart()
        batch: list[Item] = []
        while queue and len(batch) + queue[0].weight <= self._most:
            item = queue.popleft()
            if not item.future.done():
                batch.append(item)
        return batch

    def _take_apart(self) -> list[Item]:
        """The next batch of which items set apart are a part: one of each player, then items of other players.

        While others wait, every second batch is such a one. So items set apart take half of the commits at most.
        """
        batch = self._apart.take(self._most)
        players = {(item.season, item.user) for item in batch}
        queue = self._queue
        while queue and len(batch) + (weight := queue[0].weight) <= self._most:
            if not players.isdisjoint((item.season, item.user) for item in islice(queue, weight)):
                break
            item = queue.popleft()
            if not item.future.done():
                batch.append(item)
        return batch

    def _put_back(self, items: list[Item]) -> None:
        """Queue items again, in front of all others and in their order."""
        self._queue.extendleft(reversed(items))
        self._expire_at(items[0].deadline)
        self._wake.set()

    def _put_apart(self, item: Item) -> None:
        """Queue an item for a batch in which its player has no other."""
        self._apart.append(item)
        self._expire_at(item.deadline)
        self._wake.set()

    async def _write(self) -> None:
        """The loop of one connection: connect, write batches, connect again."""
        backoff = Backoff(0.05, 1.0)
        while True:
            try:
                writer = await Writer.connect(
                    self._url, self._deadline_s, only_defined=self._only_defined, columns=self._columns
                )
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
                    if not self._wake.is_set():
                        await self._wake.wait()
                        if not writer.is_open():
                            log.info("PostgreSQL has closed an idle connection of the intake, connecting again")
                            break
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
                    finished = False
                    try:
                        await self._committer.commit(writer, batch)
                        finished = True
                    finally:
                        if not finished:
                            self._lose(batch)
                        self._on_batch(len(batch), perf_counter_ns() - started)
                        timer.cancel()
                        self._flying -= len(batch)
                        self._note_idle()
                    waiting = len(self._queue)
            finally:
                self._open -= 1
                await writer.close()

    def _lose(self, batch: list[Item]) -> None:
        """Fail the items of a commit that a defect or the end of the worker broke off: their outcome is unknown."""
        for item in batch:
            item.fail(OutcomeUnknown("the worker broke off the commit"))

    def _expire_flying(self, batch: list[Item]) -> None:
        """Fail the items of a batch under way whose deadline has passed: their outcome is unknown."""
        now = self._loop.time()
        for item in batch:
            if item.deadline <= now:
                item.fail(OutcomeUnknown("PostgreSQL did not confirm the commit in time"))
            elif not item.future.done():
                self._loop.call_at(item.deadline, self._expire_flying, batch)
                break

    def _refuse_all(self, reason: str) -> None:
        """PostgreSQL is down: fail all queued submissions now, and new ones at once."""
        if self._open:
            return
        if self._down is None:
            log.error("submissions are refused: %s", reason)
        self._down = reason
        while self._queue:
            self._queue.popleft().fail(StoreUnavailable(reason))
        for item in self._apart.take_all():
            item.fail(StoreUnavailable(reason))
        self._note_idle()
