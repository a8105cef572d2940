"""Every architecture's file of every mode gives on the phone's own libraries what it gives here."""

from typing import Any

import numpy as np
import phone
import pytest
from conftest import networks

from tflite_light.contract import Image
from tflite_light.data.synthetic import Synthetic
from tflite_light.export import Mode
from tflite_light.export.float32 import Float32
from tflite_light.export.int16x8 import Int16x8
from tflite_light.graph import statistics
from tflite_light.graph.copied import copied
from tflite_light.lowering import lowered
from tflite_light.pipeline.examples import Examples
from tflite_light.sockets import load, names
from tflite_light.stack import keras
from tflite_light.tflite.file import File

pytestmark = [
    pytest.mark.phone,
    pytest.mark.skipif(bool(phone.missing()), reason=phone.missing() or "built"),
]
SIDE = 64
VARIANTS: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in networks()]
VARIANTS += [
    (name, {"variant": other})
    for name in networks()
    if "variant" in load("models", name).model_fields
    for other in load("models", name).model_json_schema()["properties"]["variant"].get("enum", ())
    if load("models", name)().variant != other
]


@pytest.fixture(scope="module")
def examples() -> Examples:
    return Synthetic(count=40, side=SIDE).load(Image(size=SIDE)).train


@pytest.fixture(
    scope="module", params=VARIANTS, ids=lambda one: "-".join((one[0], *one[1].values()))
)
def network(request: pytest.FixtureRequest) -> Any:
    """With batch norms that have seen pictures, as it were."""
    name, fields = request.param
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = load("models", name)(**fields).build((SIDE, SIDE, 3), 10)
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.get_weights()[0].shape
            spread, centred = (
                random.uniform(0.5, 1.5, (2, *shape)),
                random.normal(0, 0.1, (2, *shape)),
            )
            layer.set_weights([spread[0], centred[0], centred[1], spread[1]])
    return model


@pytest.fixture(scope="module", params=names("export"))
def made(request: pytest.FixtureRequest, network: Any, examples: Examples) -> tuple[Mode, bytes]:
    mode: Mode = load("export", request.param)()
    if isinstance(mode, Int16x8):  # it is refused where values are out of proportion
        network = copied(network)
        statistics.measure(network, examples.inputs(range(len(examples))))
    converted = mode.convert(network, examples)
    return mode, lowered(converted, mode.target, lambda _: True)


@pytest.mark.parametrize("processor", phone.COMMANDS)
def test_a_phone_gives_the_answers_that_were_measured(
    made: tuple[Mode, bytes], processor: str
) -> None:
    mode, content = made
    mode.check(File(content))
    told = phone.ask(processor, content)
    if processor == "gpu" and not mode.on_gpu:
        assert told.left > 0  # so that the app says so, and leaves it to the CPU
    else:
        assert not told.problem


def test_a_delegate_that_answers_otherwise_is_noticed(examples: Examples) -> None:
    """TFLite's GPU delegate leaves padding out of the mean; it takes every node all the same."""
    image = keras.layers.Input((16, 16, 8))
    x = keras.layers.AveragePooling2D(3, 2)(keras.layers.ZeroPadding2D(1)(image))
    content = Float32().convert(keras.Model(image, keras.layers.Flatten()(x)), examples)
    told = phone.ask("gpu", content)
    assert (told.left, told.off > 0.1) == (0, True)
    assert told.problem.startswith("gpu is off by 0.")
    assert phone.ask("cortex-a53", content).problem == ""
