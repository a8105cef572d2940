"""A `.tflite` in the form that it is downloaded in; `docs/packed.md` describes every byte.

Values of tensors are coded by models of weights (`planes.py`), all else by LZMA2 (`head.py`).
"""

import hashlib
from collections.abc import Collection, Sequence
from math import isqrt
from pathlib import Path

import numpy as np

from tflite_light.errors import UserError
from tflite_light.tflite.file import File
from tflite_light.tflite.flatbuffer import Array, Damage
from tflite_light.tflite.packed import tensors
from tflite_light.tflite.packed.constants import Constant, constants
from tflite_light.tflite.packed.container import LARGEST_BYTES, Container, damaged, too_large
from tflite_light.tflite.packed.head import Head, Tensor
from tflite_light.tflite.packed.rans import Coder, Decoder, Encoder
from tflite_light.tflite.packed.tensors import Plan
from tflite_light.tflite.packed.words import FLOAT, FORMS, INTEGER

_LARGE = 4096  # bytes, from which a tensor has frequencies of its own
_MOST_LANES = 1024


def pack(file: File) -> bytes:
    """Raises UserError where a file is too large, or so empty that it would not be unpacked."""
    content = file.content
    if len(content) > LARGEST_BYTES:
        raise too_large(f"{len(content):,} bytes are more than can be packed, {LARGEST_BYTES:,}.")
    found = constants(file)
    pooled = {form for form in (FLOAT, INTEGER) if tensors.pools(_small(found, form, content))}
    planned = [(one, _plan(one, content, pooled)) for one in found]
    chosen = [(one, plan) for one, plan in planned if plan]
    ends = [0, *(one.end for one, _ in chosen)]
    gaps = [content[end : one.start] for (one, _), end in zip(chosen, ends, strict=False)]
    records = [
        Tensor(len(gap), one.shape, one.form, plan.model, len(plan.codebook), plan.zero)
        for (one, plan), gap in zip(chosen, gaps, strict=True)
    ]
    coder = Encoder()
    _code(coder, records, [plan for _, plan in chosen], [one.words(content) for one, _ in chosen])
    rest = b"".join([*gaps, content[ends[-1] :]])
    size, head = Head(records, coder.tables(), rest).compressed()
    lanes = _lanes(coder)
    digest = hashlib.sha256(content).digest()
    packed = coder.words(lanes).tobytes()
    return Container(len(content), size, head, lanes, packed, digest).written()


def unpack(packed: bytes, name: str = "the file") -> bytes:
    """The `.tflite`, to the bit. Raises UserError, in which the file is called `name`."""
    container = Container.of(packed, name)
    try:
        head = Head.of(container.head, container.head_size, container.size)
        if head.size_bytes() != container.size:
            raise Damage("its parts do not fit its size")
        coder = Decoder(head.tables, np.frombuffer(container.words, "<u2"), container.lanes)
        content = head.joined(_code(coder, head.tensors))
        coder.finish()
        container.check(content)
    except Damage as error:
        raise damaged(name, error) from error
    return content


def read(path: Path) -> bytes:
    """The `.tflite` in a packed file. Raises UserError."""
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}.",
            "Give a file that `tflite-light pack` wrote.",
        ) from error
    return unpack(packed, str(path))


def _plan(one: Constant, content: bytes, pooled: Collection[int]) -> Plan | None:
    """None where a tensor stays in the rest of the file, which LZMA2 codes."""
    if one.end - one.start >= _LARGE:
        return tensors.plan(one.words(content), one.shape)
    return Plan(0, 0, one.words(content)[:0]) if one.form in pooled else None


def _small(found: Sequence[Constant], form: int, content: bytes) -> Array:
    """The words of all small tensors of a form."""
    small = [one for one in found if one.form == form and one.end - one.start < _LARGE]
    none = np.empty(0, FORMS[form])
    return np.concatenate([none, *(one.words(content) for one in small)])


def _lanes(coder: Encoder) -> int:
    """Many where there are many symbols, as few lanes take long; a lane costs two bytes.

    64 for 30,000 symbols, 512 for 2 million; no more than cost 0.5 % of what they hold.
    """
    quick, cheap = isqrt(coder.symbols()) * 3 // 8, int(coder.size_bytes()) // 400
    return max(min(quick, cheap, _MOST_LANES), 1)


def _code(
    coder: Coder,
    found: Sequence[Tensor],
    plans: Sequence[Plan] | None = None,
    words: Sequence[Array] | None = None,
) -> list[Array]:
    """The words of all tensors; plans and words are given to be written, left out to be read.

    First codebooks, then small floats and small integers, each as if they were one tensor.
    """
    books = None if plans is None else [tensors.steps(plan.codebook) for plan in plans]
    steps = _pool(coder, FLOAT, [one.entries for one in found], books)
    out = [np.empty(0, FORMS[one.form]) for one in found]
    for form in (FLOAT, INTEGER):
        small = [at for at, one in enumerate(found) if one.form == form and not one.model]
        known = None if words is None else [words[at] for at in small]
        for at, values in zip(
            small, _pool(coder, form, [found[at].count for at in small], known), strict=True
        ):
            out[at] = values
    for at, one in enumerate(found):
        if one.model:
            plan = Plan(one.model, one.zero, tensors.codebook_of(steps[at], FORMS[one.form]))
            own = None if words is None else words[at]
            out[at] = tensors.code(coder, plan, one.shape, FORMS[one.form], own)
    return out


def _pool(
    coder: Coder, form: int, counts: Sequence[int], words: Sequence[Array] | None
) -> list[Array]:
    """Lists of words, coded as one."""
    none = np.empty(0, FORMS[form])
    known = None if words is None else np.concatenate([none, *words])
    plan = Plan(tensors.PLAIN, 0, none)
    joined = tensors.code(coder, plan, (1, 1, 1, sum(counts)), FORMS[form], known)
    return np.split(joined, np.cumsum(counts))[:-1]
