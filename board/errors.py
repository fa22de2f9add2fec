"""The one family of errors.

Each class has a stable ``code`` (kebab-case, listed in ``docs/errors.md``) and the exit status of the ``leaderboard``
command. HTTP problems are in ``service/contract/problems.py``; their codes are spelled alike.
"""

from __future__ import annotations

from typing import ClassVar


class LeaderboardError(Exception):
    """An error that ends a command or is logged; its message is one sentence."""

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 70


class InvalidSetting(LeaderboardError):
    """A setting is missing, unknown or out of its range."""

    code = "invalid-setting"
    exit_code = 2


class UsageError(LeaderboardError):
    """A command was called with arguments that do not go together."""

    code = "usage"
    exit_code = 2


class ServerUnreachable(LeaderboardError):
    """PostgreSQL, Redis or the HTTP server does not answer at its address."""

    code = "server-unreachable"
    exit_code = 3


class ServerStartFailed(LeaderboardError):
    """An embedded server did not start."""

    code = "server-start-failed"
    exit_code = 3


class WrongSchemaVersion(LeaderboardError):
    """The database schema is missing, older or newer than this release."""

    code = "wrong-schema-version"
    exit_code = 4


class UnsuitableServer(LeaderboardError):
    """A server is too old, or set up in a way that the code cannot work with."""

    code = "unsuitable-server"
    exit_code = 4


class PortTaken(LeaderboardError):
    """Another process listens on the address the service should bind to."""

    code = "port-taken"
    exit_code = 5


class DataDirectoryMajorMismatch(LeaderboardError):
    """The data directory is of another PostgreSQL major version."""

    code = "data-directory-major-mismatch"
    exit_code = 6


class DataDirectoryLocked(LeaderboardError):
    """Another instance uses the data directory."""

    code = "data-directory-locked"
    exit_code = 7


class ChildFailed(LeaderboardError):
    """A supervised process ended and could not be restarted."""

    code = "child-failed"
    exit_code = 70


class ToolFailed(LeaderboardError):
    """A client program of PostgreSQL (pg_dump, pg_restore) failed."""

    code = "tool-failed"
    exit_code = 3


class FileUnusable(LeaderboardError):
    """A file or an output of this machine cannot be read or written."""

    code = "file-unusable"
    exit_code = 74


class StoreUnavailable(LeaderboardError):
    """PostgreSQL did not carry out the request; nothing was written."""

    code = "store-unavailable"
    exit_code = 3


class OutcomeUnknown(LeaderboardError):
    """The connection broke, or the deadline passed, during the commit: the submission may or may not be written."""

    code = "outcome-unknown"
    exit_code = 3


class BoardUnavailable(LeaderboardError):
    """Redis does not answer."""

    code = "board-unavailable"
    exit_code = 3


class BoardRebuilding(LeaderboardError):
    """The season's partition has no watermark in Redis: it is being rebuilt."""

    code = "board-rebuilding"
    exit_code = 3


class FenceRefused(LeaderboardError):
    """Redis refused a relay's batch."""

    code = "fence-refused"
    exit_code = 3


class KeyNotFound(LeaderboardError):
    """No key has this id."""

    code = "key-not-found"
    exit_code = 2


class KeyNotRotatable(LeaderboardError):
    """The key is revoked, expired, or already has a successor."""

    code = "key-not-rotatable"
    exit_code = 2


class SeasonNotFound(LeaderboardError):
    """There is no such season."""

    code = "season-not-found"
    exit_code = 2


class InvalidRule(LeaderboardError):
    """A season has a member that is unknown, of the wrong type, out of its bounds, or at odds with another."""

    code = "invalid-season"
    exit_code = 2


class InvalidFeeds(LeaderboardError):
    """`feeds` of a season name the season itself, lead back to it, reach too many, or name one that does not exist."""

    code = "invalid-feeds"
    exit_code = 2


class SettingFixed(LeaderboardError):
    """Operator and order cannot change while the period has submissions; nothing was changed."""

    code = "setting-fixed"
    exit_code = 2


class PreconditionFailed(LeaderboardError):
    """The season, or profile, is not in the state that the change is based on; nothing was changed."""

    code = "precondition-failed"
    exit_code = 2


class PeriodClosed(LeaderboardError):
    """The season's last period has ended; nothing was changed."""

    code = "period-closed"
    exit_code = 2


class FileOfAnotherInstallation(LeaderboardError):
    """The file was written by another installation: its hashes are keyed with another secret."""

    code = "file-of-another-installation"
    exit_code = 2
