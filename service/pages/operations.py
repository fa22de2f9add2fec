"""The operations that serve pages. None needs a credential: what they show, their scripts ask for."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from service.contract import problems as p
from service.contract.operation import Operation
from service.contract.parameters import Parameter
from service.contract.scopes import PUBLIC
from service.contract.shared import IF_NONE_MATCH
from service.pages.pages import HTML, Pages

_Text = Annotated[str, msgspec.Meta(examples=["spring"])]
_Page = Annotated[str, msgspec.Meta(description="A page.", examples=["<!doctype html>"])]
_SEASON: Final = Parameter(
    name="sid", place="path", kind=_Text, meaning="The season. The page itself tells whether there is such a board."
)
_NAME: Final = Parameter(
    name="name",
    place="path",
    kind=Annotated[str, msgspec.Meta(examples=["board.css"])],
    meaning="The name of a file of the pages.",
)
_NOT_MODIFIED: Final = {304: ("The answer that the client has still holds.", None)}

OPERATIONS: Final = (
    Operation(
        name="showBoard",
        method="GET",
        path="/board/{sid}",
        handler=Pages.show_board,
        scope=PUBLIC,
        summary="A page that shows a board as it changes. It asks for a key where reads need one.",
        parameters=(_SEASON, IF_NONE_MATCH),
        answers={200: ("The page.", _Page), **_NOT_MODIFIED},
        media_type=HTML,
    ),
    Operation(
        name="showEmbedded",
        method="GET",
        path="/embed/{sid}",
        handler=Pages.show_embedded,
        scope=PUBLIC,
        summary="The same for a frame in pages of the origins of `LEADERBOARD_EMBED_ORIGINS`.",
        parameters=(_SEASON, IF_NONE_MATCH),
        answers={200: ("The page.", _Page), **_NOT_MODIFIED},
        media_type=HTML,
    ),
    Operation(
        name="showReference",
        method="GET",
        path="/docs",
        handler=Pages.show_reference,
        scope=PUBLIC,
        summary="The reference of this API for people.",
        parameters=(IF_NONE_MATCH,),
        answers={200: ("The page.", _Page), **_NOT_MODIFIED},
        media_type=HTML,
    ),
    Operation(
        name="showAdmin",
        method="GET",
        path="/admin",
        handler=Pages.show_admin,
        scope=PUBLIC,
        summary="The operators' page. It asks for a key with the scope `admin`.",
        parameters=(IF_NONE_MATCH,),
        answers={200: ("The page.", _Page), **_NOT_MODIFIED},
        media_type=HTML,
        on_admin_bind=True,
    ),
    Operation(
        name="getAsset",
        method="GET",
        path="/assets/{name}",
        handler=Pages.send_asset,
        scope=PUBLIC,
        summary="A style sheet, a script or an image of the pages.",
        parameters=(_NAME, IF_NONE_MATCH),
        answers={200: ("The file.", None), **_NOT_MODIFIED},
        problems=(p.NOT_FOUND,),
    ),
)
