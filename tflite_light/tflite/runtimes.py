"""The oldest TFLite runtime for each version of an operator.

From `FindMinimumRuntimeVersionForOp` in `tflite/tools/versioning/runtime_version.cc` of
google-ai-edge/LiteRT (commit 05215c29), which continues TensorFlow's
`lite/tools/versioning/runtime_version.cc`; the operators that image classifiers use. A row holds
versions 1, 2, 3 ...; `-` is one that never was.
"""

_TABLE = """
ADD 1.5 1.14 2.4 2.6 2.13
ARG_MAX 1.9 1.14 2.9
AVERAGE_POOL_2D 1.5 1.14 2.3
BATCH_MATMUL 2.3 2.3 2.4 2.5
BATCH_TO_SPACE_ND 1.6 1.14 2.3 2.12
BROADCAST_TO - 2.5 2.5
CAST 1.5 2.7 2.8 2.9 2.12 2.15 2.17
CONCATENATION 1.5 1.14 2.3 2.14
CONV_2D 1.5 1.14 1.14 2.3 2.4 2.9 2.11 2.15
DENSIFY 2.2
DEPTH_TO_SPACE 2.1 2.5
DEPTHWISE_CONV_2D 1.5 1.12 1.14 2.2 2.3 2.3 2.11
DEQUANTIZE 1.13.1 1.14 1.15 2.2 2.7 2.18
DIV 1.6 2.3
ELU 1.14
EXP 1.7 2.12
EXPAND_DIMS 1.10
FAKE_QUANT 1.5 1.10
FULLY_CONNECTED 1.5 1.10 1.14 1.14 2.0 2.1 2.3 2.3 2.3 2.11 2.15 2.17 2.18
GATHER 1.6 1.14 1.15 2.4 2.5 2.13 2.15
GATHER_ND 1.14 2.3 2.5 2.13 2.16
GELU 2.9 2.9
HARD_SWISH 1.15
L2_NORMALIZATION 1.5 1.14
L2_POOL_2D 1.5
LEAKY_RELU 1.13.1 2.3
LOCAL_RESPONSE_NORMALIZATION 1.5
LOGISTIC 1.14 1.14 2.3
LOG_SOFTMAX 1.14 1.14
MAX_POOL_2D 1.5 1.14 2.3
MAXIMUM 1.14 1.14 2.3 2.3
MEAN 1.6 1.14 2.4
MINIMUM 1.14 1.14 2.3 2.3
MIRROR_PAD 1.13.1 2.3 2.12
MUL 1.5 1.14 1.15 2.3 2.6 2.11 2.13
PACK 1.11 1.14 2.3 2.13
PAD 1.5 1.14 2.4 2.6
PADV2 1.9 1.14 2.4 2.6
PRELU 1.8
QUANTIZE 1.14 1.15 2.7
REDUCE_MAX 1.11 1.14 2.5
RELU 1.5 2.1 2.5
RELU6 1.5 1.14 2.5
RELU_0_TO_1 2.10
RELU_N1_TO_1 1.5
RESHAPE 1.5
RESIZE_BILINEAR 1.7 1.14 2.2 2.5
RESIZE_NEAREST_NEIGHBOR 1.13.1 1.14 2.3 2.4
RSQRT 1.10 2.5 2.15
SHAPE 1.10
SLICE 1.14 1.14 1.14 2.4 2.5 2.14
SOFTMAX 1.5 1.14 2.3
SPACE_TO_BATCH_ND 1.6 1.14 2.3 2.12
SPACE_TO_DEPTH 1.5 1.14
SPLIT 1.5 1.14 1.14 2.3
SPLIT_V 1.13.1 2.3
SQRT 1.10
SQUARE 1.12
SQUARED_DIFFERENCE 1.13.1 2.5
SQUEEZE 1.6 2.5
STRIDED_SLICE 1.6 1.14 2.1 2.2 2.5 2.6 2.14 2.14
SUB 1.6 1.14 2.3 2.4 2.4
SUM 1.10 1.15
TANH 1.14 1.14 2.3
TILE 1.10.1 2.2 2.8
TOPK_V2 1.7 1.14 2.13
TRANSPOSE 1.6 1.14 1.15 2.3 2.4 2.12 2.14.4
TRANSPOSE_CONV 1.9 2.2 2.3 2.13 2.15
UNPACK 1.11 1.14 2.2 2.3
"""
_OLDEST = {op: runtimes for op, *runtimes in map(str.split, _TABLE.strip().splitlines())}


def oldest(op: str, version: int) -> str | None:
    """The runtime from which on `op` in this version is known; None where the table has neither."""
    runtimes = _OLDEST.get(op, [])
    found = runtimes[version - 1] if 0 < version <= len(runtimes) else "-"
    return None if found == "-" else found


def newest_of(runtimes: list[str]) -> str:
    """The highest of several runtimes: the oldest that knows them all."""
    return max(runtimes, key=_numbers)


def is_older(runtime: str, other: str) -> bool:
    """Whether a runtime came before another; `2.16` is any of 2.16.0, 2.16.1 ..."""
    return _numbers(runtime) < _numbers(other)[: len(_numbers(runtime))]


def _numbers(runtime: str) -> list[int]:
    return [int(number) for number in runtime.split(".")]
