"""YAML 1.2 as recipes are written in it, by ruamel.yaml."""

import io
import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

UNQUOTED = re.compile(r"[A-Za-z_/][\w./-]*", re.ASCII)
MOST = 1_000_000  # values of a recipe; `leave_out` may name many pictures
ONE_LINE = 2**31  # columns; folding a long text would change its spaces


class Unreadable(ValueError):
    """Why a text is no YAML, in a line."""


def parse(text: str) -> Any:
    """The value of a text, no part of which is in two places: an alias gives a copy, so that each
    can be changed alone. Raises Unreadable."""
    return _copied(_tried("load", text))


def end(text: str) -> int:
    """Where the value of a text ends; what follows is a comment. Raises Unreadable."""
    node = _tried("compose", text)
    return node.end_mark.index if node else 0


def dump(value: Any) -> str:
    """A text that parses to an equal value."""
    yaml: Any = YAML(typ="safe", pure=True)
    text = io.StringIO()
    yaml.sort_base_mapping_type_on_output = False  # in the order of the fields
    yaml.Representer = _Representer
    yaml.width = ONE_LINE
    yaml.dump(value, text)
    return text.getvalue()


class _Representer(SafeRepresenter):
    """Quotes every text but plain words: ruamel's choice leaves `?x` and U+0085 unreadable."""

    def represent_text(self, text: str) -> ScalarNode:
        style = None if UNQUOTED.fullmatch(text) else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Representer.add_representer(str, _Representer.represent_text)


def _copied(value: Any, within: tuple[int, ...] = (), left: list[int] | None = None) -> Any:
    """`left` is how many values more there may be: aliases of aliases make millions of a page."""
    left = [MOST] if left is None else left
    left[0] -= 1
    if id(value) in within:
        raise Unreadable("cannot be read: an alias holds itself")
    if left[0] < 0:
        raise Unreadable(f"cannot be read: aliases make more than {MOST:,} values")
    within = (*within, id(value)) if isinstance(value, dict | list) else within
    if isinstance(value, dict):
        return {key: _copied(one, within, left) for key, one in value.items()}
    if isinstance(value, list):
        return [_copied(one, within, left) for one in value]
    return value


def _tried(method: str, text: str) -> Any:
    try:
        return getattr(YAML(typ="safe", pure=True), method)(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = str(getattr(error, "problem", None) or error).splitlines()[0]
        raise Unreadable(f"is not YAML: {place}{problem}") from error
    except Exception as error:  # thousands of digits or brackets; tags on values of other kinds
        reason = str(error) or type(error).__name__
        raise Unreadable(f"cannot be read: {reason.splitlines()[0]}") from error
