"""What a recipe can name, read off its own schema and the parts', for `tflite-light list`."""

from pathlib import Path
from typing import Any

from tflite_light import own
from tflite_light.errors import UserError
from tflite_light.recipe.recipe import Recipe
from tflite_light.sockets import load, names

RECIPE = "recipe"


def describe(topic: str) -> dict[str, Any]:
    """The parts of a socket, the one in a file outside the package, or `recipe` and its sections:
    each with its summary and its fields' types, ranges and defaults.

    Raises UserError where the file has no part that could be used.
    """
    if own.is_path(topic):
        schemas = {own.key(topic): _load(Path(topic)).model_json_schema()}
    elif topic != RECIPE:
        schemas = {name: load(topic, name).model_json_schema() for name in names(topic)}
    else:
        schema = Recipe.model_json_schema()
        schemas = {RECIPE: schema} | {
            name.lower(): section for name, section in schema["$defs"].items()
        }
    return {name: _describe_part(schema) for name, schema in schemas.items()}


def _load(path: Path) -> type[Any]:
    try:
        return own.load(path)
    except ValueError as error:
        raise UserError(f"{error}.", "A part is one class of a socket: docs/own.md.") from error


def _describe_part(schema: dict[str, Any]) -> dict[str, Any]:
    required = schema.get("required", [])
    return {
        "summary": schema.get("description", "").split("\n\n")[0].replace("\n", " "),
        "fields": {
            name: _describe_field(field) | ({"default": "required"} if name in required else {})
            for name, field in schema.get("properties", {}).items()
        },
    }


def _describe_field(field: dict[str, Any]) -> dict[str, Any]:
    kinds = field.get("anyOf") or field.get("oneOf") or [field]
    kinds = [kind for kind in kinds if kind.get("type") != "null"]
    default = field.get("default")
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    return {
        "type": " or ".join(_type(kind) for kind in kinds),
        "range": ", ".join(
            f"{sign} {kinds[0][key]}" for key, sign in signs.items() if key in kinds[0]
        ),
        "default": {} if isinstance(default, dict) else default,  # a section's own, listed there
        "description": field.get("description", ""),
    }


def _type(kind: dict[str, Any]) -> str:
    if "$ref" in kind:
        return str(kind["$ref"]).rsplit("/", 1)[-1].lower()
    if "enum" in kind:
        return " ".join(map(str, kind["enum"]))
    if kind.get("type") == "array":
        items = kind.get("items") or kind.get("prefixItems", [{}])[0]
        return f"list of {_type(items)}"
    return str(kind.get("type", "anything"))
