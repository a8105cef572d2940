"""What a recipe can name, read off the parts themselves, for `tflite-light list`."""

from typing import Any

from tflite_light.sockets import Part, load, names


def describe(socket: str) -> dict[str, Any]:
    """The parts of a socket: each with its summary and its fields' types, ranges and defaults."""
    return {name: _describe_part(load(socket, name)) for name in names(socket)}


def _describe_part(part: type[Part]) -> dict[str, Any]:
    schema = part.model_json_schema() if part.model_fields else {}
    return {
        "summary": (part.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " "),
        "fields": {
            name: _describe_field(field, name in schema.get("required", []))
            for name, field in schema.get("properties", {}).items()
        },
    }


def _describe_field(field: dict[str, Any], required: bool) -> dict[str, Any]:
    kinds = [kind for kind in field.get("anyOf", [field]) if kind.get("type") != "null"]
    kind = kinds[0]
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    return {
        "type": " ".join(map(str, kind["enum"])) if "enum" in kind else kind.get("type", "value"),
        "range": ", ".join(f"{sign} {kind[key]:g}" for key, sign in signs.items() if key in kind),
        "default": "required" if required else field.get("default"),
        "description": field.get("description", ""),
    }
