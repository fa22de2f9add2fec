"""The pages of boards and their assets. A page is the same for every board: its script asks the API."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final

from service.contract.answers import Answer
from service.contract.problems import NOT_FOUND

HTML: Final = "text/html; charset=utf-8"
PARTS: Final = (
    *("audit", "corrections", "definition", "events", "history", "keys", "kit", "moderation"),
    *("players", "schedule", "seasons", "status", "traffic"),
)
"""Modules of the operators' page."""
ASSETS: Final = {
    "admin.css": "text/css; charset=utf-8",
    "admin.js": "text/javascript; charset=utf-8",
    **{f"admin-{part}.js": "text/javascript; charset=utf-8" for part in PARTS},
    "board.css": "text/css; charset=utf-8",
    "board.js": "text/javascript; charset=utf-8",
    "show.js": "text/javascript; charset=utf-8",
    "stream.js": "text/javascript; charset=utf-8",
    "reference.css": "text/css; charset=utf-8",
    "reference.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors {}"
)


def list_headers(ancestors: str) -> tuple[tuple[str, str], ...]:
    """The headers of a page. It loads nothing from elsewhere, and only these origins may show it in a frame."""
    return (
        ("content-security-policy", _POLICY.format(ancestors)),
        ("referrer-policy", "no-referrer"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    )


def make_answer(body: bytes, media_type: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An answer with the entity tag of its bytes: a browser asks each time whether they still hold."""
    return Answer(200, body, media_type, headers=headers, etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"')


class Pages:
    """The pages of one worker. `embed_origins` may show a board in a frame; without any, only pages of this server."""

    def __init__(self, embed_origins: frozenset[str]) -> None:
        folder = files("service.pages") / "assets"
        page = (folder / "page.html").read_bytes()
        ancestors = "*" if "*" in embed_origins else " ".join(["'self'", *sorted(embed_origins)])
        self._board: Final = make_answer(page.replace(b"{{page}}", b"board"), HTML, list_headers("'none'"))
        self._embed: Final = make_answer(page.replace(b"{{page}}", b"embed"), HTML, list_headers(ancestors))
        self._reference: Final = make_answer((folder / "reference.html").read_bytes(), HTML, list_headers("'none'"))
        self._admin: Final = make_answer((folder / "admin.html").read_bytes(), HTML, list_headers("'none'"))
        self._assets: Final = {name: make_answer((folder / name).read_bytes(), kind) for name, kind in ASSETS.items()}

    async def show_board(self, season: str) -> Answer:
        """The page of a board. It is there for every name: its script tells what is wrong with one."""
        return self._board

    async def show_embedded(self, season: str) -> Answer:
        """The same for a frame in another page."""
        return self._embed

    async def show_reference(self) -> Answer:
        """The reference of the API, which its script makes of the OpenAPI document."""
        return self._reference

    async def show_admin(self) -> Answer:
        """The operators' page, which asks for a key."""
        return self._admin

    async def send_asset(self, name: str) -> Answer:
        """A part of the pages."""
        return self._assets.get(name, NOT_FOUND.answer)
