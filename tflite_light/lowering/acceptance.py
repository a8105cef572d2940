"""What an accelerator does not run, so that a file made for it would fall back to the CPU."""

import re
from collections.abc import Iterator

from tflite_light.lowering import Target
from tflite_light.tflite.file import File
from tflite_light.tflite.storage import integers

# NNAPI's delegate, `nnapi_delegate.cc` of TFLite 2.16, takes convolutions up to the version before
# the one that has groups.
_CASTS = ("QUANTIZE", "DEQUANTIZE")
_GROUPED = ("CONV_2D", 6)


def refused(file: File, target: Target) -> str | None:
    """The first operator that a target does not take and why, in words."""
    return None if target in ("any", "cpu") else next(_refusals(file, target), None)


def _refusals(file: File, target: Target) -> Iterator[str]:
    for graph in file.graphs:
        groups = graph.grouped()
        for (kind, record), code in zip(graph.operators, graph.codes, strict=True):
            ends = [at for at in (*integers(record.inputs), *integers(record.outputs)) if at >= 0]
            moving = [at for at in ends if not graph.is_constant(at)]
            named = [*graph.kernels(kind, integers(record.inputs)), *ends[-1:]]
            layer = _layer(graph.name_of(named[0])) if named else ""
            if kind not in _CASTS and any(graph.type_of(at) == "int16" for at in moving):
                yield f"{target} has no int16 {kind}, as in {layer}"
            has_groups = not groups.isdisjoint(named[:1])
            named_one = has_groups or not groups  # all of a file with one have its version
            if target == "nnapi" and code >= _GROUPED and kind == _GROUPED[0] and named_one:
                yield f"{target} has no {kind} of version {code[1]} (groups), as in {layer}"
            if target == "gpu" and has_groups and graph.type_of(ends[0]) == "int8":
                yield f"{target} computes int8 {kind}s of groups wrongly, as in {layer}"


def _layer(name: str) -> str:
    parts = [part for part in re.split("[/;]", name) if part]
    return parts[1] if len(parts) > 1 else name
