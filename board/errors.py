"""The one family of errors.

Each class is a stable ``code`` (kebab-case, listed in ``docs/errors.md``) and the exit status with which the
``leaderboard`` command ends. HTTP problems live in ``service/contract/problems.py`` and use the same codes' spelling.
"""

from __future__ import annotations

from typing import ClassVar


class LeaderboardError(Exception):
    """Something a person has to know about; the message is one clear sentence."""

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 70


class InvalidSetting(LeaderboardError):
    """A setting is missing, unknown or out of its range."""

    code = "invalid-setting"
    exit_code = 2


class UsageError(LeaderboardError):
    """A command was called with arguments that do not fit."""

    code = "usage"
    exit_code = 2


class ServerUnreachable(LeaderboardError):
    """PostgreSQL, Redis or the HTTP server does not answer at the address given."""

    code = "server-unreachable"
    exit_code = 3


class ServerStartFailed(LeaderboardError):
    """An embedded server did not come up."""

    code = "server-start-failed"
    exit_code = 3


class WrongSchemaVersion(LeaderboardError):
    """The database schema is missing, older or newer than this release."""

    code = "wrong-schema-version"
    exit_code = 4


class PortTaken(LeaderboardError):
    """Another process listens on the address the service should bind to."""

    code = "port-taken"
    exit_code = 5


class DataDirectoryMajorMismatch(LeaderboardError):
    """The data directory was made by another PostgreSQL major version."""

    code = "data-directory-major-mismatch"
    exit_code = 6


class DataDirectoryLocked(LeaderboardError):
    """Another instance uses the data directory."""

    code = "data-directory-locked"
    exit_code = 7


class ChildFailed(LeaderboardError):
    """A supervised process ended and could not be kept running."""

    code = "child-failed"
    exit_code = 70


class StoreUnavailable(LeaderboardError):
    """PostgreSQL did not take the submission; nothing was written."""

    code = "store-unavailable"
    exit_code = 3


class OutcomeUnknown(LeaderboardError):
    """The connection broke, or time ran out, while PostgreSQL was committing: written or not, nobody can say."""

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
    """There is no key of this id."""

    code = "key-not-found"
    exit_code = 2


class KeyNotRotatable(LeaderboardError):
    """The key is revoked, expired, or has a successor already."""

    code = "key-not-rotatable"
    exit_code = 2
