"""Whether a rewritten file still holds what stages promised, kernel by kernel.

Rewrites move kernels into other shapes, by which promises would not find them, but leave their
tensors' names. So those that a promise is about are found in the file as it was converted, and none
may have more offences afterwards, or be gone.
"""

from collections import Counter
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
    followed = [getattr(one, "followed", lambda _: None)(file) for one in promises]
    before = [_offences(each, file, filled) for each in followed]

    def broken_by(rewritten: File) -> str:
        for promise, counts, most in zip(promises, followed, before, strict=True):
            if counts is None:
                kept = promise.shortfall(rewritten) is None
            else:
                found = _offences(counts, rewritten, filled)
                kept = all(name in found and found[name] <= most[name] for name in counts)
            if not kept:
                return promise.name
        return ""

    return broken_by


def _offences(counts: dict[str, Any] | None, file: File, filled: set[str]) -> Counter[str]:
    """Of each kernel that is followed, in all its pieces."""
    found = Counter[str]()
    for weight in file.weights(each_use=True) if counts else ():
        if counts and weight.name in counts:
            found[weight.name] += counts[weight.name](weight, weight.name in filled)
    return found
