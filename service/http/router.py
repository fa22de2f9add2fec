"""Falcon's router without its second spellings of every path; a filter of paths in front of the
service relies on that.
"""

from __future__ import annotations

from typing import Any

from falcon.routing import CompiledRouter


class ExactRouter(CompiledRouter):
    """Each path has one spelling."""

    def find(self, uri: str, req: Any = None) -> Any:
        """The route, if the path has no slash too many in front, none that is percent-encoded, and nothing
        percent-encoded but in the names that are the client's to choose."""
        raw: bytes = b"" if req is None else req.scope.get("raw_path", b"")
        if uri.startswith("//") or b"%2F" in raw.upper():
            return None
        found: Any = super().find(uri, req)
        if found is None or b"%" not in raw:
            return found
        pairs = zip(found[3].split("/"), raw.decode("latin-1").split("/"), strict=True)
        return found if all(ours == sent or ours.startswith("{") for ours, sent in pairs) else None
