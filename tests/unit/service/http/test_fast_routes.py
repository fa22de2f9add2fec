"""Texts of a fast request are in the places of its operation's parameters, whichever of them it has."""

from __future__ import annotations

import pytest
from support.endpoints import echo_endpoints

from service.contract.operation import Operation
from service.http.fast_routes import FastRoutes
from service.routes import OPERATIONS

FAST = [operation for operation in OPERATIONS if operation.fast]
ROUTES = FastRoutes(echo_endpoints(lambda what: None))


def texts_of(operation: Operation, query: str) -> dict[str, str | None]:
    """The text of each parameter, in a season "s"."""
    found = ROUTES._find(operation.method.encode(), operation.path.replace("{sid}", "s") + query)
    assert found is not None
    route, texts = found
    assert route.endpoint.operation.name == operation.name
    return dict(zip([one.name for one in operation.inputs], texts, strict=False))


@pytest.mark.parametrize("operation", FAST, ids=lambda operation: operation.name)
def test_each_text_is_in_the_place_of_its_parameter(operation: Operation) -> None:
    queries = [one.name for one in operation.inputs if one.place == "query"]
    missing = {one.name: None for one in operation.inputs if one.place != "path"}
    assert texts_of(operation, "") == {"sid": "s", **missing}
    for name in queries:
        assert texts_of(operation, f"?{name}=x") == {"sid": "s", **missing, name: "x"}
    # All of them, in the order of the table and in another one.
    for names in (queries, queries[::-1]):
        query = "&".join(f"{name}=of-{name}" for name in names)
        wanted = {"sid": "s", **missing, **{name: f"of-{name}" for name in queries}}
        assert texts_of(operation, f"?{query}" if query else "") == wanted
