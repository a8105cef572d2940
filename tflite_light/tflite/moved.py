"""Whether a rewritten file still holds what stages promised, kernel by kernel.

Rewrites move kernels into other shapes, by which promises would not find them, but leave their
tensors' names. So those that a promise is about are found in the file as it was converted, and none
may have more offences afterwards, or be gone.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tflite_light.tflite.file import File
from tflite_light.tflite.promises import Promise


def breaker(promises: Sequence[Promise], content: bytes, *, fills: bool) -> Callable[[File], str]:
    """A function that names a promise that a rewritten file breaks, or nothing.

    With `fills` the zeros between the groups of a convolution, in whose place a dense one stands,
    are no values: some targets take grouped ones in no other form. A promise that does not follow
    kernels, such as one of users' own, has to hold as it did.
    """
    file = File(content)
    filled = {graph.name_of(one) for graph in file.graphs for one in graph.grouped() if fills}
    marks = [getattr(one, "followed", lambda _: None)(file) for one in promises]
    before = [_offences(*pair, file, filled) for pair in zip(promises, marks, strict=True)]

    def broken_by(rewritten: File) -> str:
        for promise, mark, most in zip(promises, marks, before, strict=True):
            if mark is None:
                kept = promise.shortfall(rewritten) is None
            else:
                found = _offences(promise, mark, rewritten, filled)
                kept = all(name in found and found[name] <= most[name] for name in mark)
            if not kept:
                return promise.name
        return ""

    return broken_by


def _offences(
    promise: Any, marks: dict[str, bool] | None, file: File, filled: set[str]
) -> dict[str, int]:
    """Of each kernel that is followed, in all its pieces."""
    found: dict[str, int] = {}
    for weight in file.weights(each_use=True):
        if marks and weight.name in marks:
            count = promise.offences(weight, marks[weight.name], weight.name in filled)
            found[weight.name] = found.get(weight.name, 0) + count
    return found
