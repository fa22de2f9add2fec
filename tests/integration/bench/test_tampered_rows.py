"""The bench's checks fail on data that is wrong: each row is measured on servers that were tampered with."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from support.absent import absent
from support.marks import walks
from support.tampering import DOUBLED, SWALLOWED, lose_an_entry, only, options
from support.world import World

from bench.rows import disk, drain, memory, past, read, refusals, submit, visibility
from bench.rows.refusals import Refusal
from bench.system.totals import audit_best
from ctl.http_client import Client

PACED = {name for name, one in {**read.READS, **read.PAST_READS}.items() if one.paced}
DIFFER = "PostgreSQL and Redis differ: 1 differences"


@pytest.fixture(autouse=True)
def wrk() -> None:
    if shutil.which("wrk") is None:
        absent("wrk is not installed")


@pytest.mark.walk
def test_sound_data_has_no_faults(world: World, tmp_path: Path) -> None:
    measure = only(submit.measure(options(world, tmp_path), "post"))
    assert measure.faults == () and len(measure.checks) == 2 and measure.figures["per_s"] > 0


def test_posts_that_are_written_twice_are_a_fault(world: World, tmp_path: Path) -> None:
    world.execute(*DOUBLED)
    faults = only(submit.measure(options(world, tmp_path, lose_an_entry), "post")).faults
    assert len(faults) == 3
    assert faults[0].startswith("the ledger has ") and faults[1].startswith("scores hold ")
    assert faults[2].startswith(DIFFER)


@pytest.mark.walk
def test_a_row_that_is_not_the_best_run_is_a_fault(world: World, tmp_path: Path) -> None:
    """The column alone is another one: each row gets that of its player's first run."""
    mine = options(world, tmp_path)
    assert only(submit.measure(mine, "post_columns")).faults == ()
    with mine.stack() as stack:
        accepted = world.value("SELECT count(*) FROM ledger JOIN season USING (period_id) WHERE season_id = 'measured'")
        assert audit_best(stack, "measured", accepted, 0) == []
        world.execute(
            "UPDATE score SET columns = overlay(columns placing '\\x00'::bytea from 1) WHERE columns IS NOT NULL"
        )
        faults = audit_best(stack, "measured", accepted, 0)
        assert len(faults) == 1 and faults[0].endswith("players of measured do not have the best run of the ledger")


@pytest.mark.walk
def test_bytes_of_rows_that_are_written_twice_are_a_fault(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.execute(*DOUBLED)
    monkeypatch.setattr(disk, "BATCHES", 1)
    monkeypatch.setattr(disk, "post_keyed", lambda client: [])
    faults = only(disk.measure(options(world, tmp_path))).faults
    assert [fault.partition(" ")[0] for fault in faults] == ["the", "scores", "0"], faults
    assert faults[2] == "0 keys were kept of 1000"


@pytest.mark.walk
def test_a_backlog_that_is_not_carried_is_a_fault(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "write_backlog", lambda stack, seasons, _: world.submit(("season-0", "ada", 1)))
    faults = only(drain.measure(options(world, tmp_path, lose_an_entry), "drain_1")).faults
    assert len(faults) == 2
    assert faults[0].startswith(DIFFER) and faults[1] == "the backlog had 1 hints, not 1000"


@pytest.mark.walk
def test_memory_of_other_players_than_those_of_postgresql_is_a_fault(world: World, tmp_path: Path) -> None:
    world.execute(*SWALLOWED)
    faults = only(memory.measure(options(world, tmp_path, lose_an_entry), ["memory"])).faults
    assert len(faults) == 2
    assert faults[0] == "not all players were written" and faults[1].startswith(DIFFER)


@pytest.mark.walk
def test_a_rebuild_of_fewer_players_and_its_reads_are_faults(world: World, tmp_path: Path) -> None:
    world.execute(*SWALLOWED)
    for name, measure in read.measure(options(world, tmp_path, lose_an_entry), {"rebuild", "top10"}):
        assert any(fault.startswith(DIFFER) for fault in measure.faults), name
        assert "199 players were rebuilt, not 200" in measure.faults, name
        assert not measure.checks


@pytest.mark.walk
def test_reads_of_sound_data_have_no_faults(world: World, tmp_path: Path) -> None:
    names = {"top_page", "top_cursor", "around_fill", "around_score", "standings", "score", "histogram", "lookup100"}
    names |= {"top100_names", "top10_segment", "rank_segment", "lookup100_segment"}
    measured = dict(read.measure(options(world, tmp_path), names))
    assert measured.keys() == names
    for name, measure in measured.items():
        rate = "peak_per_s" if name in PACED else "per_s"
        assert measure.faults == () and measure.checks and measure.figures[rate] > 0, name


@pytest.mark.parametrize("name", ["rank", *walks("top10", "lookup100")])
def test_reads_that_are_not_postgresqls_are_a_fault(world: World, tmp_path: Path, name: str) -> None:
    mine = options(world, tmp_path)
    with mine.stack() as stack:
        read.fill_board(stack, mine)
        stack.run_command("rebuild", "--season", read.SEASON)
        truth = read.read_order(stack)
        first, second, *rest = truth.order
        swapped = [(second[0], first[1]), (first[0], second[1]), *((user, score + 1) for user, score in rest)]
        other = read.ExpectedOrder.of(swapped)
        with stack.relays(), stack.api() as client:
            (fault, *_) = read.measure_read(stack, mine, name, other, client, []).faults
            assert fault.startswith(f"/v1/seasons/board/leaderboard/{name.rstrip('01')}") and " instead of " in fault


@pytest.mark.walk
def test_a_period_that_is_closed_as_it_was_has_no_faults(world: World, tmp_path: Path) -> None:
    measured = dict(past.measure(options(world, tmp_path), set(past.NAMES)))
    assert measured.keys() == set(past.NAMES)
    for name, measure in measured.items():
        rate = "peak_per_s" if name in PACED else "per_s"
        assert measure.faults == () and measure.checks and measure.figures[rate] > 0, name
    assert measured["past_rank"].figures["p99_ms"] >= measured["past_rank"].figures["p50_ms"] > 0


@pytest.mark.walk
def test_a_closing_that_loses_and_moves_players_is_a_fault(world: World, tmp_path: Path) -> None:
    """The standing of one player is not written, and another event tells of the closing."""
    world.execute(
        SWALLOWED[0],
        SWALLOWED[1].replace("ON score", "ON standing"),
        "CREATE FUNCTION twice() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO event (history, kind, season_id, period, data) "
        "VALUES (NEW.history, NEW.kind, NEW.season_id, NEW.period, NEW.data); RETURN NULL; END $$",
        "CREATE TRIGGER twice AFTER INSERT ON event FOR EACH ROW WHEN (pg_trigger_depth() = 0) "
        "EXECUTE FUNCTION twice()",
    )
    measure = only(past.measure(options(world, tmp_path), {"period_close"}))
    assert measure.faults[0] == "199 standings, not 200" and not measure.checks
    assert measure.faults[1].startswith("standing ") and ", not (" in measure.faults[1]
    assert measure.faults[2] == "the events are [('period.closed', 2), ('period.ended', 2)]"


@pytest.mark.walk
def test_a_refusal_that_writes_is_a_fault(world: World, tmp_path: Path) -> None:
    """Two defects at once: the refused request is another one, and every submission is written twice."""
    world.execute(*DOUBLED)
    mine = options(world, tmp_path)
    accepted = Refusal("POST", refusals.SCORES, 400, "invalid-delta", {"userId": "player", "delta": 1})
    with mine.stack() as stack, stack.relays(), stack.api() as client:
        faults = refusals.measure_refusals(stack, mine, refusals.REFUSALS["refused_player"], client).faults
        assert faults == ("the ledger has 2 rows, not 1",)
        stack.db.execute("TRUNCATE ledger")
        other = msgspec.structs.replace(refusals.REFUSALS["refused_player"], code="season-not-found")
        faults = refusals.measure_refusals(stack, mine, other, client).faults
        assert faults[0].startswith("the answer is 404 ")
        other = msgspec.structs.replace(refusals.REFUSALS["refused_player"], status=401)
        faults = refusals.measure_refusals(stack, mine, other, client).faults
        assert faults[0].startswith("the answer is 404 ")
        stack.db.execute("DROP TRIGGER doubled ON ledger")
        stack.db.execute("TRUNCATE ledger")
        faults = refusals.measure_refusals(stack, mine, accepted, client).faults
        assert any("were accepted" in fault for fault in faults)


@pytest.mark.walk
def test_a_ledger_without_the_good_submission_is_a_fault(world: World, tmp_path: Path) -> None:
    mine = options(world, tmp_path)
    world.execute(
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER nothing BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION nothing()",
    )
    with mine.stack() as stack, stack.relays(), stack.api() as client:
        faults = refusals.measure_refusals(stack, mine, refusals.REFUSALS["refused_player"], client).faults
    assert faults == ("the ledger has 0 rows, not 1",)


def test_a_score_that_is_not_shown_is_a_fault(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visibility, "GIVE_UP_S", 0.3)
    mine = options(world, tmp_path)
    with mine.stack() as stack, stack.api() as client:
        assert isinstance(client, Client)
        world.submit(("visible", "ada", 1))
        world.carry_everything()
        # The rank that is shown is that of an earlier version.
        sample = visibility.take_sample(client, "ada")
    assert sample.accepted and sample.fault.startswith("ada was not visible after 0 s (last status 200)")
