"""The metrics of the relay pool, and the gauges that its exporter reads from PostgreSQL and Redis."""

from __future__ import annotations

from typing import Final

from board.observe.metrics import NS, Metric, Registry

VERDICTS: Final = ("lost", "identity", "ahead", "short", "other")
_LAG: Final = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60, 300)
_WORK: Final = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)

# Idle relays turn, too: if this stands still, no relay is alive.
TURNS: Final = Metric("leaderboard_relay_turns_total", "Turns of the relays' loops, idle ones too.", "counter")
BATCHES: Final = Metric("leaderboard_relay_batches_total", "Partition batches that were applied.", "counter")
HINTS: Final = Metric("leaderboard_relay_hints_total", "Hints that were taken from the outbox and applied.", "counter")
# The time that a player waits: from the commit of a submission until the board shows it. Oldest hint of each batch.
LAG: Final = Metric(
    "leaderboard_relay_lag_seconds",
    "From the oldest hint of a batch being queued to its row being visible on the board.",
    "histogram",
    bounds=_LAG,
    step=NS,
)
BATCH_TIME: Final = Metric(
    "leaderboard_relay_batch_seconds",
    "Time of one batch: claim, take, apply, commit.",
    "histogram",
    bounds=_WORK,
    step=NS,
)
REDIS_TIME: Final = Metric(
    "leaderboard_relay_redis_seconds", "Redis' part of a batch.", "histogram", bounds=_WORK, step=NS
)
# A few after a failover show the fence at work. A steady stream means that two systems write to one Redis.
REFUSALS: Final = Metric(
    "leaderboard_relay_fence_refusals_total",
    "Batches that the fence refused, by its verdict.",
    "counter",
    (("verdict", VERDICTS),),
)
REBUILDS: Final = Metric(
    "leaderboard_relay_rebuilds_total",
    "Rebuilds from PostgreSQL: of whole partitions or of single seasons.",
    "counter",
    (("scope", ("partition", "season")),),
)
# Above zero: another program writes to Redis, or there is a defect.
DRIFT: Final = Metric("leaderboard_relay_drift_total", "Seasons that the sampler found to differ.", "counter")
FAILURES: Final = Metric(
    "leaderboard_relay_failures_total", "Batches that a server refused; they are tried again.", "counter"
)
# Above zero: an attribute that is a segment of a season has more values than have boards.
LEFT_OUT: Final = Metric(
    "leaderboard_relay_segment_rows_left_out_total",
    "Rows of players whose value of a segment has no board, since 1,000 others have one.",
    "counter",
)
LOSSES: Final = Metric("leaderboard_relay_connection_losses_total", "Connections that relays have lost.", "counter")

REGISTRY: Final = Registry(
    (TURNS, BATCHES, HINTS, LAG, BATCH_TIME, REDIS_TIME, REFUSALS, REBUILDS, DRIFT, FAILURES, LEFT_OUT, LOSSES)
)

# Every pool shows the same values of these: take the maximum over instances, not the sum.
UP: Final = Metric("leaderboard_database_up", "1 if PostgreSQL answers, else 0.", "gauge")
PENDING: Final = Metric("leaderboard_outbox_pending", "Hints in the outbox.", "gauge")
OLDEST: Final = Metric("leaderboard_outbox_oldest_seconds", "Age of the oldest hint.", "gauge")
BEHIND: Final = Metric("leaderboard_outbox_partitions", "Partitions that have hints.", "gauge")
ASIDE: Final = Metric("leaderboard_seasons_set_aside", "Seasons set aside because Redis refuses them.", "gauge")
SEASONS: Final = Metric("leaderboard_seasons", "Number of seasons.", "gauge")
PERIODS: Final = {
    "keeper": Metric("leaderboard_keeper_up", "1 if a keeper has the lock of its work, else 0.", "gauge"),
    "overdue": Metric("leaderboard_periods_overdue", "Seasons whose period's end has come without a turn.", "gauge"),
    "overdue_s": Metric("leaderboard_periods_overdue_seconds", "Age of the oldest end without a turn.", "gauge"),
    "closing": Metric("leaderboard_periods_closing", "Ended periods whose ranks are not final yet.", "gauge"),
    "unclosed_s": Metric(
        "leaderboard_periods_unclosed_seconds", "Longest time past a period's grace without final ranks.", "gauge"
    ),
    "events": Metric("leaderboard_events", "Number of events; 10,001 stands for more than 10,000.", "gauge"),
    "oldest_event_s": Metric("leaderboard_events_oldest_seconds", "Age of the oldest event.", "gauge"),
    "held_back": Metric(
        "leaderboard_events_held_back", "Events that are not shown while an older transaction goes on.", "gauge"
    ),
    "held_back_s": Metric("leaderboard_events_held_back_seconds", "Age of the oldest event held back.", "gauge"),
}
"""By their columns in the query `period_status`."""
STANDBYS: Final = Metric("leaderboard_database_standbys", "Standbys that replicate from PostgreSQL.", "gauge")
STANDBY_LAG: Final = Metric(
    "leaderboard_database_standby_lag_bytes",
    "WAL that the last standby has not replayed; none if the role may not see it.",
    "gauge",
)
DATABASE: Final = (UP, PENDING, OLDEST, BEHIND, ASIDE, SEASONS, *PERIODS.values())

_NODE: Final = (("node", ()),)
AWAY: Final = Metric("leaderboard_redis_partitions_away", "Partitions whose boards no master serves.", "gauge")
MASTERS: Final = {
    "up": Metric("leaderboard_redis_node_up", "1 if this master of Redis answers, else 0.", "gauge", _NODE),
    "partitions": Metric("leaderboard_redis_node_partitions", "Partitions that this master has.", "gauge", _NODE),
    "replicas": Metric("leaderboard_redis_node_replicas", "Replicas connected to this master.", "gauge", _NODE),
    "lag_bytes": Metric(
        "leaderboard_redis_node_replica_lag_bytes", "How far this master's last replica is behind.", "gauge", _NODE
    ),
    "used_bytes": Metric("leaderboard_redis_node_memory_bytes", "Memory in use on this master.", "gauge", _NODE),
    "limit_bytes": Metric("leaderboard_redis_node_memory_limit_bytes", "Its maxmemory; 0: no limit.", "gauge", _NODE),
}
"""By their members of `MasterStatus`."""
GAUGES: Final = (*DATABASE, STANDBYS, STANDBY_LAG, AWAY, *MASTERS.values())
