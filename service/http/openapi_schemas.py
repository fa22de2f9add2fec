"""Schemas of the OpenAPI document, made from types in a form that generators of clients understand, and examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from service.contract.spelling import COLUMNS, DIGITS, FOREIGN, SPELLED, spell

REFERENCE: Final = "#/components/schemas/"
INT32_MIN: Final = -(2**31)
INT32_MAX: Final = 2**31 - 1
_JSON_TYPES: Final = {bool: "boolean", int: "integer", str: "string"}

Schema = dict[str, Any]


def make_schemas(types: Sequence[Any]) -> tuple[list[Schema], dict[str, Schema]]:
    """The schema of each type, and the components that they refer to."""
    schemas, components = msgspec.json.schema_components(types, ref_template=REFERENCE + "{name}")
    return [refine(schema) for schema in schemas], {name: refine(schema) for name, schema in components.items()}


def refine(schema: Schema) -> Schema:
    """A schema of msgspec in the form that generators of clients understand.

    - Every `enum` has a `type`. One of a single boolean is a `const`: openapi-python-client drops an answer otherwise.
    - An integer has the `format` that holds its range, `int32` or `int64`.
    - A member with a default is optional, and has no `default`: openapi-typescript makes it required otherwise.
    - A description is one line.
    """
    made = {name: refine_part(name, part) for name, part in schema.items() if name != "default"}
    if "enum" in made:
        (kind,) = {type(value) for value in made["enum"]}
        made["type"] = _JSON_TYPES[kind]
        if kind is bool and len(made["enum"]) == 1:
            (made["const"],) = made.pop("enum")
    if made.get("type") == "integer":
        small = made.get("minimum", INT32_MIN - 1) >= INT32_MIN and made.get("maximum", INT32_MAX + 1) <= INT32_MAX
        made["format"] = "int32" if small else "int64"
    return made


def refine_part(name: str, part: Any) -> Any:
    """One keyword of a schema, with the schemas in it refined."""
    if name == "description":
        return " ".join(part.split())
    if name == "properties":
        return {member: refine(schema) for member, schema in part.items()}
    if name == "anyOf":
        return [refine(schema) for schema in part]
    if name in ("items", "additionalProperties", "propertyNames") and isinstance(part, dict):
        return refine(part)
    return part


class SpelledSchemas:
    """Schemas of answers whose numbers of 64 bits are strings (`service.contract.spelling`), made of the others.

    The components that differ are added to `components`, under their names with `Spelled` behind.
    """

    def __init__(self, components: dict[str, Schema]) -> None:
        self._components: Final = components

    def make(self, schema: Schema) -> Schema:
        """The schema with strings; the same one if it has no such number."""
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(REFERENCE)
            spelled = self.make(self._components[name])
            if spelled == self._components[name]:
                return schema
            self._components[f"{name}Spelled"] = spelled
            return {"$ref": f"{REFERENCE}{name}Spelled"}
        if "anyOf" in schema:
            return {**schema, "anyOf": [self.make(part) for part in schema["anyOf"]]}
        if "items" in schema:
            texts = {"examples": spell(schema["examples"])} if "examples" in schema else {}
            return {**schema, "items": self.make(schema["items"]), **texts}
        if "properties" not in schema:
            return schema
        members = {name: self._make_member(name, part) for name, part in schema["properties"].items()}
        title = {"title": f"{schema['title']}Spelled"} if members != schema["properties"] and "title" in schema else {}
        return {**schema, "properties": members, **title}

    def _make_member(self, name: str, schema: Schema) -> Schema:
        if name in FOREIGN:
            return schema
        if name == COLUMNS and "additionalProperties" in schema:
            return {**schema, "additionalProperties": make_text(schema["additionalProperties"])}
        if name not in SPELLED:
            return self.make(schema)
        if "anyOf" in schema:
            return {**schema, "anyOf": [make_text(part) for part in schema["anyOf"]]}
        return make_text(schema)


def make_text(schema: Schema) -> Schema:
    """The schema of a number of 64 bits as a string; one of anything else stays as it is."""
    if schema.get("type") != "integer":
        return schema
    kept = {name: value for name, value in schema.items() if name == "description"}
    texts = {"examples": [str(example) for example in schema["examples"]]} if "examples" in schema else {}
    return {"type": "string", "pattern": DIGITS, **kept, **texts}


def make_example(schema: Schema, components: dict[str, Schema]) -> Any:
    """A value of the schema: its own example, or one made of those of its required members (without any: of all).

    Raises KeyError for a part without an example.
    """
    for keyword in ("examples", "enum"):
        if keyword in schema:
            return schema[keyword][0]
    if "$ref" in schema:
        return make_example(components[schema["$ref"].removeprefix(REFERENCE)], components)
    if "anyOf" in schema:
        return make_example(schema["anyOf"][0], components)
    if "const" in schema:
        return schema["const"]
    if schema["type"] == "array":
        return [make_example(schema["items"], components)]
    members = schema["required"] or schema["properties"]
    return {name: make_example(schema["properties"][name], components) for name in members}
