"""JSON merge patches (RFC 7396)."""

from __future__ import annotations

from typing import Any

Members = dict[str, Any]


def merge(target: Any, patch: Any) -> Any:
    """Apply a patch (RFC 7396, 2)."""
    if not isinstance(patch, dict):
        return patch
    merged: Members = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged
