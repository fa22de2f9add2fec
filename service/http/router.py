"""Falcon's router without alternative spellings of a path. A path filter in front of the service
relies on the single spelling.
"""

from __future__ import annotations

from typing import Any

from falcon.routing import CompiledRouter


class ExactRouter(CompiledRouter):
    """Each path has one spelling."""

    def find(self, uri: str, req: Any = None) -> Any:
        """Find the route of a path; None for another spelling: a second leading slash, a percent-encoded
        slash, or percent-encoding outside the parameters."""
        raw: bytes = b"" if req is None else req.scope.get("raw_path", b"")
        if uri.startswith("//") or b"%2F" in raw.upper():
            return None
        found: Any = super().find(uri, req)
        if found is None or b"%" not in raw:
            return found
        pairs = zip(found[3].split("/"), raw.decode("latin-1").split("/"), strict=True)
        return found if all(ours == sent or ours.startswith("{") for ours, sent in pairs) else None
