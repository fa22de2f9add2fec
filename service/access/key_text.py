"""The text of a key: ``lb_<id>_<secret><checksum>``.

The prefix lets secret scanners find it, the checksum tells a typo from a stranger without asking anybody. The id is
public; the secret has 190 bits, so a plain SHA-256 of it can be stored: there is nothing to guess.
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
    """Whether a text can be a key's id at all."""
    return _ID.fullmatch(text) is not None


def compute_checksum(text: str) -> str:
    """CRC-32 in six characters of the alphabet."""
    number = zlib.crc32(text.encode())
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def hash_secret(secret: str) -> bytes:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def draw_text(length: int) -> str:
    """Random characters of the alphabet."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def make_key() -> tuple[str, KeyText]:
    """A new key: its text, to be shown once, and what is kept of it."""
    name, secret = draw_text(ID_LENGTH), draw_text(SECRET_LENGTH)
    text = f"{PREFIX}{name}_{secret}"
    return text + compute_checksum(text), KeyText(name, hash_secret(secret))


def parse_key(text: str) -> KeyText | None:
    """Take a key's text apart; None when it cannot be one, which includes every single wrong character."""
    found = _TEXT.fullmatch(text)
    if found is None or compute_checksum(text[:-CHECKSUM_LENGTH]) != found[3]:
        return None
    return KeyText(found[1], hash_secret(found[2]))
