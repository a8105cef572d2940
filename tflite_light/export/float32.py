"""The model as it was trained, unrounded."""

from typing import TYPE_CHECKING, Any, ClassVar

from tflite_light.export import Mode, _sparse
from tflite_light.graph.convert import converter_for

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Examples


class Float32(Mode):
    """Batch norm folded into the convolutions, all else as trained; with `qat`, as before it."""

    logit_error: ClassVar[float] = 1e-5
    agreement: ClassVar[float] = 1.0
    size_ratio: ClassVar[float] = 1.0

    sparse: bool = _sparse.Sparse

    def convert(self, model: Any, examples: "Examples") -> bytes:
        return _sparse.converted(lambda: converter_for(model), self.sparse)
