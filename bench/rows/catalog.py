"""The list of rows: name, figure and unit of each, and the calibration rows that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from board.errors import UsageError

PEER: Final = "peer_"
"""Before the name of a row: the figures of the original, measured in the same run."""
Scale = Literal["writes", "reads", "none"]


class Row(msgspec.Struct, frozen=True):
    """A row of the report. Rows are chosen by `name` or `family`; `text` describes the row.

    `main` is the name of the figure that is compared, `unit` its unit. `original` is the figure of the original system
    on its own machine, `scale` the calibration that converts it to this one.
    """

    name: str
    family: str
    text: str
    main: str = "per_s"
    unit: str = "/s"
    original: float | None = None
    scale: Scale = "none"


ROWS: Final = (
    Row("pgbench", "calibration", "pgbench: two inserts in a transaction, 50 clients, prepared"),
    Row("zrevrank", "calibration", "redis-benchmark: ZREVRANK, unpipelined, 50 clients"),
    Row("zrevrange", "calibration", "redis-benchmark: ZREVRANGE 0 99 WITHSCORES, unpipelined, 50 clients"),
    Row("nginx", "calibration", "nginx: a constant answer"),
    Row("post", "writes", "POST, a new player each time, relays running", original=5_950, scale="writes"),
    Row("post_hot", "writes", "POST to a pool of 1,000 players, relays running"),
    Row("post_best", "writes", "POST of random scores to a pool of 1,000 players, the best one counts"),
    Row("post_columns", "writes", "POST of scores with a column to a pool of 1,000 players, the best run counts"),
    Row("post_feeds_4", "writes", "as post_best, to a season that feeds four others"),
    Row("post_seasons", "writes", "as post_hot, to five sums at random"),
    Row("post_operators", "writes", "as post_hot, to a sum, best, lowest, last, and best with a column, at random"),
    Row("batch", "writes", "batches of 1,000 submissions, relays running (scores)"),
    Row("memory", "memory", "Redis memory per player, ids of 10 characters", "bytes", "bytes"),
    Row("memory_segment", "memory", "as memory, for its place in one of 200 segments", "bytes", "bytes"),
    Row("disk", "memory", "PostgreSQL's ledger per submission", "bytes", "bytes"),
    Row("post_keys", "access", "as post, with a key"),
    Row("post_limited", "access", "as post, with a key and quotas of key and player"),
    Row("rebuild", "rebuild", "rebuild of one board (players)"),
    Row("top10", "reads", "top 10", original=34_000, scale="reads"),
    Row("top100", "reads", "top 100", original=17_000, scale="reads"),
    Row("rank", "reads", "rank, a different player each time", original=24_000, scale="reads"),
    Row("around", "reads", "around, range 5, a different player each time", original=17_500, scale="reads"),
    Row("top_page", "reads", "top 10 after the first 10,000"),
    Row("top_cursor", "reads", "the next top 10, by its cursor"),
    Row("around_fill", "reads", "around with a full window, range 5, a different player each time"),
    Row("around_score", "reads", "around the place of a score, range 5"),
    Row("standings", "reads", "standing of a player in a named season, a different player each time"),
    Row("score", "reads", "score of the 95th percentile"),
    Row("histogram", "reads", "histogram of 20 buckets"),
    Row("lookup100", "reads", "lookup of 100 random players, at a quarter of the peak, open loop", "p99_ms", "ms"),
    Row("top100_names", "reads", "top 100 of players with display names"),
    Row("top10_segment", "reads", "top 10 of a segment that has a tenth of the players"),
    Row("rank_segment", "reads", "rank within that segment, a different player each time"),
    Row("lookup100_segment", "reads", "lookup of 100 players of that segment, the same way", "p99_ms", "ms"),
    Row("period_close", "periods", "end of a period: until its ranks are final (players)"),
    Row("past_rank", "periods", "rank in a final period, at a quarter of the peak, open loop", "p99_ms", "ms"),
    Row("ban", "moderation", "from a ban until a read does not find the player, beside POSTs", "p99_ms", "ms"),
    Row("void", "moderation", "POST while a correction voids submissions of 10,000 players, of without", "share", ""),
    Row("refused_body", "refusals", "POST with a wrong body: refused"),
    Row("refused_key", "refusals", "POST with an unknown key: refused"),
    Row("refused_secret", "refusals", "POST with a wrong secret of a known key: refused"),
    Row("refused_player", "refusals", "rank of an unknown player: refused"),
    Row("drain_1", "drain", "drain of a backlog in 1 season (hints)"),
    Row("drain_1000", "drain", "drain of a backlog in 1,000 seasons (hints)"),
    Row("visible_idle", "visible", "POST to visible in rank, idle", "p50_ms", "ms", original=86),
    Row("visible_busy", "visible", "POST to visible in rank, under open-loop writes", "p50_ms", "ms"),
    Row("visible_5000", "visible", "POST to visible in rank, 5,000 writes/s offered", "p99_ms", "ms"),
    Row("live_board", "live", "score to event, --listeners of one board, --rate writes/s", "p99_ms", "ms"),
    Row("live_boards", "live", "score to event, --listeners of 100 boards, --rate writes/s", "p99_ms", "ms"),
    Row("live_posts", "live", "POST to a pool of 1,000 players, beside --listeners of the board"),
    Row("live_idle", "live", "memory of a listener, --idle-listeners of a board that rests", "bytes", "bytes"),
    Row("mixed", "openloop", "80 % reads, 20 % writes at 70 % of the peak, open loop", "p99_ms", "ms"),
    Row("curve", "openloop", "POST at rising rates, open loop: the knee of p99"),
    Row("budget_rank", "budget", "processor time of a rank, all servers", "us", "us"),
    Row("budget_around", "budget", "processor time of an around, range 5, all servers", "us", "us"),
    Row("budget_top10", "budget", "processor time of a top 10, all servers", "us", "us"),
    Row("budget_top100", "budget", "processor time of a top 100, all servers", "us", "us"),
    Row("budget_post", "budget", "processor time of a POST, all servers, relays included", "us", "us"),
    Row("budget_batch", "budget", "processor time of a score in a batch of 1,000, relays included", "us", "us"),
)

NEEDS: Final[dict[Scale, tuple[str, ...]]] = {
    "writes": ("pgbench",),
    "reads": ("zrevrank", "zrevrange", "nginx"),
    "none": (),
}
"""The calibration rows of each scale."""


def select_rows(only: Sequence[str]) -> list[Row]:
    """The rows with these names or families, in the order of the list, and the calibration rows that they need.

    All rows when `only` is empty. Raises `UsageError` for an unknown name.
    """
    names = {row.name for row in ROWS} | {row.family for row in ROWS}
    if unknown := [name for name in only if name not in names]:
        raise UsageError(f"unknown row {', '.join(unknown)}; `python -m bench --list` shows all")
    wanted = {row.name for row in ROWS if not only or row.name in only or row.family in only}
    wanted |= {line for row in ROWS if row.name in wanted for line in NEEDS[row.scale]}
    return [row for row in ROWS if row.name in wanted]
