"""Pruning: exact zeros in the file, patterns by group, a schedule that stops and goes on alike."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, Call, as_json, complaint
from test_every_stage import NETWORK, fit, fitted, further, plan

from tflite_light.compress import Plan, Stage
from tflite_light.compress._masks import RAMP, UPDATES, Masks
from tflite_light.compress._patterns import Pattern
from tflite_light.compress.cluster import Cluster
from tflite_light.compress.prune import Prune
from tflite_light.compress.qat import QAT
from tflite_light.contract import Image
from tflite_light.data.synthetic import Synthetic
from tflite_light.errors import UserError
from tflite_light.export.float32 import Float32
from tflite_light.export.int8 import Int8
from tflite_light.graph import checkpoint
from tflite_light.models.mobilenet_v2 import MobileNetV2
from tflite_light.models.tiny import Tiny
from tflite_light.pipeline.examples import Examples
from tflite_light.stack import keras
from tflite_light.tflite.file import File
from tflite_light.tflite.graph import Weight
from tflite_light.tflite.promises import Clusters, Groups
from tflite_light.training import history

SHAPE = (32, 32, 3)
PRUNED = {  # of Tiny(width=8): all but the first convolution and the depthwise ones
    "block1_expand_conv": (1, 1, 8, 16),
    "block2_expand_conv": (1, 1, 16, 32),
    "block3_expand_conv": (1, 1, 32, 64),
    "last_project_conv": (1, 1, 64, 64),
    "logits": (64, 4),
}
WEIGHTS = 3 * 3 * 3 * 8 + 9 * (8 + 16 + 32) + sum(map(math.prod, PRUNED.values()))


@pytest.fixture(scope="module")
def examples() -> Examples:
    return Synthetic(count=100, side=32).load(Image(size=32)).train


def tiny() -> Any:
    keras.utils.set_random_seed(0)
    return Tiny(width=8).build(SHAPE, 4)


def trained(examples: Examples, stages: Sequence[Stage]) -> tuple[Any, list[Plan]]:
    model, plans = fitted(NETWORK, examples), []
    for count in range(1, len(stages) + 1):
        model, own = further(model, stages[:count], examples)
        plans.append(own)
    return model, plans


def pruned(stage: Prune, examples: Examples) -> tuple[File, dict[str, Any]]:
    """The float file of a network that went through a stage, and the plan."""
    model = tiny()
    decided = plan(stage, model, [])
    wrapped = stage.wrap(model, decided, 20)
    fit(wrapped, examples, stage.callbacks(wrapped, decided))
    return File(Float32().convert(wrapped, examples)), decided


def by_shape(file: File) -> dict[tuple[int, ...], Weight]:
    """Weights by their shape in Keras."""
    return {w.values.shape[1:] + w.values.shape[:1]: w for w in file.weights()}


def groups(weight: Weight, outputs: int, inputs: int) -> Any:
    """How many weights are not zero in each group, counted one by one."""
    values = weight.values.reshape(len(weight.values), -1, weight.values.shape[-1])
    return np.array(
        [
            np.count_nonzero(values[o : o + outputs, at, i : i + inputs])
            for o in range(0, values.shape[0], outputs)
            for at in range(values.shape[1])
            for i in range(0, values.shape[2], inputs)
        ]
    )


@pytest.mark.parametrize(
    ("sparsity", "schedule"), [(0.1, "constant"), (0.5, "polynomial"), (0.9, "polynomial")]
)
def test_a_file_has_the_planned_zeros_to_the_last_one(
    sparsity: float, schedule: Any, examples: Examples
) -> None:
    file, decided = pruned(Prune(sparsity=sparsity, schedule=schedule), examples)
    each = sparsity * WEIGHTS / sum(map(math.prod, PRUNED.values()))
    assert decided["sparsity"] == pytest.approx(dict.fromkeys(PRUNED, each))
    zeros = {shape: weight.zeros for shape, weight in by_shape(file).items()}
    for shape in PRUNED.values():
        assert zeros.pop(shape) == math.ceil(each * math.prod(shape))
    assert sum(zeros.values()) == 0  # of depthwise kernels and the first convolution
    assert sparsity <= file.zeros() <= sparsity + len(PRUNED) / WEIGHTS


def test_excluded_layers_and_all_but_pointwise_ones_stay_dense(examples: Examples) -> None:
    stage = Prune(sparsity=0.3, only="pointwise", exclude=["block1_*", "last_project_conv"])
    file, decided = pruned(stage, examples)
    assert set(decided["sparsity"]) == {"block2_expand_conv", "block3_expand_conv"}
    zeros = {shape for shape, weight in by_shape(file).items() if weight.zeros}
    assert zeros == {PRUNED["block2_expand_conv"], PRUNED["block3_expand_conv"]}


def test_two_of_four_holds_in_every_group_of_the_int8_file_after_qat(examples: Examples) -> None:
    stages: list[Stage] = [Prune(pattern="2:4"), QAT()]
    model, plans = trained(examples, stages)
    file = File(Int8().convert(model, examples))
    for shape in PRUNED.values():
        found = groups(by_shape(file)[shape], 1, 4)
        assert found.max() == 2
        assert np.mean(found == 2) > 0.8  # rounding to int8 takes some more
    promises = stages[0].promises(plans[0])
    assert [promise.shortfall(file) for promise in promises] == [None, None]
    assert promises[1].figure == 0.5 * sum(map(math.prod, PRUNED.values())) / WEIGHTS


@pytest.mark.parametrize(("pattern", "most", "inputs"), [("1:4", 1, 4), ("5:8", 5, 8)])
def test_n_of_m_is_exact_in_a_file_of_floats(
    pattern: str, most: int, inputs: int, examples: Examples
) -> None:
    file, _ = pruned(Prune(pattern=pattern), examples)
    assert all(set(groups(by_shape(file)[shape], 1, inputs)) == {most} for shape in PRUNED.values())


@pytest.mark.parametrize(
    ("pattern", "outputs", "inputs"),
    [("4x1", 4, 1), pytest.param("1x8", 1, 8, marks=pytest.mark.slow)],
)
def test_blocks_are_zero_as_a_whole_and_survive_clusters(
    pattern: str, outputs: int, inputs: int, examples: Examples
) -> None:
    stages: list[Stage] = [Prune(sparsity=0.6, pattern=pattern), Cluster(centroids=16)]
    model, plans = trained(examples, stages)
    for mode in (Float32(), Int8()):
        file = File(mode.convert(model, examples))
        assert file.zeros() >= 0.6
        assert [promise.shortfall(file) for promise in stages[0].promises(plans[0])] == [None, None]
        for name, shape in PRUNED.items():
            found, share = (
                groups(by_shape(file)[shape], outputs, inputs),
                plans[0]["sparsity"][name],
            )
            assert (found == 0).sum() >= math.ceil(share * len(found))
            if mode.key == "float32":
                assert set(found) == {0, outputs * inputs}


def test_a_file_without_its_groups_is_named_with_figures(examples: Examples) -> None:
    wanted = Prune(pattern="2:4").promises(plan(Prune(pattern="2:4"), tiny(), []))[0]
    dense = File(Float32().convert(tiny(), examples))
    lack = wanted.shortfall(dense)
    assert lack
    assert lack.problem.startswith("has 0 groups of 1x4 channels with at most 2 weights in ")
    assert lack.problem.endswith(", fewer than the promised 32.")  # 8 x 16 weights
    assert "`--set compress.prune.pattern=unstructured`" in lack.hint
    absent = Groups(4, 1, 0, (((1, 1, 12, 12), 3),), "compress.prune.pattern").shortfall(dense)
    assert absent
    assert absent.problem == "holds 0 of the 1 pruned kernels of shape [12, 12]."


def test_equal_kernels_are_stored_once_and_counted_as_often_as_used(examples: Examples) -> None:
    """As layers that begin alike may stay."""
    kernel = np.ones((1, 1, 8, 8), np.float32)
    kernel[..., ::2, :] = 0
    image = keras.layers.Input(SHAPE)
    pair = [keras.layers.Conv2D(8, 1, activation="relu", name=name) for name in ("one", "other")]
    model = keras.Model(image, pair[1](pair[0](keras.layers.Conv2D(8, 3, name="first")(image))))
    for layer in pair:
        layer.set_weights([kernel, np.zeros(8)])
    file = File(Float32().convert(model, examples))
    assert len([one for one in file.weights() if one.values.shape == (8, 1, 1, 8)]) == 1
    wanted = tuple((kernel.shape, 16) for _ in pair)
    assert Groups(1, 4, 2, wanted, "compress.prune.pattern").shortfall(file) is None
    assert Clusters(2, tuple((kernel.shape, True) for _ in pair), "").shortfall(file) is None
    assert Clusters(1, tuple((kernel.shape, True) for _ in pair), "").shortfall(file)
    more = Groups(1, 4, 2, (*wanted, *wanted), "compress.prune.pattern").shortfall(file)
    assert more
    assert more.problem == "holds 2 of the 4 pruned kernels of shape [8, 8]."


def test_masks_take_the_smallest_by_group() -> None:
    kernel = np.array([[1, -8], [-2, 6], [3, 9], [-4, 5]], np.float32)  # 4 inputs, 2 outputs
    assert Pattern().mask(kernel, 3).tolist() == [[0, 1], [0, 1], [0, 1], [1, 1]]
    assert Pattern.parse("2:4").mask(kernel, 4).tolist() == [[0, 1], [0, 0], [1, 1], [1, 0]]
    assert Pattern.parse("2:4").mask(kernel, 3).tolist() == [[0, 1], [0, 1], [1, 1], [1, 0]]
    assert Pattern.parse("2x1").mask(kernel, 1).tolist() == [[1, 1], [0, 0], [1, 1], [1, 1]]
    assert Pattern.parse("1x2").mask(kernel, 1).tolist() == [[0, 1], [0, 1], [1, 1], [1, 1]]


class Sparsity(keras.callbacks.Callback):  # type: ignore[misc]
    """What share of a layer's kernel is zero after each step."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.found: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.found.append(float(np.mean(self.model.get_layer("last_project_conv").kernel == 0)))


@pytest.mark.parametrize("schedule", ["polynomial", "constant"])
def test_sparsity_rises_as_zhu_and_gupta_have_it_or_is_there_at_once(
    schedule: Any, examples: Examples
) -> None:
    stage, model = Prune(sparsity=0.5, schedule=schedule), tiny()
    decided = plan(stage, model, [])
    wrapped, seen = stage.wrap(model, decided, 0), Sparsity()
    fit(wrapped, examples, [*stage.callbacks(wrapped, decided), seen])
    steps, final = len(seen.found), decided["sparsity"]["last_project_conv"]
    end = int(RAMP * steps)
    assert end <= UPDATES  # so that the masks follow each step
    curve = [final * (1 - (1 - min(1, t / end)) ** 3) for t in range(1, steps + 1)]
    wanted = curve if schedule == "polynomial" else [final] * steps
    assert seen.found == pytest.approx(wanted, abs=1 / 4096)


def test_all_zeros_come_where_the_optimizer_counts_no_step(examples: Examples) -> None:
    """As the one of mixed_float16 counts none whose gradients are infinite."""
    model, stage = tiny(), Prune(sparsity=0.4)
    decided = plan(stage, model, [])
    wrapped = stage.wrap(model, decided, 1)
    wrapped.compile(keras.optimizers.SGD(0.0), "mse")

    def forget(epoch: int, logs: Any) -> None:
        wrapped.optimizer.iterations.assign(0)

    callbacks = [
        *stage.callbacks(wrapped, decided),
        keras.callbacks.LambdaCallback(on_epoch_end=forget),
    ]
    inputs = next(examples.inputs(range(8)))
    wrapped.fit(
        inputs, np.zeros((8, wrapped.output_shape[1])), 4, 3, callbacks=callbacks, verbose=0
    )
    for name, share in decided["sparsity"].items():
        kernel = wrapped.get_layer(name).kernel.numpy()
        assert (kernel == 0).sum() == Pattern.parse("unstructured").pruned(kernel.shape, share)


def test_a_pruned_step_leaves_the_network_as_it_was_built() -> None:
    model = tiny()
    wrapped = Prune().wrap(model, plan(Prune(), model, []), 1)
    assert [w.name for w in wrapped.weights] == [w.name for w in model.weights]
    assert all(
        np.array_equal(a, b)
        for a, b in zip(wrapped.get_weights(), model.get_weights(), strict=True)
    )
    assert isinstance(Prune().callbacks(wrapped, plan(Prune(), model, []))[0], Masks)


class Killed(BaseException):
    """Stands for kill -9: nothing catches it, nothing is cleaned up."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "least", "most"),
    [
        ("sparsity: 0.5", 0.4, 0.55),  # of 0.6 in the end
        ("pattern: 2:4", 0.3, 0.45),
        ("pattern: 2:4, schedule: constant", 0.5, 0.5),
    ],
)
def test_a_killed_stage_goes_on_to_the_same_weights(
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: str,
    least: float,
    most: float,
) -> None:
    """Killed while sparsity rises: after the first of four epochs."""
    stages = f"compress: [{{prune: {{{fields}, epochs: 4}}}}]\nexport: [float32]\n"
    (tmp_path / "tiny.yaml").write_text(TINY[: TINY.index("compress")] + stages)
    options = ("--set", "train.epochs=1", "--json")
    whole = as_json(call("train", "tiny.yaml", "--name", "whole", *options))
    written = history.write_history

    def kill(home: Path, rows: Sequence[dict[str, Any]]) -> None:
        if rows[-1]["phase"] == "prune" and len(rows) == 1:
            raise Killed
        written(home, list(rows))

    monkeypatch.setattr(history, "write_history", kill)
    with pytest.raises(Killed):
        call("train", "tiny.yaml", *options)
    monkeypatch.setattr(history, "write_history", written)
    state, _ = checkpoint.read(Path("runs/tiny/checkpoints/prune.state.npz"))
    assert least <= np.mean(state["weights/last_project_conv/kernel"] == 0) <= most
    resumed = as_json(call("train", "runs/tiny", "--resume", "--json"))
    ended, expected = (
        checkpoint.read(Path(run["run"]) / "checkpoints/prune.npz")[0] for run in (resumed, whole)
    )
    assert all(np.array_equal(ended[name], expected[name]) for name in expected)
    assert Path(resumed["exports"][0]).read_bytes() == Path(whole["exports"][0]).read_bytes()


REFUSED = {
    "sparsity: 0.95": "compress.prune.sparsity: 0.95 cannot be reached, because only 0.906",
    "sparsity: 0.5, exclude: [last_project_conv]": "0.5 cannot be reached, because only 0.374",
    "exclude: [blok1_expand_conv]": "none of the layers that the stage works on is called 'blok1_expand_conv'.\n"
    "hint: Write a name, such as block1_expand_conv,",
    "exclude: ['*']": "compress.prune leaves every layer dense",
    "pattern: 2:3": "compress.prune.pattern: 2:3 fits no layer: the channels of block1_expand_conv,",
    "pattern: 1x99": "compress.prune.pattern: 1x99 fits no layer",
}


@pytest.mark.parametrize("fields", REFUSED)
def test_what_cannot_be_pruned_is_refused_before_training(
    call: Call, tmp_path: Path, fields: str
) -> None:
    (tmp_path / "tiny.yaml").write_text(
        TINY.replace("width: 4", "width: 8").replace("sparsity: 0.5", fields)
    )
    assert REFUSED[fields] in complaint(call("train", "tiny.yaml"))
    assert not Path("runs").exists()


def test_a_sparsity_that_can_be_reached_is_advised_however_small() -> None:
    """Of 64 weights in 10,000 it was 0.0, which is refused itself."""
    with pytest.raises(UserError) as caught:
        Prune(sparsity=0.5)._each(0.5, {"last": [1, 1, 8, 8]}, 10_000, 64)
    assert "`--set compress.prune.sparsity=0.0058`" in caught.value.hint
    assert Prune(sparsity=0.0058)._each(0.0058, {"last": [1, 1, 8, 8]}, 10_000, 64) < 1


WRONG = {
    "pattern: 4:2": "compress.0.prune.pattern: needs unstructured, N:M with N below M, such as 2:4",
    "pattern: blocks": "compress.0.prune.pattern: needs unstructured, N:M",
    "pattern: 0x4": "compress.0.prune.pattern: needs",
    "sparsity: 0.5, pattern: 2:4": "pattern 2:4 has a sparsity of its own; leave sparsity out",
    "sparsity: 1": "compress.0.prune.sparsity: Input should be less than 1",
    "schedule: cubic": "compress.0.prune.schedule: Input should be 'polynomial' or 'constant'",
}


@pytest.mark.parametrize("fields", WRONG)
def test_wrong_fields_are_refused_with_the_recipe(call: Call, tmp_path: Path, fields: str) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY.replace("sparsity: 0.5", fields))
    assert WRONG[fields] in complaint(call("check", "tiny.yaml"))


def test_layers_whose_channels_make_no_whole_groups_stay_dense_and_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = Tiny(width=8).build(SHAPE, 5)  # 5 classes
    decided = Prune(sparsity=0.5, pattern="4x1").plan(model, None)
    assert decided["dense"] == ["logits"]
    assert capsys.readouterr().err == (
        "prune: logits stay dense: channels make no whole groups of 4x1\n"
    )


def test_a_layer_that_would_lose_all_its_weights_is_named() -> None:
    model = Tiny(width=8).build(SHAPE, 4)
    with pytest.raises(UserError, match=r"0.85 would leave no weight in block1_expand") as caught:
        Prune(sparsity=0.85, pattern="4x8").plan(model, None)
    assert "exclude: [block1_expand_conv]" in caught.value.hint


def test_pointwise_prunes_what_xnnpack_runs_sparse() -> None:
    """MobileNet v2's 1x1 convolutions, as each block has two, the first one alone, and the last."""
    decided = Prune(only="pointwise", pattern="4x1").plan(
        MobileNetV2(alpha=0.35).build(SHAPE, 4), None
    )
    assert len(decided["sparsity"]) == 34
    assert {tuple(shape[:2]) for shape in decided["shapes"].values()} == {(1, 1)}


@pytest.mark.parametrize("pattern", ["unstructured", "2x1"])
def test_a_transposed_convolution_is_no_pointwise_one(pattern: str) -> None:
    image = keras.Input(SHAPE)
    x = keras.layers.Conv2D(8, 1, name="first")(image)
    x = keras.layers.Conv2D(8, 1, name="pointwise")(x)
    x = keras.layers.Flatten()(keras.layers.Conv2DTranspose(8, 1, name="up")(x))
    model = keras.Model(image, keras.layers.Dense(2, name="logits")(x))
    decided = Prune(sparsity=0.003, pattern=pattern, only="pointwise").plan(model, None)
    assert list(decided["sparsity"]) == ["pointwise"]
