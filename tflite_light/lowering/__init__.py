"""Files rewritten for where they run: other operators, the same answers.

A rewrite is a file here with a function `rewrite(editor)`, and a line in `_rewrites`. It sees the
file as the converter made it, whatever network and mode that came from, so it looks for a form of
operators, never for a name. Weights are moved and filled with zeros, never trained.
"""

from collections.abc import Callable
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tflite_light.tflite.editing import Editor

Target = Literal["any", "cpu", "gpu", "nnapi"]

# What an operator costs, in multiply-adds. A core of a desktop takes 3 us to begin one; GPUs and
# processors for networks take longer, as a core would for two million products.
_CPU, _OTHERS = 400_000, 2_000_000
TOGETHER = 16  # output channels that XNNPACK computes at a time: fewer take as long


# Weights from which the converter makes a kernel int8 in a dynamic_range file.
_HYBRID = 1024
Like = Literal["int8", "dynamic_range"]


def lowered(
    content: bytes, target: Target, keeps: Callable[[bytes], bool], like: Like | None = None
) -> bytes:
    """The file as it suits a target; with `like`, a float file in the form of that mode's.

    `keeps` says whether a file still holds what was promised of it; a rewrite after which it does
    not is left out. A file of several graphs stays as it is.
    """
    from tflite_light.tflite.editing import Editor

    if len(Editor(content).model.subgraphs) != 1:
        return content
    for rewrite in _rewrites(target, like):
        editor = Editor(content)
        rewrite(editor)
        if editor.changed:
            written = editor.write()
            content = written if keeps(written) else content
    return content


def _rewrites(target: Target, like: Like | None) -> "list[Callable[[Editor], None]]":
    """In the order in which they follow: dense convolutions can take shuffles, grouped ones not."""
    from tflite_light.lowering import (
        dense,
        edges,
        ghosts,
        groups,
        padding,
        pools,
        relu,
        several,
        shuffles,
        stem,
    )

    operator = _CPU if target == "cpu" else _OTHERS
    ungrouped = like == "int8" or target == "nnapi"
    most = _HYBRID if like == "dynamic_range" else inf
    found: list[Callable[[Editor], None]] = [
        partial(groups.rewrite, several=target == "cpu", floats=ungrouped),
        partial(shuffles.rewrite, operator=operator, most=most),
        several.rewrite,
        dense.rewrite,
        pools.rewrite,
        relu.rewrite,
    ]
    if target in ("any", "cpu"):
        found += [stem.rewrite, padding.rewrite, partial(ghosts.rewrite, floats=like == "int8")]
    return [*found, edges.rewrite] if target == "cpu" else found
