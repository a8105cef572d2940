"""Which weights of a kernel pruning may take: any, whole blocks, or some of each group (N:M)."""

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, Self


class Pattern(NamedTuple):
    """Groups of `outputs` x `inputs` neighbouring channels, each at one place of the kernel.

    Either whole groups become zero (`most` is 0), or each keeps at most `most` of its weights. The
    channels are counted as a file stores them, output x input: its input channels lie side by side.
    """

    outputs: int = 1
    inputs: int = 1
    most: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """`unstructured`; `2:4`, at most 2 of 4 input channels; or `4x1`, output x input channels.

        Raises ValueError.
        """
        if text == "unstructured":
            return cls()
        if found := re.fullmatch(r"([1-9]\d?)([:x])([1-9]\d?)", text, re.ASCII):
            first, second = int(found[1]), int(found[3])
            if found[2] == "x":
                return cls(first, second)
            if first < second:
                return cls(1, second, first)
        raise ValueError(
            "needs unstructured, N:M with N below M, such as 2:4, or a block of output x input "
            "channels, such as 4x1"
        )

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether the channels of a kernel, the last axes in Keras, make whole groups."""
        return shape[-2] % self.inputs == 0 and shape[-1] % self.outputs == 0

    def groups(self, shape: Sequence[int]) -> int:
        return math.prod(shape) // (self.outputs * self.inputs)

    def pruned(self, shape: Sequence[int], sparsity: float) -> int:
        """How many groups become zero; of N:M, whose sparsity is its own, how many weights."""
        groups = self.groups(shape)
        return groups * (self.inputs - self.most) if self.most else math.ceil(sparsity * groups)

    def mask(self, kernel: Any, pruned: int) -> Any:
        """An array of the kernel's shape, 0 where it is pruned, 1 elsewhere.

        The groups of the smallest magnitude go, or the smallest weights that N:M allows to go.
        """
        import numpy as np

        *_, inputs, outputs = kernel.shape
        split = (-1, inputs // self.inputs, self.inputs, outputs // self.outputs, self.outputs)
        magnitude = np.abs(kernel).reshape(split)
        if self.most:
            rank = magnitude.argsort(axis=2, kind="stable").argsort(axis=2)
            score = np.where(rank < self.inputs - self.most, magnitude, np.inf)
        else:
            score = magnitude.sum(axis=(2, 4), keepdims=True)
        mask = np.ones(score.shape, kernel.dtype)
        mask.flat[np.argpartition(score, pruned, axis=None)[:pruned]] = 0
        return np.broadcast_to(mask, magnitude.shape).reshape(kernel.shape)
