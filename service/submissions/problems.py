"""The HTTP errors of submissions alone. docs/errors.md repeats them."""

from __future__ import annotations

from service.contract.problems import add_problem
from service.contract.types import CLIENT_VERSION_MAX, METADATA_DEPTH_MOST, METADATA_MOST_BYTES

INVALID_METADATA = add_problem(
    "invalid-metadata",
    400,
    f"metadata must be an object of at most {METADATA_MOST_BYTES} bytes of JSON, {METADATA_DEPTH_MOST} levels deep.",
    "`metadata` of a submission is no object, too long as compact JSON, too deep, or has a number beyond doubles.",
)
INVALID_CLIENT_VERSION = add_problem(
    "invalid-client-version",
    400,
    f"clientVersion must be 1 to {CLIENT_VERSION_MAX} printable characters.",
    "`clientVersion` of a submission is empty, too long, no string, or has a character that cannot be printed.",
)
