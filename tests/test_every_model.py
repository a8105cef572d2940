"""Every architecture is its paper's network, and fit for QAT, int8 and phones."""

import functools
import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Call, as_json
from pydantic import ValidationError

from tflite_light import models
from tflite_light.cost.inspection import network_of
from tflite_light.export.float32 import Float32
from tflite_light.models import Architecture
from tflite_light.models._blocks import make_divisible
from tflite_light.models.mobilenet_v2 import MobileNetV2
from tflite_light.sockets import load, names
from tflite_light.stack import keras, tf
from tflite_light.tflite.file import File

MODELS = names("models")
FREE_OF_WEIGHTS = ("InputLayer", "ReLU", "Add", "GlobalAveragePooling2D", "Concatenate", "Reshape")


def model_of(name: str) -> Architecture:
    made: Architecture = load("models", name)()
    return made


def multiply_adds(model: Any) -> int:
    """Of convolutions and dense layers, one picture: each weight times the places it is used at."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
        elif isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            kernel = layer.weights[0]
            total += int(np.prod(kernel.shape)) * int(np.prod(layer.output.shape[1:3]))
    return total


# alpha: total and trainable parameters; resolution: multiply-adds. Counted from tf_keras 2.21 with
# 1000 classes; torchvision and timm agree on the trainable ones.
MOBILENET_V2 = {
    1.4: (6_156_712, 6_108_776, {224: 582_195_824}),
    1.3: (5_431_048, 5_386_792, {224: 509_374_560}),
    1.0: (3_538_984, 3_504_872, {224: 300_774_272, 192: 221_316_608, 160: 154_083_200, 128: 99_074_048, 96: 56_289_152}),
    0.75: (2_663_064, 2_636_424, {224: 209_069_792, 192: 153_941_888, 160: 107_295_200, 128: 69_129_728, 96: 39_445_472}),
    0.5: (1_987_224, 1_968_680, {224: 97_131_840, 192: 71_701_760, 160: 50_184_000, 128: 32_578_560, 96: 18_885_440}),
    0.35: (1_691_208, 1_677_128, {224: 59_285_808, 192: 43_896_512, 160: 30_874_800, 128: 20_220_672, 96: 11_934_128}),
}  # fmt: skip


@pytest.mark.parametrize("alpha", MOBILENET_V2)
def test_mobilenet_v2_has_the_published_counts(alpha: float) -> None:
    total, trainable, costs = MOBILENET_V2[alpha]
    for size, cost in costs.items():
        model = MobileNetV2(alpha=alpha).build((size, size, 3), 1000)
        assert model.count_params() == total
        assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == trainable
        assert multiply_adds(model) == cost


# Key, fields, image size: trainable parameters and multiply-adds, counted from torchvision, Megvii's
# and Huawei's code and tf_keras 2.21 with 1000 classes; None: a cell published rounded only.
COUNTS = [
    ("squeezenet", {"version": "1.0"}, 224, 1_248_424, 818_924_576),
    ("squeezenet", {"version": "1.0"}, 227, 1_248_424, 832_667_936),
    ("squeezenet", {"version": "1.0", "bypass": "simple"}, 224, 1_248_424, 818_924_576),
    ("squeezenet", {"version": "1.0", "bypass": "complex"}, 224, 1_589_672, 1_165_298_720),
    ("squeezenet", {"version": "1.0", "bypass": "complex"}, 227, 1_589_672, 1_183_953_184),
    ("squeezenet", {"version": "1.1"}, 224, 1_235_496, 349_151_936),
    ("squeezenet", {"version": "1.1"}, 227, 1_235_496, 387_747_520),
    ("xception", {}, 299, 22_855_952, 8_357_403_496),
    ("mobilenet_v1", {"alpha": 1.0}, 224, 4_231_976, 568_740_352),
    ("mobilenet_v1", {"alpha": 1.0}, 192, 4_231_976, 418_121_728),
    ("mobilenet_v1", {"alpha": 1.0}, 160, 4_231_976, 290_675_200),
    ("mobilenet_v1", {"alpha": 1.0}, 128, 4_231_976, 186_400_768),
    ("mobilenet_v1", {"alpha": 0.75}, 224, 2_585_560, 325_400_448),
    ("mobilenet_v1", {"alpha": 0.75}, 192, 2_585_560, 239_273_472),
    ("mobilenet_v1", {"alpha": 0.75}, 160, 2_585_560, 166_396_800),
    ("mobilenet_v1", {"alpha": 0.75}, 128, 2_585_560, 106_770_432),
    ("mobilenet_v1", {"alpha": 0.5}, 224, 1_331_592, 149_497_088),
    ("mobilenet_v1", {"alpha": 0.5}, 192, 1_331_592, 109_970_432),
    ("mobilenet_v1", {"alpha": 0.5}, 160, 1_331_592, 76_524_800),
    ("mobilenet_v1", {"alpha": 0.5}, 128, 1_331_592, 49_160_192),
    ("mobilenet_v1", {"alpha": 0.25}, 224, 470_072, 41_030_272),
    ("mobilenet_v1", {"alpha": 0.25}, 192, 470_072, 30_212_608),
    ("mobilenet_v1", {"alpha": 0.25}, 160, 470_072, 21_059_200),
    ("mobilenet_v1", {"alpha": 0.25}, 128, 470_072, 13_570_048),
    ("shufflenet_v1", {"groups": 3, "alpha": 0.5}, 224, 717_324, 37_589_856),
    ("shufflenet_v1", {"groups": 8, "alpha": 0.5}, 224, 1_010_448, 40_469_760),
    ("shufflenet_v1", {"groups": 3}, 224, 1_864_728, 137_460_672),
    ("shufflenet_v1", {"groups": 8}, 224, 2_433_768, 138_365_952),
    ("shufflenet_v1", {"groups": 3, "alpha": 1.5}, 224, 3_441_168, 292_443_552),
    ("shufflenet_v1", {"groups": 8, "alpha": 1.5}, 224, 4_268_952, 290_188_800),
    ("shufflenet_v1", {"groups": 3, "alpha": 2.0}, 224, 5_449_776, 524_045_184),
    ("shufflenet_v1", {"groups": 8, "alpha": 2.0}, 224, 6_521_232, 521_942_016),
    ("shufflenet_v1", {"groups": 1, "alpha": 0.25}, 224, 208_908, None),
    ("shufflenet_v1", {"groups": 2, "alpha": 0.25}, 224, 266_224, None),
    ("shufflenet_v1", {"groups": 2, "alpha": 0.5}, 224, 642_932, None),
    ("shufflenet_v1", {"groups": 2, "alpha": 1.5}, 224, 3_271_312, None),
    ("shufflenet_v1", {"groups": 4, "alpha": 0.25}, 224, 338_420, None),
    ("shufflenet_v1", {"groups": 4, "alpha": 0.5}, 224, 777_040, None),
    ("shufflenet_v1", {"groups": 4, "alpha": 1.5}, 224, 3_573_032, None),
    ("shufflenet_v1", {"groups": 8, "alpha": 0.25}, 224, 453_888, None),
    ("shufflenet_v2", {"alpha": 0.5}, 224, 1_365_792, 40_476_448),
    ("shufflenet_v2", {"alpha": 1.0}, 224, 2_278_760, 145_814_296),
    ("shufflenet_v2", {"alpha": 1.5}, 224, 3_506_720, 298_970_656),
    ("shufflenet_v2", {"alpha": 2.0}, 224, 7_402_600, 590_783_000),
    ("shufflenet_v2", {"alpha": 0.5, "variant": "torchvision"}, 224, 1_366_792, 40_476_448),
    ("shufflenet_v2", {"alpha": 1.0, "variant": "torchvision"}, 224, 2_278_604, 144_907_992),
    ("shufflenet_v2", {"alpha": 1.5, "variant": "torchvision"}, 224, 3_503_624, 295_759_392),
    ("shufflenet_v2", {"alpha": 2.0, "variant": "torchvision"}, 224, 7_393_996, 583_253_464),
    ("ghostnet", {"alpha": 0.5}, 224, 2_587_292, 42_328_152),
    ("ghostnet", {"alpha": 1.0}, 224, 5_182_508, 141_150_512),
    ("ghostnet", {"alpha": 1.3}, 224, 7_358_820, 227_003_256),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fields", "size", "parameters", "cost"), COUNTS)
def test_the_network_has_the_reference_code_s_counts(
    name: str, fields: dict[str, Any], size: int, parameters: int, cost: int | None
) -> None:
    keras.backend.clear_session()
    architecture: Any = load("models", name)(**fields)
    model = architecture.build((size, size, 3), 1000)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == parameters
    assert cost in (None, multiply_adds(model))


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        *((name, {}) for name in MODELS),
        *((name, {"variant": "torch"}) for name in ("mobilenet_v1", "mobilenet_v2", "xception")),
        ("shufflenet_v2", {"variant": "torchvision"}),
    ],
)
def test_another_code_s_names_cover_every_layer_with_weights(
    name: str, fields: dict[str, Any]
) -> None:
    architecture: Any = load("models", name)(**fields)
    layers = {layer.name for layer in architecture.build((32, 32, 3), 3).layers if layer.weights}
    for names_there in architecture.references().values():
        assert layers <= names_there.keys()


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    keras.utils.set_random_seed(0)
    model = model_of(name).build((32, 32, 3), 3)
    images = tf.random.stateless_normal((4, 32, 32, 3), seed=(1, 2))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            model(images, training=True) * tf.random.stateless_normal((4, 3), seed=(3, 4))
        )
    for gradient in tape.gradient(loss, model.trainable_weights):
        assert float(tf.reduce_max(tf.abs(gradient))) > 0


@pytest.mark.parametrize("name", MODELS)
def test_graph_is_flat_named_and_within_rank_four(name: str) -> None:
    model = model_of(name).build((32, 32, 3), 3)
    assert model.output_shape == (None, 3)
    assert "softmax" not in str(model.get_config()).lower()  # logits
    for layer in model.layers:
        assert not isinstance(layer, keras.Model)
        assert len(layer.output.shape) <= 4
        assert "conv2d" not in layer.name  # no layer was left with Keras' own name


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("size", "classes"), [(32, 2), (45, 11), (224, 1000)])
def test_every_size_converts_with_static_shapes(name: str, size: int, classes: int) -> None:
    model = model_of(name).build((size, size, 3), classes)
    graph = File(Float32().convert(model, None))._model.subgraphs[0]  # type: ignore[arg-type]
    assert list(graph.tensors[graph.inputs[0]].shape) == [1, size, size, 3]
    assert list(graph.tensors[graph.outputs[0]].shape) == [1, classes]
    assert all(tensor.shapeSignature is None for tensor in graph.tensors)


def test_make_divisible_never_loses_more_than_a_tenth() -> None:
    assert [make_divisible(value) for value in (1, 8, 11.2, 12, 18.9, 22, 33.6)] == [
        8,
        8,
        16,
        16,
        24,
        24,
        32,
    ]
    assert all(make_divisible(value) >= 0.9 * value for value in range(1, 2000))


@functools.cache
def widths(name: str) -> list[Architecture]:
    """The published variants of an architecture, fewest parameters first."""
    part: Any = load("models", name)
    fields = {str(row.fields): part(**row.fields) for row in part.published()}
    costs = {key: network_of(one, 64, 1000).parameters for key, one in fields.items()}
    return [fields[key] for key in sorted(fields, key=costs.__getitem__)]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("size", "classes"), [(32, 2), (320, 1000)])
@pytest.mark.parametrize("which", [0, -1], ids=["smallest", "largest"])
def test_the_smallest_and_the_largest_variant_fit_a_delegate(
    name: str, size: int, classes: int, which: int
) -> None:
    architecture = widths(name)[which]
    keras.backend.clear_session()
    gc.collect()  # dozens of networks are 19 GB
    model = architecture.build((size, size, 3), classes)
    file = File(Float32().convert(model, None))  # type: ignore[arg-type]
    graph = file._model.subgraphs[0]
    shapes = [[] if tensor.shape is None else list(tensor.shape) for tensor in graph.tensors]
    assert max(len(shape) for shape in shapes) <= 4
    assert min(side for shape in shapes for side in shape) >= 1
    assert all(tensor.shapeSignature is None for tensor in graph.tensors)
    assert shapes[graph.inputs[0]] == [1, size, size, 3]
    assert shapes[graph.outputs[0]] == [1, classes]
    assert not {"CUSTOM", "FLEX", "GATHER_ND"} & {op for op, _ in file.operators}


@pytest.mark.parametrize(
    "name", [name for name in MODELS if "alpha" in load("models", name).model_fields]
)
@pytest.mark.parametrize("alpha", [0.1, 0.37, 2.0])
def test_other_widths_build_or_the_nearest_is_named(name: str, alpha: float) -> None:
    part: Any = load("models", name)
    if name == "shufflenet_v2" and alpha not in (0.5, 1.0, 1.5, 2.0):  # its widths are a table
        with pytest.raises(ValidationError, match=r"the nearest is 0\.5"):
            part(alpha=alpha)
        return
    architecture = part(alpha=alpha)
    model = architecture.build((32, 32, 3), 2)
    assert model.output_shape == (None, 2)
    assert all(min(weight.shape) > 0 for weight in model.weights)


NEW = '''
"""Two convolutions, written by a newcomer."""

from typing import Any

from pydantic import Field

from tflite_light.models import Architecture
from tflite_light.models._blocks import classify, conv_norm, relu


class Newcomer(Architecture):
    """Nobody 2026, not published."""

    width: int = Field(8, ge=1, description="channels")

    def logits(self, image: Any, classes: int) -> Any:
        x = relu(conv_norm(image, self.width, "stem", 3, 2), "stem")
        x = relu(conv_norm(x, 2 * self.width, "block1", 3, 2), "block1")
        return classify(x, classes)
'''
RECIPE = """
model: {newcomer: {width: 6}}
data: {synthetic: {count: 60, number_of_classes: 2, side: 32}}
image: {size: 32}
train: {epochs: 2, batch_size: 8, learning_rate: 0.01, warmup_epochs: 0}
compress: [prune, qat]
export: [int8]
"""


def test_a_new_architecture_is_its_file_and_its_recipe(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "newcomer.py").write_text(NEW)
    (tmp_path / "newcomer.yaml").write_text(RECIPE)
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(folder)])
    found = as_json(call("list", "models", "--json"))["models"]["newcomer"]
    assert found["fields"]["width"]["default"] == 8
    assert "newcomer" in names("models")
    cost = as_json(call("inspect", "newcomer.yaml", "--json"))
    assert cost["parameters"] == 27 * 6 + 12 + 9 * 6 * 12 + 24 + 12 * 2 + 2
    report = as_json(call("train", "newcomer.yaml", "--json"))
    (row,) = [row for row in report["rows"] if row["name"] == "int8"]
    assert row["zeros"] >= 0.5
    test_graph_is_flat_named_and_within_rank_four("newcomer")
    test_every_parameter_gets_a_gradient("newcomer")
