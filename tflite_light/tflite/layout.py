"""The parts of a `.tflite` file that are read here, by the names that the schema gives them.

Slots and types are those of `tflite/converter/schema/schema.fbs` of google-ai-edge/LiteRT, which
never change: a field is only ever added behind the others. What is not listed is not looked at.
"""

from typing import Any

from tflite_light.tflite.flatbuffer import (
    Content,
    Fields,
    either,
    raw,
    record,
    records,
    scalar,
    text,
    vector,
)

_PLACES = either(  # of the values along a sparse dimension
    {"values": (0, vector("<i4"))}, {"values": (0, vector("<u2"))}, {"values": (0, vector("u1"))}
)
_DIMENSION: Fields = {
    "format": (0, scalar("b")),
    "denseSize": (1, scalar("i")),
    "arraySegments": (3, _PLACES),
    "arrayIndices": (5, _PLACES),
}
_SPARSITY: Fields = {
    "traversalOrder": (0, vector("<i4")),
    "blockMap": (1, vector("<i4")),
    "dimMetadata": (2, records(_DIMENSION)),
}
_QUANTIZATION: Fields = {
    "min": (0, vector("<f4")),
    "max": (1, vector("<f4")),
    "scale": (2, vector("<f4")),
    "zeroPoint": (3, vector("<i8")),
    "quantizedDimension": (6, scalar("i")),
}
_TENSOR: Fields = {
    "shape": (0, vector("<i4")),
    "type": (1, scalar("b")),
    "buffer": (2, scalar("I")),
    "name": (3, text),
    "isVariable": (5, scalar("?")),
    "quantization": (4, record(_QUANTIZATION)),
    "sparsity": (6, record(_SPARSITY)),
    "shapeSignature": (7, vector("<i4")),
    "hasRank": (8, scalar("?")),
    "externalBuffer": (10, scalar("I")),
}
_NUMBERS: Fields = {"numbers": (0, vector("<i4"))}
_LISTS = {17: _NUMBERS, 30: _NUMBERS}  # options that are a list: RESHAPE's and SQUEEZE's


def _options(content: Content, table: int, slot: int) -> tuple[int, Any]:
    """The kind of an operator's options and what is in them, equal for equal ones."""
    kind = int(scalar("B")(content, table, slot - 1))
    found = record(_LISTS[kind])(content, table, slot) if kind in _LISTS else None
    if found is None or found.numbers is None:
        return kind, raw(content, table, slot)
    return kind, found.numbers.tolist()


_OPERATOR: Fields = {
    "opcodeIndex": (0, scalar("I")),
    "inputs": (1, vector("<i4")),
    "outputs": (2, vector("<i4")),
    "options": (4, _options),
    "customOptions": (5, vector("u1")),
    "moreOptions": (12, raw),
}
_GRAPH: Fields = {
    "tensors": (0, records(_TENSOR)),
    "inputs": (1, vector("<i4")),
    "outputs": (2, vector("<i4")),
    "operators": (3, records(_OPERATOR)),
    "name": (4, text),
}
_MODEL: Fields = {
    "operatorCodes": (
        1,
        records(
            {
                "deprecatedBuiltinCode": (0, scalar("b")),
                "customCode": (1, text),
                "version": (2, scalar("i", default=1)),
                "builtinCode": (3, scalar("i")),
            }
        ),
    ),
    "subgraphs": (2, records(_GRAPH)),
    "buffers": (
        4,
        records({"data": (0, vector("u1")), "offset": (1, scalar("Q")), "size": (2, scalar("Q"))}),
    ),
    "metadata": (6, records({"name": (0, text), "buffer": (1, scalar("I"))})),
    "signatureDefs": (7, records({"signatureKey": (2, text), "subgraphIndex": (4, scalar("I"))})),
}


def read(data: bytes | bytearray) -> Any:
    """The model in a file; its lists of numbers are views of `data`.

    Raises Damage where an offset or a list leads out of it.
    """
    content = Content(data)
    return content.record(content.follow(0), _MODEL)
