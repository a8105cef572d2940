"""What a part is: a frozen, strictly checked value, and how a recipe names one."""

import difflib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SerializationInfo,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from tflite_light import own
from tflite_light.sockets import load, names

MESSAGES = {  # in place of pydantic's, which speak of Python
    "int_type": "needs a whole number",
    "int_from_float": "needs a whole number",
    "int_parsing_size": "is too large",
    "float_type": "needs a number",
    "bool_type": "needs true or false",
    "string_type": "needs text; put numbers and the like in quotes",
    "string_too_short": "must not be empty",
    "too_short": "needs at least one",
    "invalid_key": "is no name",
    "list_type": "needs a list, written [one, two]",
    "tuple_type": "needs a list of values, written [one, two, three]",
    "too_long": "has too many values",
    "missing": "is missing",
}
WHERE_IT_IS = "where it is"  # context of a dump that names a part's file by its path, not beside it
MOST_EPOCHS = 1_000_000  # far below what the counters of steps hold, far above any training
Epochs = Annotated[int, Field(ge=1, le=MOST_EPOCHS)]
SOCKET = "x-socket"  # key in a JSON schema: any part of the socket stands there


class Part(BaseModel):
    """A frozen value whose fields are its parameters; unknown keys and loose types are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True
    )

    @model_validator(mode="wrap")
    @classmethod
    def _suggest_names(cls, value: Any, handler: Any) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            raise restated(error, fields=list(cls.model_fields)) from None

    @classmethod
    def example(cls, folder: Path) -> Self:
        """A small working instance, what it reads written into `folder`.

        For the tests, which enumerate the parts.
        """
        return cls()

    @property
    def key(self) -> str:
        """The name of the part's file, which is its key in a recipe."""
        return type(self).__module__.rsplit(".", 1)[-1]

    @property
    def file(self) -> own.OwnFile | None:
        """Its file, of a part outside the package."""
        return own.file_of(type(self))


def restated(
    error: ValidationError, place: str = "", fields: list[str] | None = None
) -> ValidationError:
    """The same mistakes, below `place`, worded for a person; unknown keys with a suggestion."""
    lines = []
    for line in error.errors():
        kind = PydanticCustomError(line["type"], _message(line))
        if fields and line["type"] == "extra_forbidden" and len(line["loc"]) == 1:
            kind = unknown(str(line["loc"][0]), fields)
        elif fields and line["type"] == "model_type" and not line["loc"]:
            kind = PydanticCustomError(
                "fields",
                "needs fields, written {name: value}; they are {fields}",
                {"fields": ", ".join(fields)},
            )
        loc = (place, *line["loc"]) if place else line["loc"]
        lines.append(InitErrorDetails(type=kind, loc=loc, input=line["input"]))
    return ValidationError.from_exception_data(error.title, lines)


def _message(line: Any) -> str:
    error = line.get("ctx", {}).get("error")  # a validator's own, the first time it is restated
    return MESSAGES.get(line["type"]) or str(error or line["msg"])


def unknown(name: str, known: list[str]) -> PydanticCustomError:
    """The error for a name that does not exist, with the nearest that does."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(known)}"
    return PydanticCustomError("unknown_name", "unknown name, {hint}", {"hint": hint})


def _written(kind: type[Part], fields: dict[str, Any], error: ValidationError) -> Part | None:
    """The part outside the package whose fields are written so in a recipe, and in a run's: where a
    list stands for a tuple or a set, and a text for a path, say, but for no number."""
    if own.file_of(kind) is None:
        return None
    try:
        part = kind.model_validate(fields, strict=False)
    except ValidationError:
        return None
    for name in {str(line["loc"][0]) for line in error.errors()}:
        text = isinstance(fields[name], str) and not isinstance(getattr(part, name), int | float)
        if not (text or isinstance(fields[name], list)):
            return None
    return part


class OneOf:
    """Field annotation: a part of `socket`, written `name` or `{name: {field: value}}`.

    The name is that of a part of the kit, or the path of a file outside (`own.py`).
    """

    def __init__(self, socket: str):
        self.socket = socket

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return core_schema.no_info_plain_validator_function(
            self.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(
                self.dump, info_arg=True
            ),
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"enum": names(self.socket), SOCKET: self.socket}  # for `list`

    def parse(self, value: Any) -> Part:
        if isinstance(value, Part):
            return value
        if isinstance(value, str):
            value = {value: {}}
        if not isinstance(value, dict) or len(value) != 1:
            found = f", not {len(value)}" if isinstance(value, dict) else ""
            raise ValueError(f"needs one part{found}: {', '.join(names(self.socket))}")
        ((name, fields),) = value.items()
        kind, fields = self._kind(name), {} if fields is None else fields
        try:
            part: Part = kind.model_validate(fields)
            return part
        except ValidationError as error:
            if written := _written(kind, fields, error):
                return written
            raise restated(error, place=own.key(name)) from None

    def _kind(self, name: Any) -> type[Part]:
        """The class of that name. Raises ValidationError where there is none."""
        if name in names(self.socket):
            return load(self.socket, name)
        try:
            if own.is_path(name):
                return own.load(Path(name).absolute(), self.socket)
            problem = unknown(str(name), [*names(self.socket), "./NAME.py of your own"])
        except ValueError as error:
            problem = PydanticCustomError("own_part", "{reason}", {"reason": str(error)})
        lines = [InitErrorDetails(type=problem, loc=(own.key(str(name)),), input=name)]
        raise ValidationError.from_exception_data(self.socket, lines)

    @staticmethod
    def dump(part: Part, info: SerializationInfo) -> dict[str, Any]:
        name = part.key
        if part.file:
            name = str(part.file.path) if info.context == WHERE_IT_IS else part.file.name
        return {name: part.model_dump(mode="json")}
