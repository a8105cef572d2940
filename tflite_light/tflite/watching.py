"""A file that keeps all its tensors while it runs, for those who look inside."""

from typing import Any

import numpy as np

from tflite_light.stack import quiet
from tflite_light.tflite.ends import end, quantise

Array = np.ndarray[Any, Any]


class Watched:
    """By TFLite's own kernels: XNNPACK keeps what is inside to itself. With `ends` alone, by
    XNNPACK, many times faster.
    """

    def __init__(self, content: bytes, ends: bool = False):
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        kernels = OpResolverType.AUTO if ends else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        with quiet():
            self._interpreter = Interpreter(
                model_content=content,
                num_threads=2,
                experimental_preserve_all_tensors=not ends,
                experimental_op_resolver_type=kernels,
            )
            self._interpreter.allocate_tensors()
        details = self._interpreter.get_tensor_details()
        self._quantisation = {one["index"]: one["quantization"] for one in details}
        (self._input,) = self._interpreter.get_input_details()

    def run(self, picture: Array) -> None:
        """Of real values [1, size, size, 3]."""
        steps = quantise(picture, end(self._input))
        self._interpreter.set_tensor(self._input["index"], steps)
        self._interpreter.invoke()

    def value(self, index: int) -> Array:
        """Of an activation, in real numbers, with one scale."""
        found = self._interpreter.get_tensor(index)
        scale, zero_point = self._quantisation[index]
        if not scale:
            return np.asarray(found, np.float32)
        return np.asarray((found.astype(np.float32) - zero_point) * np.float32(scale))

    def held(self, index: int, values: Array) -> Array:
        """Real numbers as an activation holds them, rounded to its steps."""
        scale, zero_point = self._quantisation[index]
        if not scale:
            return values
        kind = np.iinfo(self._interpreter.get_tensor(index).dtype)
        steps = np.clip(np.round(values / scale) + zero_point, kind.min, kind.max)
        return np.asarray((steps - zero_point) * scale)

    def range(self, index: int) -> tuple[float, float]:
        """The real numbers that an activation can hold, half a step beyond its ends."""
        scale, zero_point = self._quantisation[index]
        if not scale:
            return float("-inf"), float("inf")
        kind = np.iinfo(self._interpreter.get_tensor(index).dtype)
        low, high = ((last - zero_point) * scale for last in (kind.min, kind.max))
        return float(low - 0.5 * scale), float(high + 0.5 * scale)
