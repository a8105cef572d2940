"""A ReLU of int8 values that stands alone, made a sum with zero that ends in a ReLU.

XNNPACK has no int8 RELU, so TFLite's own does it, value by value, and what XNNPACK runs falls into
pieces around it. It has sums of two scales with a ReLU in them, and so have GPUs and NNAPI. The
values are the same to the bit, but where the converter gave the ReLU coarser steps than it reads:
there TFLite's own is up to a step high, the sum is not. Xception has 11 (14 pieces become 3),
ShuffleNet v1 three; on a Xeon with int8 dot products that is 32.6 ms made 18.0, and 6.8 made 3.2
(timed with a QUANTIZE in its place, which takes as long).
"""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_light.tflite.editing import Editor

_OF_INT8 = 2  # the version of ADD that knows it


def rewrite(editor: Editor) -> None:
    for place, one in enumerate(editor.operators):
        source, made = int(one.inputs[0]), int(one.outputs[0])
        types = {editor.tensor(index).type for index in (source, made)}
        if editor.kind(one) != "RELU" or types != {schema.TensorType.INT8}:
            continue
        (zero_point,) = editor.tensor(source).quantization.zeroPoint
        zero = np.array([zero_point], np.int8)
        nothing = editor.constant(zero, f"{editor.name(made)}/zero", source)
        options = schema.AddOptionsT()
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU
        editor.operators[place] = editor.operator(
            "ADD", [source, nothing], [made], options, _OF_INT8
        )
