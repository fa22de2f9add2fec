"""The OpenAPI document: valid, complete, and in step with the app and its types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from support.repository import REPOSITORY

from service.contract import problems
from service.contract.types import PLAIN_TEXT
from service.http.api_page import update_page
from service.http.openapi import make_document
from service.routes import OPERATIONS
from service.submissions.types import Submission


@pytest.fixture(scope="module")
def doc() -> dict[str, Any]:
    made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(make_document()))
    return made


def test_it_is_valid(doc: dict[str, Any]) -> None:
    assert doc["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(doc).validate()


def test_it_has_the_contract(doc: dict[str, Any]) -> None:
    contract = {
        ("post", "/v1/seasons/{sid}/scores"),
        ("post", "/v1/seasons/{sid}/scores/batch"),
        ("get", "/v1/seasons/{sid}/leaderboard/top"),
        ("get", "/v1/seasons/{sid}/leaderboard/rank"),
        ("get", "/v1/seasons/{sid}/leaderboard/around"),
        ("delete", "/v1/seasons/{sid}"),
        ("post", "/v1/keys"),
        ("get", "/v1/keys"),
        ("post", "/v1/keys/{id}/rotate"),
        ("delete", "/v1/keys/{id}"),
        ("get", "/healthz"),
        ("get", "/readyz"),
        ("get", "/livez"),
        ("get", "/openapi.json"),
    }
    assert contract <= {(method, path) for path, methods in doc["paths"].items() for method in methods}


def schemas_in(part: Any) -> Iterator[dict[str, Any]]:
    """Every schema of the document or of a part of it."""
    if isinstance(part, dict):
        if ("type" in part and isinstance(part["type"], str)) or part.keys() & {"enum", "anyOf", "const"}:
            yield part
        for name, inner in part.items():
            if name not in ("example", "examples"):
                yield from schemas_in(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from schemas_in(inner)


def test_every_value_has_a_type_that_generators_know(doc: dict[str, Any]) -> None:
    found = list(schemas_in(doc))
    assert [s for s in found if not s.keys() & {"type", "anyOf"}] == []
    assert {s["format"] for s in found if s.get("type") == "integer"} == {"int32", "int64"}
    members = doc["components"]["schemas"]["Accepted"]["properties"]
    assert members["queued"] == {"type": "boolean", "const": True}
    assert [members[name]["format"] for name in ("score", "version")] == ["int64", "int64"]
    assert doc["components"]["schemas"]["Submission"]["properties"]["delta"]["format"] == "int64"
    assert doc["components"]["schemas"]["Health"]["properties"]["status"] == {"type": "string", "enum": ["ok"]}


def test_an_optional_member_has_no_default(doc: dict[str, Any]) -> None:
    """openapi-typescript would make it required."""
    members = [m for s in doc["components"]["schemas"].values() for m in s.get("properties", {}).values()]
    assert members and [m for m in members if "default" in m] == []
    assert doc["components"]["schemas"]["Submission"]["required"] == ["userId"]
    assert doc["components"]["schemas"]["Rotation"]["required"] == []


def test_operations_have_tags_and_the_document_a_server(doc: dict[str, Any]) -> None:
    tags = {tag["name"]: tag["description"] for tag in doc["tags"]}
    names = ["submissions", "boards", "stream", "tickets", "seasons", "players", "moderation", "corrections",
             "events", "audit", "keys", "admin", "health", "openapi", "pages"]  # fmt: skip
    assert list(tags) == names
    assert all(tags.values())
    assert {tag for methods in doc["paths"].values() for entry in methods.values() for tag in entry["tags"]} == {*tags}
    assert doc["paths"]["/v1/seasons/{sid}/leaderboard/top"]["get"]["tags"] == ["boards"]
    assert doc["servers"][0]["url"] == "/"


def test_every_body_has_an_example_that_fits_its_schema(doc: dict[str, Any]) -> None:
    contents = [
        (f"{method} {path}", content)
        for path, methods in doc["paths"].items()
        for method, entry in methods.items()
        for part in (entry.get("requestBody"), *entry["responses"].values())
        if part
        for content in part.get("content", {}).values()
    ]
    without = [name for name, content in contents if "example" not in content]
    assert without == ["get /readyz", "get /openapi.json"], "a fault of the server, and any object"
    for name, content in contents:
        if name not in without:
            jsonschema.validate(content["example"], {**content["schema"], "components": doc["components"]})
    ready = doc["paths"]["/readyz"]["get"]["responses"]["200"]["content"]["application/json"]
    assert ready["example"]["status"] == "ready"
    jsonschema.validate(ready["example"], {**ready["schema"], "components": doc["components"]})


def test_operation_ids_are_unique() -> None:
    assert len({op.name for op in OPERATIONS}) == len(OPERATIONS)


def test_every_path_is_described_once_per_method() -> None:
    assert len({(op.method, op.path) for op in OPERATIONS}) == len(OPERATIONS)


def test_path_parameters_are_declared() -> None:
    for op in OPERATIONS:
        assert set(re.findall(r"{(\w+)}", op.path)) == {p.name for p in op.parameters if p.place == "path"}


def test_the_examples_decode() -> None:
    document = make_document()
    schema = document["components"]["schemas"]["Submission"]
    body = document["paths"]["/v1/seasons/{sid}/scores"]["post"]["requestBody"]
    example = body["content"]["application/json"]["example"]
    decoded = msgspec.json.decode(msgspec.json.encode(example), type=Submission)
    assert decoded.userId and decoded.delta
    for part in schema["properties"]["submissionId"]["anyOf"]:
        for key in part.get("examples", []):
            assert msgspec.json.decode(msgspec.json.encode(example | {"submissionId": key}), type=Submission)


def test_every_problem_an_operation_names_is_in_the_table() -> None:
    for op in OPERATIONS:
        for problem in op.all_problems:
            assert problems.PROBLEMS[problem.code] is problem


def test_every_problem_with_a_status_of_ours_is_described_in_the_answers(doc: dict[str, Any]) -> None:
    for op in OPERATIONS:
        responses = doc["paths"][op.path][op.method.lower()]["responses"]
        for problem in op.all_problems:
            assert f"`{problem.code}`" in responses[str(problem.status)]["description"]


def test_the_pattern_means_the_same_in_python_and_in_ecmascript() -> None:
    # Only constructs both have: classes, negation, look-ahead. `\\Z` and `(?a)` would be Python's alone.
    assert not re.search(r"\\[AZz]|\(\?[aiLmsux]", PLAIN_TEXT)
    assert re.search(PLAIN_TEXT, "ada") and not re.search(PLAIN_TEXT, "ada\n")


def test_the_tables_of_the_api_page_are_written_from_the_table() -> None:
    text = (REPOSITORY / "docs" / "api.md").read_text(encoding="utf-8")
    assert text == update_page(text), "make docs"
    for op in OPERATIONS:
        assert f"`{op.method} {op.path}`" in text


def test_a_page_without_a_place_for_its_tables_is_refused() -> None:
    with pytest.raises(ValueError, match="operations"):
        update_page("# HTTP API")
