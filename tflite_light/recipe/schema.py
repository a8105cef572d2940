"""The JSON schema of recipes: editors complete and check a recipe by it while it is written."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from tflite_light.parts import SOCKET
from tflite_light.recipe.recipe import Recipe
from tflite_light.sockets import load, names


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a recipe, with the fields of every part.

    What depends on several fields at once, such as the order of stages, is left to `check`.
    """
    whole = Recipe.model_json_schema(schema_generator=_Generator)
    sections = whole.pop("$defs")
    shared: dict[str, Any] = {}  # what parts refer to
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_with_parts(whole, shared),
        "title": "a recipe of tflite-light",
        "$defs": _with_parts(sections, shared) | shared,
    }


_OWN = r"\.py$"


class _Generator(GenerateJsonSchema):
    """Fields that convert what is written, such as `mean: 128` for three of it, take numbers."""

    def function_before_schema(self, schema: Any) -> dict[str, Any]:
        return {"anyOf": [super().function_before_schema(schema), {"type": "number"}]}


def _with_parts(value: Any, shared: dict[str, Any]) -> Any:
    """The schema with each socket's names replaced by its parts' own schemas."""
    if isinstance(value, list):
        return [_with_parts(one, shared) for one in value]
    if not isinstance(value, dict):
        return value
    if SOCKET not in value:
        return {key: _with_parts(one, shared) for key, one in value.items()}
    return _parts(value[SOCKET], shared)


def _parts(socket: str, shared: dict[str, Any]) -> dict[str, Any]:
    """`name` alone or `{name: {field: value}}`; a file outside the package with any fields."""
    fields = {
        name: load(socket, name).model_json_schema(schema_generator=_Generator)
        for name in names(socket)
    }
    for part in fields.values():
        shared |= part.pop("$defs", {})
    short = [name for name, part in fields.items() if not part.get("required")]
    return {
        "anyOf": [
            {"enum": short},
            {"type": "string", "pattern": _OWN},
            {
                "type": "object",
                "properties": {
                    name: {"anyOf": [part, {"type": "null"}]} if name in short else part
                    for name, part in fields.items()
                },
                "patternProperties": {_OWN: {"type": ["object", "null"]}},
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    }
