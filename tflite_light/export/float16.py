"""Half the bytes of float32, and its answers."""

from typing import TYPE_CHECKING, Any, ClassVar

from tflite_light.export import Mode, _sparse
from tflite_light.graph.convert import converter_for
from tflite_light.stack import tf

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Examples


class Float16(Mode):
    """Weights stored as float16, everything computed in float; with `qat`, as before it.

    A GPU computes with them as they are, a CPU makes float32 of them when it loads the file.
    """

    logit_error: ClassVar[float] = 2e-3
    agreement: ClassVar[float] = 1.0
    size_ratio: ClassVar[float] = 0.6

    sparse: bool = _sparse.Sparse

    def convert(self, model: Any, examples: "Examples") -> bytes:
        def halving() -> Any:
            converter = converter_for(model)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
            return converter

        return _sparse.converted(halving, self.sparse)
