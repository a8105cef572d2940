"""Pictures that set a file's ranges: training pictures, as the model was trained on them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tflite_light.errors import Unmade
from tflite_light.progress import say
from tflite_light.stack import keras
from tflite_light.wording import some

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Examples

Images = Field(
    200, ge=1, description="training pictures that set the ranges, unless the file has qat's"
)
Seed = Field(0, ge=0, lt=2**31, description="which they are, as many of each class as there are")


def require_possible(model: Any, key: str) -> None:
    """Raises Unmade where recurrent layers loop; cheap enough to be asked before a training."""
    loops = (one for one in model._flatten_layers() if isinstance(one, keras.layers.RNN))
    _require_none([layer.name for layer in loops if not layer.unroll], key)


def require_no_loop(converter: Any, key: str) -> None:
    """Raises Unmade where anything loops: TensorFlow's calibration (2.21) ends the process there,
    or finds no range."""
    operations = converter._funcs[0].graph.get_operations()
    paths = [one.name.partition("/while")[0] for one in operations if one.type == "LoopCond"]
    _require_none([path.removesuffix("/PartitionedCall").split("/")[-1] for path in paths], key)


def _require_none(looping: list[str], key: str) -> None:
    if looping:
        raise Unmade(
            f"export.{key}: TensorFlow cannot calibrate the loops of {some(looping)}.",
            "Export dynamic_range or a float kind.",
        )


def inputs(examples: "Examples", indices: Sequence[int], asked: int) -> Iterator[list[Any]]:
    """One picture at a time; the first gets a black and a white pixel.

    So the input's range is that of the 256 pixel values, whatever these pictures hold, and no
    later picture is clipped.
    """
    import numpy as np

    from tflite_light.pipeline.preprocess import normalise

    if len(indices) < asked:
        say(f"warning: {asked} calibration pictures are asked for, and train has {len(indices)}")
    extremes = np.array([[0], [255]], np.float32)
    for number, batch in enumerate(examples.inputs(indices, batch_size=1)):
        if number == 0:
            batch[0, 0, :2] = normalise(np.repeat(extremes, 3, axis=1), examples.image)
        yield [batch]
