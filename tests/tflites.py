"""Small `.tflite` files of many kinds, written record by record: no TensorFlow, nothing trained."""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from conftest import pack, unpack

OP, TYPE = schema.BuiltinOperator, schema.TensorType
TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "int8": 9}


class Writer:
    """A file in the making; numbers of tensors and buffers are handed out as they are added."""

    def __init__(self) -> None:
        self.model = schema.ModelT(version=3, buffers=[schema.BufferT()], subgraphs=[])
        self.model.operatorCodes, self.model.signatureDefs = [], []

    def graph(self, name: str = "", signature: str = "") -> "GraphWriter":
        record = schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[], name=name)
        self.model.subgraphs.append(record)
        if signature:
            number = len(self.model.subgraphs) - 1
            self.model.signatureDefs.append(
                schema.SignatureDefT(
                    inputs=[], outputs=[], signatureKey=signature, subgraphIndex=number
                )
            )
        return GraphWriter(self, record)

    def buffer(self, content: bytes) -> int:
        self.model.buffers.append(schema.BufferT(data=np.frombuffer(content, np.uint8)))
        return len(self.model.buffers) - 1

    def code(self, op: int, version: int = 1, custom: str | None = None) -> int:
        self.model.operatorCodes.append(
            schema.OperatorCodeT(
                deprecatedBuiltinCode=min(op, 127),
                builtinCode=op,
                version=version,
                customCode=custom,
            )
        )
        return len(self.model.operatorCodes) - 1

    def bytes(self) -> bytes:
        return pack(self.model)


class GraphWriter:
    def __init__(self, writer: Writer, record: Any) -> None:
        self.writer, self.record = writer, record

    def tensor(self, shape: Any, kind: int = 0, buffer: int = 0, **more: Any) -> int:
        number = len(self.record.tensors)
        more.setdefault("name", f"net/layer{number}/Conv2D")
        self.record.tensors.append(
            schema.TensorT(shape=list(shape), type=kind, buffer=buffer, hasRank=True, **more)
        )
        return number

    def constant(self, values: Any, kind: int | None = None, **more: Any) -> int:
        values = np.asarray(values)
        kind = TYPES[str(values.dtype)] if kind is None else kind
        return self.tensor(values.shape, kind, self.writer.buffer(values.tobytes()), **more)

    def op(
        self,
        op: int,
        inputs: list[int],
        outputs: list[int],
        options: Any = None,
        version: int = 1,
        custom: str | None = None,
    ) -> None:
        kind = 0
        if options is not None:
            kind = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
        self.record.operators.append(
            schema.OperatorT(
                opcodeIndex=self.writer.code(op, version, custom),
                inputs=inputs,
                outputs=outputs,
                builtinOptionsType=kind,
                builtinOptions=options,
            )
        )

    def ends(self, inputs: list[int], outputs: list[int]) -> None:
        self.record.inputs, self.record.outputs = inputs, outputs


def draw(*shape: int) -> Any:
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def _conv(graph: GraphWriter, image: int, kernel: int, bias: int, output: int) -> None:
    options = schema.Conv2DOptionsT(strideH=1, strideW=1)
    graph.op(OP.CONV_2D, [image, kernel, bias], [output], options)


def plain(**image: Any) -> bytes:
    """A convolution of 3x3x3x8, an average and a dense layer of 8x4, on pictures of 8x8."""
    writer = Writer()
    graph = writer.graph("main", "serve")
    x = graph.tensor((1, 8, 8, 3), name="picture", **image)
    y, z, out = graph.tensor((1, 8, 8, 8)), graph.tensor((1, 8)), graph.tensor((1, 4))
    _conv(graph, x, graph.constant(draw(8, 3, 3, 3)), graph.constant(draw(8)), y)
    axes = graph.constant(np.array([1, 2], np.int32))
    graph.op(OP.MEAN, [y, axes], [z], schema.ReducerOptionsT())
    dense = schema.FullyConnectedOptionsT()
    graph.op(OP.FULLY_CONNECTED, [z, graph.constant(draw(4, 8)), -1], [out], dense)
    graph.ends([x], [out])
    return writer.bytes()


def open_sizes() -> bytes:
    """A convolution of 3x3x3x8 and an average, on pictures of any size; 1x1 is stored."""
    writer = Writer()
    graph = writer.graph("main", "serve")
    x = graph.tensor((1, 1, 1, 3), shapeSignature=[-1, -1, -1, 3], name="picture")
    y = graph.tensor((1, 1, 1, 8), shapeSignature=[-1, -1, -1, 8])
    z = graph.tensor((1, 8), shapeSignature=[-1, 8])
    _conv(graph, x, graph.constant(draw(8, 3, 3, 3)), graph.constant(draw(8)), y)
    axes = graph.constant(np.array([1, 2], np.int32))
    graph.op(OP.MEAN, [y, axes], [z], schema.ReducerOptionsT())
    graph.ends([x], [z])
    return writer.bytes()


def int4() -> bytes:
    """A dense layer of 8x4 in halves of bytes, by channel, on float pictures."""
    writer = Writer()
    graph = writer.graph("main")
    x, out = graph.tensor((1, 8)), graph.tensor((1, 4))
    packed = np.arange(16, dtype=np.uint8) * 15
    scales = schema.QuantizationParametersT(scale=[0.1] * 4, zeroPoint=[0] * 4)
    kernel = graph.tensor((4, 8), TYPE.INT4, writer.buffer(packed.tobytes()), quantization=scales)
    graph.op(OP.FULLY_CONNECTED, [x, kernel, -1], [out], schema.FullyConnectedOptionsT())
    graph.ends([x], [out])
    return writer.bytes()


def uint8() -> bytes:
    """A depthwise convolution of 3x3x4 whose weights' zero is 7."""
    writer = Writer()
    graph = writer.graph("main")
    scale = schema.QuantizationParametersT(scale=[0.5], zeroPoint=[7])
    x, y = (graph.tensor((1, 8, 8, 4), TYPE.UINT8, quantization=scale) for _ in range(2))
    kernel = graph.constant(np.arange(36, dtype=np.uint8).reshape(1, 3, 3, 4), quantization=scale)
    options = schema.DepthwiseConv2DOptionsT(strideH=1, strideW=1, depthMultiplier=1)
    quarter = schema.QuantizationParametersT(scale=[0.25], zeroPoint=[0])
    bias = graph.constant(np.arange(4, dtype=np.int32), quantization=quarter)
    graph.op(OP.DEPTHWISE_CONV_2D, [x, kernel, bias], [y], options)
    graph.ends([x], [y])
    return writer.bytes()


def sparse_half() -> bytes:
    """A dense layer of 4x8: float16, all but 4 values left out, unpacked twice on loading."""
    writer = Writer()
    graph = writer.graph("main")
    x, out = graph.tensor((1, 8)), graph.tensor((1, 4))
    level = schema.DimensionMetadataT
    rows, columns = schema.Uint8VectorT(values=[0, 1, 2, 3, 4]), schema.Uint8VectorT(values=[1] * 4)
    layout = schema.SparsityParametersT(
        traversalOrder=[0, 1],
        dimMetadata=[
            level(denseSize=4),
            level(
                format=1,
                arraySegmentsType=3,
                arraySegments=rows,
                arrayIndicesType=3,
                arrayIndices=columns,
            ),
        ],
    )
    half = writer.buffer(draw(4).astype(np.float16).tobytes())
    stored = graph.tensor((4, 8), TYPE.FLOAT16, half, sparsity=layout)
    dense, whole = graph.tensor((4, 8), TYPE.FLOAT16), graph.tensor((4, 8))
    graph.op(OP.DENSIFY, [stored], [dense])
    graph.op(OP.DEQUANTIZE, [dense], [whole])
    graph.op(OP.FULLY_CONNECTED, [x, whole, -1], [out], schema.FullyConnectedOptionsT())
    graph.ends([x], [out])
    return writer.bytes()


def state() -> bytes:
    """A variable of 4x8 that one graph starts and another multiplies by; two signatures."""
    writer = Writer()
    graph = writer.graph("main", "infer")
    start = writer.graph("start", "reset")
    first = draw(4, 8)
    for one in (graph, start):
        handle = one.tensor((), TYPE.RESOURCE)
        one.op(OP.VAR_HANDLE, [], [handle], schema.VarHandleOptionsT(sharedName="w"))
        if one is start:
            one.op(OP.ASSIGN_VARIABLE, [handle, one.constant(first)], [])
            continue
        one.op(OP.CALL_ONCE, [], [], schema.CallOnceOptionsT(initSubgraphIndex=1))
        x, out, kernel = one.tensor((1, 8)), one.tensor((1, 4)), one.tensor((4, 8))
        one.op(OP.READ_VARIABLE, [handle], [kernel])
        one.op(OP.FULLY_CONNECTED, [x, kernel, -1], [out], schema.FullyConnectedOptionsT())
        one.ends([x], [out])
    return writer.bytes()


def loop() -> bytes:
    """A convolution of 3x3x2x2 on 6x6 that a WHILE runs thrice, and once before: one kernel."""
    writer = Writer()
    main, going, body = writer.graph("main"), writer.graph("cond"), writer.graph("body")
    kernel = writer.buffer(draw(2, 3, 3, 2).tobytes())

    def turn(graph: GraphWriter, x: int) -> int:
        y = graph.tensor((1, 6, 6, 2))
        _conv(graph, x, graph.tensor((2, 3, 3, 2), 0, kernel), graph.constant(draw(2)), y)
        return y

    ends = [(graph.tensor((1,), 2), graph.tensor((1, 6, 6, 2))) for graph in (main, going, body)]
    count, image = ends[0]
    after = [main.tensor((1,), 2), main.tensor((1, 6, 6, 2))]
    options = schema.WhileOptionsT(condSubgraphIndex=1, bodySubgraphIndex=2)
    main.op(OP.WHILE, [count, turn(main, image)], after, options)
    main.ends([count, image], [after[1]])
    less = going.tensor((1,), TYPE.BOOL)
    three = going.constant(np.array([3], np.int32))
    going.op(OP.LESS, [ends[1][0], three], [less], schema.LessOptionsT())
    going.ends([*ends[1]], [less])
    more = body.tensor((1,), 2)
    one = body.constant(np.array([1], np.int32))
    body.op(OP.ADD, [ends[2][0], one], [more], schema.AddOptionsT())
    body.ends([*ends[2]], [more, turn(body, ends[2][1])])
    return writer.bytes()


def embedding() -> bytes:
    """A table of 10x6 of which 2 rows are looked up; a scalar and a string go in and out too."""
    writer = Writer()
    graph = writer.graph("main")
    picked, rows = graph.tensor((2,), 2), graph.tensor((2, 6))
    scalar, word = graph.tensor(()), graph.tensor((1,), TYPE.STRING, name="a [/red] \x1b[2J word")
    table = np.round(draw(10, 6))
    graph.op(OP.EMBEDDING_LOOKUP, [picked, graph.constant(table)], [rows])
    graph.ends([picked, scalar, word], [rows, scalar, word])
    return writer.bytes()


def unknown() -> bytes:
    """An operator of a newer schema, a custom one, a type of a newer schema, a dense layer."""
    writer = Writer()
    graph = writer.graph("main")
    x, y, z, out = (graph.tensor((1, 8)), graph.tensor((1, 8), 99), graph.tensor((1, 8), 99), 0)
    weights = graph.constant(draw(3, 3))
    graph.op(999, [x, weights], [y])
    graph.op(OP.CUSTOM, [y], [z], custom="Mystery")
    out = graph.tensor((1, 4))
    kernel = graph.tensor((4, 8), 99, writer.buffer(bytes(11)))
    graph.op(OP.FULLY_CONNECTED, [z, kernel, -1], [out], schema.FullyConnectedOptionsT(), 99)
    graph.ends([x], [out])
    return writer.bytes()


def identity() -> bytes:
    """No operator: what goes in comes out."""
    writer = Writer()
    graph = writer.graph("main")
    x = graph.tensor((1, 4))
    graph.ends([x], [x])
    return writer.bytes()


def behind() -> bytes:
    """The plain file with its values after the flatbuffer, as writers of large files put them."""
    return outside(plain())


def outside(content: bytes) -> bytes:
    """A file with its buffers after the flatbuffer, at multiples of 16."""
    record = unpack(content)
    datas = [b"" if one.data is None else bytes(one.data) for one in record.buffers]
    start = 0
    for _ in range(2):  # how long the flatbuffer is, is known once it was packed
        tail = b""
        for buffer, data in zip(record.buffers, datas, strict=True):
            if len(data) > 16:
                tail += b"\0" * (-len(tail) % 16)
                buffer.data, buffer.offset, buffer.size = None, start + len(tail), len(data)
                buffer.offset = max(buffer.offset, 2)
                tail += data
        head = pack(record)
        start = -(-len(head) // 16) * 16
    return head + b"\0" * (start - len(head)) + tail


KINDS = {
    kind.__name__: kind
    for kind in (
        plain,
        open_sizes,
        int4,
        uint8,
        sparse_half,
        state,
        loop,
        embedding,
        unknown,
        identity,
        behind,
    )
}
