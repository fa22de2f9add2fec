"""`leaderboard season`: seasons listed, shown, and defined."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, get_args

import msgspec

from board.errors import SeasonNotFound, UsageError
from board.pg import schema
from board.season import Operator, Order, Ranking, explain
from ctl import output
from ctl.acts import REASON, make_act
from ctl.command import JSON, Command, Example, Invocation, argument
from ctl.connections import connect_postgres
from service.contract.merge_patch import Members
from service.contract.types import SEASON_ID_MAX
from service.contract.validation import is_plain
from service.seasons.definition import apply_patch, rule_of
from service.seasons.store import Found, SeasonStore
from service.seasons.types import Definition, Season, Visibility

DEADLINE_S: Final = 30.0
PAGE: Final = 1_000
SCHEDULE: Final = {
    "cron": "cron",
    "timeZone": "time_zone",
    "every": "every",
    "startsAt": "starts_at",
    "endsAt": "ends_at",
}
"""Members of a schedule, with the options of `season set`."""
WRITTEN_AS_JSON: Final[dict[str, tuple[Any, str]]] = {
    "metadata": (dict[str, Any], "object"),
    **dict.fromkeys(("columns", "feeds", "segments"), (list[Any], "list")),
}
"""Members whose option of `season set` takes JSON: the type, and what it is called."""
COLUMNS: Final = tuple(map(output.Column, ("season", "title", "operator", "order", "period", "state")))

T = TypeVar("T")


def ask_store(call: Invocation, question: Callable[[SeasonStore], Awaitable[T]]) -> T:
    """Ask the store of seasons. Raises `ServerUnreachable`, `WrongSchemaVersion`, and what the question does."""
    settings = call.settings()
    with connect_postgres(settings) as db:
        schema.check(db)

    async def ask() -> T:
        store = SeasonStore(settings.database_url, DEADLINE_S)
        try:
            return await question(store)
        finally:
            await store.close()

    return asyncio.run(ask())


def list_seasons(call: Invocation) -> int:
    """Print all seasons, by name."""
    seasons = ask_store(call, read_all)
    if call.arguments.json:
        output.print_json({"items": seasons})
        return 0
    rows = [(s.seasonId, s.title, s.operator, s.order, str(s.period.number), s.period.state) for s in seasons]
    output.print_parts(output.make_table(COLUMNS, rows))
    return 0


async def read_all(store: SeasonStore) -> list[Season]:
    """Read all seasons, page by page."""
    seasons: list[Season] = []
    while True:
        after = seasons[-1].seasonId if seasons else ""
        page = await store.list_after(after, PAGE, None)
        seasons += [found.season for found in page]
        if len(page) < PAGE:
            return seasons


def show_season(call: Invocation) -> int:
    """Print one season. Raises `SeasonNotFound`."""
    season = call.arguments.season
    found = ask_store(call, lambda store: store.find(season))
    if found is None:
        raise SeasonNotFound(f"there is no season {season!r}")
    print_season(found, as_json=call.arguments.json)
    return 0


def set_season(call: Invocation) -> int:
    """Change members of a season, which is created if there is none. Raises `InvalidRule`, `SettingFixed`."""
    args = call.arguments
    if not is_plain(args.season, SEASON_ID_MAX) or "/" in args.season:
        raise UsageError(f"a season id has 1 to {SEASON_ID_MAX} characters, no slash and no control character")
    patch = make_patch(vars(args))
    act = make_act(call)

    def change(before: Definition) -> Definition:
        # Metadata are replaced as a whole, not merged.
        base = before if "metadata" not in patch else msgspec.structs.replace(before, metadata={})
        # So are schedules: one has members of one kind.
        base = base if "schedule" not in patch else msgspec.structs.replace(base, schedule=None)
        return apply_patch(base, patch)

    defined = ask_store(call, lambda store: store.define(args.season, change, act))
    assert defined is not None, "a season that does not exist is created"
    print_season(defined.found, as_json=args.json)
    return 0


def reset_season(call: Invocation) -> int:
    """End a season's period, and keep it. Raises `SeasonNotFound`, `PeriodClosed`."""
    args = call.arguments
    act = make_act(call)
    ended = ask_store(call, lambda store: store.end_period(args.season, act))
    if ended is None:
        raise SeasonNotFound(f"there is no season {args.season!r}")
    print_season(ended[2], as_json=args.json)
    return 0


def make_patch(arguments: dict[str, Any]) -> Members:
    """The merge patch of the options that were given. Raises `UsageError`."""
    patch: Members = {name: arguments[name] for name in ("operator", "order", "ranking", "title", "visibility")}
    patch["opensAt"] = arguments["opens_at"]
    patch["graceS"], patch["keepPeriods"] = arguments["grace_s"], arguments["keep_periods"]
    patch["schedule"] = drop_missing({name: arguments[option] for name, option in SCHEDULE.items()})
    patch["bounds"] = drop_missing({name: arguments[name] for name in ("min", "max")})
    patch["display"] = drop_missing({name: arguments[name] for name in ("unit", "decimals", "format")})
    for name, (kind, noun) in WRITTEN_AS_JSON.items():
        if arguments[name] is not None:
            try:
                patch[name] = msgspec.json.decode(arguments[name], type=kind)
            except msgspec.DecodeError as error:
                raise UsageError(f"--{name} must be a JSON {noun}: {error}") from error
    return {name: value for name, value in drop_missing(patch).items() if value != {} or name == "metadata"}


def drop_missing(members: Members) -> Members:
    """The members that were given."""
    return {name: value for name, value in members.items() if value is not None}


def print_season(found: Found, *, as_json: bool) -> None:
    """Print a season: for people also what its rule means."""
    season = found.season
    if as_json:
        output.print_json(season)
        return
    members = {name: getattr(season, name) for name in Definition.__struct_fields__}
    rows = [(name, describe_member(value)) for name, value in members.items()]
    rows.append(("period", f"{season.period.number}, {season.period.state}"))
    rows.append(("period ends", describe_member(season.period.endsAt)))
    columns = (output.Column("member"), output.Column("value"))
    output.print_parts(output.make_table(columns, rows, title=season.seasonId))
    output.print_line(explain(rule_of(Definition(**members))))


def describe_member(value: Any) -> str:
    """The value of a member, as text."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


SEASON: Final = argument("season", metavar="SEASON", help="the season's id")

COMMAND: Final = Command(
    name="season",
    summary="Seasons: what counts in them, and in which order.",
    examples=(Example("leaderboard season list", "all seasons; each verb has a --help of its own"),),
    metavar="VERB",
    subcommands=(
        Command(
            name="list",
            summary="Show all seasons.",
            arguments=(JSON,),
            examples=(Example("leaderboard season list --json", "for a program"),),
            run=list_seasons,
        ),
        Command(
            name="show",
            summary="Show one season, and what its rule means.",
            arguments=(JSON, SEASON),
            examples=(Example("leaderboard season show spring", "its members and its period"),),
            run=show_season,
        ),
        Command(
            name="set",
            summary="Define a season, or change members of one. Options that are not given leave theirs as they are.",
            arguments=(
                JSON,
                SEASON,
                argument("--operator", choices=get_args(Operator), help="what counts of a player's submissions"),
                argument("--order", choices=get_args(Order), help="desc: the highest first; asc: the lowest"),
                argument("--ranking", choices=get_args(Ranking), help="competition: equal rows share a rank"),
                argument("--columns", metavar="JSON", help='further numbers, as [{"name":"time","order":"asc"}]'),
                argument("--min", type=int, metavar="N", help="the least number of one submission"),
                argument("--max", type=int, metavar="N", help="the greatest number of one submission"),
                argument("--opens-at", metavar="TIME", help="when it opens, as 2026-12-01T10:00:00Z"),
                argument("--cron", metavar="TEXT", help="periods end then, as '0 0 * * MON'; with --time-zone"),
                argument("--time-zone", metavar="ZONE", help="the IANA time zone of --cron, as Europe/Berlin"),
                argument("--every", metavar="DURATION", help="periods are that long, as P14D; with --starts-at"),
                argument("--starts-at", metavar="TIME", help="an instant at which a period of --every begins"),
                argument("--ends-at", metavar="TIME", help="the season's only end"),
                argument("--grace-s", type=int, metavar="N", help="seconds from a period's end to its final ranks"),
                argument("--keep-periods", type=int, metavar="N", help="how many ended periods stay readable"),
                argument("--feeds", metavar="JSON", help='seasons in which submissions count, too, as ["all-time"]'),
                argument("--segments", metavar="JSON", help='attributes whose values have boards, as ["country"]'),
                argument("--visibility", choices=get_args(Visibility), help="public: reads need no credential"),
                argument("--title", metavar="TEXT", help="a title for people"),
                argument("--metadata", metavar="JSON", help="a JSON object of yours"),
                argument("--unit", metavar="TEXT", help="the unit of shown scores"),
                argument("--decimals", type=int, metavar="N", help="digits of shown scores behind the point"),
                argument("--format", choices=("number", "time"), help="how scores are shown"),
                REASON,
            ),
            examples=(
                Example("leaderboard season set lap --operator best --order asc --min 1", "a best lap, in ms"),
                Example("leaderboard season set winter --opens-at 2026-12-01T10:00:00Z", "a season that opens later"),
            ),
            run=set_season,
        ),
        Command(
            name="reset",
            summary="End a season's period now, and keep it; the next one begins.",
            arguments=(JSON, SEASON, REASON),
            examples=(Example("leaderboard season reset spring", "its board is empty, the ended one can be read"),),
            run=reset_season,
        ),
    ),
)
