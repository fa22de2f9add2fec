"""The text of a key: ``lb_<id>_<secret><checksum>``.

Secret scanners find a key by its prefix. The checksum detects a typo without a look-up. The id is public. The secret
has 190 random bits and cannot be guessed, so its plain SHA-256 is stored.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib
from typing import Final

import msgspec

PREFIX: Final = "lb_"
ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 10, 32, 6
ID_TEXT: Final = rf"[0-9A-Za-z]{{{ID_LENGTH}}}"

_ID: Final = re.compile(ID_TEXT, re.ASCII)
_TEXT: Final = re.compile(
    rf"{PREFIX}({ID_TEXT})_([0-9A-Za-z]{{{SECRET_LENGTH}}})([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})", re.ASCII
)


class KeyText(msgspec.Struct, frozen=True):
    """A key's public id, and the SHA-256 of its secret (32 bytes)."""

    id: str
    digest: bytes


def is_id(text: str) -> bool:
    """Whether a text has the form of a key's id."""
    return _ID.fullmatch(text) is not None


def compute_checksum(text: str) -> str:
    """Compute the CRC-32 of a text, as six characters of the alphabet."""
    number = zlib.crc32(text.encode())
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def hash_secret(secret: str) -> bytes:
    """The stored form of a secret: its SHA-256, 32 bytes."""
    return hashlib.sha256(secret.encode()).digest()


def draw_text(length: int) -> str:
    """Draw random characters of the alphabet."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def make_key() -> tuple[str, KeyText]:
    """Make a new key: its text, to be shown once, and its stored form."""
    name, secret = draw_text(ID_LENGTH), draw_text(SECRET_LENGTH)
    text = f"{PREFIX}{name}_{secret}"
    return text + compute_checksum(text), KeyText(name, hash_secret(secret))


def parse_key(text: str) -> KeyText | None:
    """Parse a key's text; None if it is malformed. The checksum detects every single wrong character."""
    found = _TEXT.fullmatch(text)
    if found is None or compute_checksum(text[:-CHECKSUM_LENGTH]) != found[3]:
        return None
    return KeyText(found[1], hash_secret(found[2]))
