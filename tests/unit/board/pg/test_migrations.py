"""A migration that runs while the previous release works only expands (docs/ops/upgrade.md)."""

from __future__ import annotations

import re

import pytest

from board.pg.schema import Migration, migrations

CONTRACTING = (
    r"DROP\b",
    r"RENAME\b",
    r"TRUNCATE\b",
    r"REVOKE\b",
    r"OR REPLACE\b",
    r"(?:SET DATA )?TYPE\b",
    r"SET NOT NULL\b",
    r"ADD (?:CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN|EXCLUDE)\b",
    r"ADD (?:COLUMN )?(?!.*\bDEFAULT\b).*\bNOT NULL\b",
    r"ADD (?:COLUMN )?.*\b(?:CHECK|UNIQUE|REFERENCES)\b",
)
"""What takes away, changes, or forbids something that the previous release may rely on."""

OF_NEW_ROWS = re.compile(
    r"ALTER TABLE \w+ ADD CONSTRAINT \w+ CHECK "
    r"\((?:period_id < 4611686018427387904|fold = 0|period_number IS NULL) OR .*\) NOT VALID"
)
"""A check of rows in periods with a fold, or of seasons with a schedule. The previous release makes none, and must not
touch those that there are."""


def statements(text: str) -> list[str]:
    """The statements of a migration on one line each, without comments; what functions do when called is left out."""
    text = re.sub(r"\$\$.*?\$\$", "''", re.sub(r"--[^\n]*", "", text), flags=re.S)
    return [" ".join(statement.split()) for statement in text.split(";") if statement.strip()]


def is_loosened(statement: str) -> bool:
    """Whether a constraint of an earlier migration is replaced by one that lets through all that it did, and more."""
    found = re.fullmatch(
        r"ALTER TABLE \w+ DROP CONSTRAINT (\w+), ADD CONSTRAINT \1 CHECK \( ?(.+)\) NOT VALID", statement
    )
    if found is None:
        return False
    earlier = rf"ALTER TABLE \w+ ADD CONSTRAINT {found[1]} CHECK \((.+)\) NOT VALID"
    made = [old[1] for one in migrations() for text in statements(one.text) if (old := re.fullmatch(earlier, text))]
    return any(found[2].startswith(f"{old} OR ") for old in made)


def contractions(text: str) -> list[str]:
    """The statements of a migration that do more than expand."""
    found = []
    made: set[str] = set()
    for statement in statements(text):
        table = re.match(r"(?:CREATE|ALTER) TABLE (?:IF NOT EXISTS |ONLY )*(\w+)", statement)
        on = re.search(r" ON (\w+)", statement)
        if statement.startswith("CREATE TABLE") and table is not None:
            made.add(table[1])
        elif statement.startswith("REVOKE") and on is not None and on[1] in made:
            # The previous release knows nothing of a new table.
            continue
        elif (table is not None and table[1] in made) or OF_NEW_ROWS.fullmatch(statement) or is_loosened(statement):
            continue
        elif (
            any(re.search(pattern, statement) for pattern in CONTRACTING)
            and not statement.startswith(("CREATE TRIGGER", "CREATE UNIQUE INDEX"))
        ) or (
            # An index that refuses rows, a trigger that changes what a statement does: only on a new table.
            statement.startswith(("CREATE TRIGGER", "CREATE UNIQUE INDEX")) and on is not None and on[1] not in made
        ):
            found.append(statement)
    return found


@pytest.mark.parametrize("migration", migrations(), ids=lambda m: f"{m.version:04}")
def test_what_runs_before_a_deploy_only_expands(migration: Migration) -> None:
    if migration.stage == "pre":
        assert contractions(migration.text) == [], "what contracts goes into a migration named NNNN_post_*.sql"


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE score DROP COLUMN reached",
        "DROP TABLE ailing",
        "DROP INDEX outbox_work",
        "ALTER TABLE score RENAME COLUMN reached TO version",
        "ALTER TABLE score RENAME TO scores",
        "ALTER TABLE score ALTER COLUMN reached TYPE numeric",
        "ALTER TABLE score ALTER reached SET DATA TYPE numeric",
        "ALTER TABLE ailing ALTER COLUMN\n  reason SET NOT NULL",
        "ALTER TABLE score ADD COLUMN shard integer NOT NULL",
        "ALTER TABLE score ADD shard integer NOT NULL",
        "ALTER TABLE score ADD COLUMN shard integer CHECK (shard > 0)",
        "ALTER TABLE score ADD CONSTRAINT small CHECK (score < 10)",
        "ALTER TABLE score ADD CONSTRAINT small CHECK (period_id < 10 OR score < 10) NOT VALID",
        "CREATE UNIQUE INDEX one_a_day ON ledger (user_id)",
        "CREATE OR REPLACE FUNCTION ledger_drop(days integer) RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$",
        "CREATE TRIGGER t AFTER INSERT ON score FOR EACH ROW EXECUTE FUNCTION f()",
        "ALTER TABLE score DROP CONSTRAINT score_by_rule",
        "ALTER TABLE score DROP CONSTRAINT score_by_rule, ADD CONSTRAINT score_by_rule CHECK (score > 0) NOT VALID",
        "TRUNCATE idempotency",
        "CREATE TABLE new (a integer); -- fine\nDROP TABLE old",
        "CREATE TABLE new (a integer); REVOKE UPDATE ON score FROM CURRENT_USER",
    ],
)
def test_contractions_are_found(text: str) -> None:
    assert len(contractions(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE new (a integer NOT NULL UNIQUE, b text CHECK (b <> ''))",
        "CREATE TABLE new (a integer); CREATE UNIQUE INDEX i ON new (a); ALTER TABLE new ADD CHECK (a > 0)",
        "ALTER TABLE score ADD COLUMN shard integer",
        "ALTER TABLE score ADD COLUMN shard integer NOT NULL DEFAULT 0",
        "CREATE INDEX ledger_user ON ledger (user_id)",
        "CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS $$ DROP TABLE x; SELECT 1 $$",
        "-- DROP TABLE score\nSELECT 1",
        "ALTER TABLE score ADD CONSTRAINT c CHECK (period_id < 4611686018427387904 OR submissions = 0) NOT VALID",
        "CREATE TABLE new (a integer); CREATE TRIGGER t AFTER INSERT ON new FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE TABLE new (a integer); REVOKE UPDATE, DELETE ON new FROM CURRENT_USER",
    ],
)
def test_expansions_are_let_through(text: str) -> None:
    assert contractions(text) == []
