"""Weights of every kind go to their places in a network; what does not fit is reported."""

import collections
import contextlib
import io
import pickle
import re
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tflite_light.errors import UserError
from tflite_light.graph import checkpoint
from tflite_light.models import Architecture, classifier
from tflite_light.models.mobilenet_v1 import MobileNetV1
from tflite_light.models.shufflenet_v2 import ShuffleNetV2
from tflite_light.models.squeezenet import SqueezeNet
from tflite_light.models.tiny import Tiny
from tflite_light.models.xception import Xception
from tflite_light.sockets import load, names
from tflite_light.stack import keras
from tflite_light.weights import Weights
from tflite_light.weights.npz import Npz
from tflite_light.weights.run import Run
from tflite_light.weights.torch import Torch

NAMES = [f"class{number}" for number in range(10)]  # of the examples
ANEW = "the classifier starts anew"


@pytest.fixture(scope="module", params=names("weights"))
def example(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Weights, Architecture]]:
    """A part's own, which may also lie in a cache below the home."""
    folder, part = tmp_path_factory.mktemp(request.param), load("weights", request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        yield part.example(folder), part.example_architecture()


def test_an_example_replaces_every_kernel(example: tuple[Weights, Architecture]) -> None:
    weights, architecture = example
    keras.utils.set_random_seed(0)
    model = architecture.build((32, 32, 3), 10)
    before = checkpoint.weights_of(model)
    remarks = weights.load(model, architecture)
    assert all(remark.endswith(ANEW) for remark in remarks)
    for name, array in checkpoint.weights_of(model).items():
        if "kernel" in name:
            kept = bool(remarks) and name.rpartition("/")[0] in classifier(model)
            assert np.array_equal(array, before[name]) == kept, name


def test_weights_have_a_digest_of_what_they_hold(example: tuple[Weights, Architecture]) -> None:
    weights, architecture = example
    before, arrays = weights.digest(architecture), weights.arrays(architecture)
    assert before == weights.digest(architecture)
    with pytest.MonkeyPatch.context() as patch:
        name = next(iter(arrays))
        changed = arrays | {name: arrays[name] + 1}
        patch.setattr(type(weights), "arrays", lambda *_: changed)
        assert weights.digest(architecture) != before


def test_other_classes_start_a_new_classifier_or_are_refused(
    example: tuple[Weights, Architecture],
) -> None:
    weights, architecture = example
    model = architecture.build((32, 32, 3), 7)
    before = checkpoint.weights_of(model)
    with pytest.raises(UserError, match=r"classes, the model has 7, and an import trains nothing"):
        weights.load(model, architecture, whole=True)
    assert all(
        np.array_equal(array, before[name]) for name, array in checkpoint.weights_of(model).items()
    )
    (remark,) = weights.load(model, architecture)
    assert re.fullmatch(rf"weights are for \d+ classes, the model has 7: {ANEW}", remark)


def test_what_is_not_there_is_named(example: tuple[Weights, Architecture], tmp_path: Path) -> None:
    weights, architecture = example
    if not hasattr(weights, "path"):
        return
    lost = weights.model_copy(update={"path": str(tmp_path / "lost")})
    with pytest.raises(UserError, match=f"weights {tmp_path}/lost") as refusal:
        lost.arrays(architecture)
    assert refusal.value.hint


def test_damage_anywhere_is_refused_or_harmless(
    example: tuple[Weights, Architecture], tmp_path: Path
) -> None:
    """Its file's ends, where formats keep their tables, and anything between."""
    weights, architecture = example
    path = Path(getattr(weights, "path", tmp_path))
    file = next((one for one in [path, *path.rglob("*.npz")] if one.is_file()), None)
    if not file:
        return
    content = file.read_bytes()
    places = st.integers(-2000, 2000) | st.integers(0, len(content) - 1)
    changes = st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=4)

    @settings(max_examples=60, deadline=None)
    @given(changes, st.none() | st.integers(0, len(content) - 1))
    def damage(changes: list[tuple[int, int]], end: int | None) -> None:
        damaged = bytearray(content)
        for place, value in changes:
            damaged[place] = value
        file.write_bytes(damaged[:end])
        with contextlib.suppress(UserError):
            weights.arrays(architecture)

    try:
        damage()
    finally:
        file.write_bytes(content)


# What trainers wrap a state dict in: the same network must be found in all of them.


class Tensor:
    def __init__(self, array: Any):
        self.array = np.ascontiguousarray(array)

    def __reduce_ex__(self, protocol: Any) -> Any:
        strides = tuple(step // self.array.itemsize for step in self.array.strides)
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        hooks: dict[str, Any] = collections.OrderedDict()
        return rebuild, (Stored(self.array), 0, self.array.shape, strides, False, hooks)


class Stored:
    def __init__(self, array: Any):
        self.array = array


STORAGES = {"f4": "FloatStorage", "f2": "HalfStorage", "u2": "BFloat16Storage", "i8": "LongStorage"}


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names that PyTorch's pickles hold."""

    def _rebuild_tensor_v2() -> None: ...

    utils, package = types.ModuleType("torch._utils"), types.ModuleType("torch")
    _rebuild_tensor_v2.__module__ = utils.__name__
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    vars(utils)["_rebuild_tensor_v2"] = _rebuild_tensor_v2
    for name in STORAGES.values():
        vars(package)[name] = type(name, (), {"__module__": "torch"})
    monkeypatch.setitem(sys.modules, "torch", package)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def save(path: Path, value: Any) -> Torch:
    """A checkpoint as torch.save writes it."""
    members: list[bytes] = []

    class Pickler(pickle.Pickler):
        def persistent_id(self, one: Any) -> Any:
            if not isinstance(one, Stored):
                return None
            members.append(one.array.tobytes())
            kind = getattr(sys.modules["torch"], STORAGES[one.array.dtype.str[1:]])
            return "storage", kind, str(len(members) - 1), "cpu", one.array.size

    program = io.BytesIO()
    Pickler(program, 2).dump(value)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program.getvalue())
        archive.writestr("archive/byteorder", "little")
        for number, content in enumerate(members):
            archive.writestr(f"archive/data/{number}", content)
    return Torch(path=str(path))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """SqueezeNet's of ten classes, by torchvision's names."""
    return Torch.example(tmp_path_factory.mktemp("state")).arrays(SqueezeNet())


@pytest.fixture(scope="module")
def squeezenet() -> Any:
    return SqueezeNet().build((32, 32, 3), 10)


STEM = "stem_conv"


def stem(model: Any) -> Any:
    return model.get_layer(STEM).get_weights()[0].transpose(3, 2, 0, 1)


def below(prefix: str, state: dict[str, Any]) -> dict[str, Any]:
    return {prefix + name: array for name, array in state.items()}


def tensors(state: dict[str, Any]) -> Any:
    return collections.OrderedDict((name, Tensor(array)) for name, array in state.items())


def one(value: float) -> Tensor:
    return Tensor(np.array(value, np.int64))


WRAPPED: dict[str, Any] = {
    "plain": tensors,
    "module.": lambda state: tensors(below("module.", state)),
    "module.module.": lambda state: tensors(below("module.module.", state)),
    "module._orig_mod.": lambda state: tensors(below("module._orig_mod.", state)),
    "_orig_mod.module.": lambda state: tensors(below("_orig_mod.module.", state)),
    "model.net.": lambda state: {"state_dict": tensors(below("model.net.", state)), "epoch": 3},
    "averaged alone": lambda state: {"n_averaged": one(7), **tensors(below("module.", state))},
    "model_ema alone": lambda state: {"model_ema": tensors(below("module.", state)), "args": None},
    "state_dict_ema alone": lambda state: {"state_dict_ema": tensors(state), "arch": "x"},
    "nested net": lambda state: {"net": tensors(state), "acc": 90.1, "history": [1.5, 2.5]},
    "nested twice": lambda state: {"checkpoint": {"params": tensors(state)}},
    "one mapping twice": lambda state: dict.fromkeys(("model", "best"), tensors(state)),
    "equal twice": lambda state: {"model": tensors(state), "best": tensors(state)},
    "thop's counters": lambda state: tensors(state) | {"features.0.total_ops": one(9)},
    "float16": lambda state: tensors({name: a.astype("<f2") for name, a in state.items()}),
}


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_a_network_is_found_in_what_trainers_wrap_it_in(
    wrapper: str, state: dict[str, Any], squeezenet: Any, torch: None, tmp_path: Path
) -> None:
    weights = save(tmp_path / "w.pth", WRAPPED[wrapper](state))
    squeezenet.get_layer(STEM).set_weights([np.zeros((3, 3, 3, 64)), np.zeros(64)])
    twice = [f"{weights.path}: best is taken; left out: model"]
    assert weights.load(squeezenet, SqueezeNet()) == (twice if wrapper == "equal twice" else [])
    expected = state["features.0.weight"]
    if wrapper == "float16":
        expected = expected.astype(np.float16).astype(np.float32)
    assert np.array_equal(stem(squeezenet), expected)


def test_the_moving_average_is_taken_and_reported_or_the_one_that_is_asked_for(
    state: dict[str, Any], squeezenet: Any, torch: None, tmp_path: Path
) -> None:
    averaged = {name: array + 1 for name, array in state.items()}
    optimizer = {"state": {0: {"momentum_buffer": Tensor(np.zeros(3, np.float32))}}}
    weights = save(
        tmp_path / "w.pth",
        {"model": tensors(state), "model_ema": tensors(below("module.", averaged)),
         "optimizer": optimizer},
    )  # fmt: skip
    assert weights.load(squeezenet, SqueezeNet()) == [
        f"{weights.path}: the moving average model_ema.module is taken, not model (`network:` "
        "chooses)",
        f"{weights.path}: model_ema.module is taken; left out: model, optimizer",
    ]
    assert np.array_equal(stem(squeezenet), averaged["features.0.weight"])
    for wanted in ("model", "model_ema"):
        chosen = weights.model_copy(update={"network": wanted})
        chosen.load(squeezenet, SqueezeNet())
        expected = {"model": state, "model_ema": averaged}[wanted]["features.0.weight"]
        assert np.array_equal(stem(squeezenet), expected)
    lost = weights.model_copy(update={"network": "net"})
    with pytest.raises(UserError, match="hold no network net") as refusal:
        lost.load(squeezenet, SqueezeNet())
    assert refusal.value.hint == "They hold model or model_ema.module."


def test_teacher_and_student_are_not_guessed(
    state: dict[str, Any], squeezenet: Any, tmp_path: Path
) -> None:
    other = {name: array + 1 for name, array in state.items()}
    save_file(below("student.", state) | below("teacher.", other), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="hold several networks that fit: student, teacher") as no:
        Torch(path=str(tmp_path / "w.safetensors")).load(squeezenet, SqueezeNet())
    assert "network: student}" in no.value.hint


def test_what_stands_beside_a_network_is_reported(
    state: dict[str, Any], squeezenet: Any, tmp_path: Path
) -> None:
    beside = {"criterion.weight": np.ones(3, np.float32), "model.head.x": np.ones(3, np.float32)}
    save_file(below("model.net.", state) | beside, tmp_path / "w.safetensors")
    path = str(tmp_path / "w.safetensors")
    assert Torch(path=path).load(squeezenet, SqueezeNet()) == [
        f"{path}: model.net is taken; left out: criterion, model.head"
    ]


def test_pruned_weights_are_multiplied_by_their_masks(
    state: dict[str, Any], squeezenet: Any, tmp_path: Path
) -> None:
    kernel = state["features.0.weight"]
    mask = (np.arange(kernel.size).reshape(kernel.shape) % 2).astype(np.float32)
    masked = {name: array for name, array in state.items() if name != "features.0.weight"}
    masked |= {"features.0.weight_orig": kernel, "features.0.weight_mask": mask}
    save_file(masked, tmp_path / "w.safetensors")
    assert Torch(path=str(tmp_path / "w.safetensors")).load(squeezenet, SqueezeNet()) == []
    assert np.array_equal(stem(squeezenet), kernel * mask)


def test_wrapped_and_half_precision_weights_are_read(
    state: dict[str, Any], squeezenet: Any, tmp_path: Path
) -> None:
    halves = {f"module.{name}": array.astype("<f2") for name, array in state.items()}
    np.savez(tmp_path / "half.npz", **halves)
    save_file(halves, tmp_path / "half.safetensors")
    for name in ("half.npz", "half.safetensors"):
        squeezenet.get_layer(STEM).set_weights([np.zeros((3, 3, 3, 64)), np.zeros(64)])
        assert Torch(path=str(tmp_path / name)).load(squeezenet, SqueezeNet()) == []
        assert np.array_equal(
            stem(squeezenet), halves["module.features.0.weight"].astype(np.float32)
        )
        bias = squeezenet.get_layer(STEM).get_weights()[1]
        assert np.array_equal(bias, halves["module.features.0.bias"].astype(np.float32))


# What does not fit


def tiny_arrays() -> tuple[Any, dict[str, Any]]:
    model = Tiny(width=4).build((32, 32, 3), 5)
    return model, checkpoint.weights_of(model)


def refused(weights: Weights, model: Any, architecture: Architecture) -> str:
    with pytest.raises(UserError) as refusal:
        weights.load(model, architecture)
    assert refusal.value.hint
    return str(refusal.value)


def saved(path: Path, arrays: dict[str, Any]) -> Npz:
    np.savez(path, **arrays)
    return Npz(path=str(path))


def test_differences_are_listed_by_kind(tmp_path: Path) -> None:
    model, arrays = tiny_arrays()
    del arrays["stem_conv/kernel"]
    arrays["extra/kernel"] = np.zeros(3, np.float32)
    arrays["last_project_conv/kernel"] = np.zeros((1, 1, 9, 9), np.float32)
    before = model.get_weights()
    message = refused(saved(tmp_path / "odd.npz", arrays), model, Tiny(width=4))
    assert "3 differences" in message
    assert "missing: stem_conv/kernel (3, 3, 3, 4)" in message
    assert "unexpected: extra/kernel (3,)" in message
    assert "(1, 1, 9, 9) in the file, (1, 1, 32, 32) in the model" in message
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_one_difference_is_one(tmp_path: Path) -> None:
    model, arrays = tiny_arrays()
    del arrays["stem_conv/kernel"]
    message = refused(saved(tmp_path / "w.npz", arrays), model, Tiny(width=4))
    assert message.splitlines()[0].endswith("names: 1 difference")


def test_differences_are_in_the_file_s_words(state: dict[str, Any], tmp_path: Path) -> None:
    np.savez(tmp_path / "squeezenet.npz", **state)
    weights = Torch(path=str(tmp_path / "squeezenet.npz"))

    def message(architecture: Architecture) -> str:
        return refused(weights, architecture.build((32, 32, 3), 10), architecture)

    version = message(SqueezeNet(version="1.0"))
    assert "features.0.weight (64, 3, 3, 3) in the file, (96, 3, 7, 7) in the model" in version
    assert "missing: features.7.squeeze.bias" not in version  # both have it, of other shapes
    other = message(ShuffleNetV2(alpha=0.5))
    assert "are of another network, or of a reference implementation that is not known" in other
    assert "names such as classifier.1.bias, classifier.1.weight" in other
    assert "Set `model.mobilenet_v1.variant` to torch" in message(MobileNetV1())
    assert "Set `model.xception.variant` to torch" in message(Xception())
    assert "no reference implementation of tiny with these fields is known" in message(Tiny())
    model = SqueezeNet().build((32, 32, 3), 3)
    assert weights.load(model, SqueezeNet()) == [
        f"weights are for 10 classes, the model has 3: {ANEW}"
    ]


def test_what_is_alike_in_a_layer_is_one_line(tmp_path: Path) -> None:
    architecture = ShuffleNetV2(alpha=1.0, variant="torchvision")
    names_there = architecture.references()["torchvision"]
    shapes = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean",
              "moving_variance": "running_var"}  # fmt: skip
    model = architecture.build((32, 32, 3), 10)
    arrays: dict[str, Any] = {}
    for layer in model.layers:
        for weight in layer.weights:
            short = weight.name.removesuffix(":0").rsplit("/", 1)[-1]
            size = 24 if short in shapes else 3
            leaf = shapes.get(short, "bias" if short == "bias" else "weight")
            arrays[f"{names_there[layer.name]}.{leaf}"] = np.ones(size, np.float32)
    np.savez(tmp_path / "narrow.npz", **arrays)
    headline, *lines = refused(
        Torch(path=str(tmp_path / "narrow.npz")), model, architecture
    ).splitlines()
    assert "read by torchvision's names" in headline
    norm = "stage2.0.branch2.1.{weight, bias, running_mean, running_var}"
    assert f"  shape: {norm} (24,) in the file, (58,) in the model" in lines
    assert len(lines) == 12


def test_names_of_the_other_kind_say_which_part_reads_them(
    state: dict[str, Any], squeezenet: Any, tmp_path: Path
) -> None:
    weights = saved(tmp_path / "w.npz", state)
    line = f"`weights: {{torch: {{path: {weights.path}}}}}`"
    assert line in refused(weights, squeezenet, SqueezeNet())
    save_file(checkpoint.weights_of(squeezenet), tmp_path / "w.safetensors")
    message = refused(Torch(path=str(tmp_path / "w.safetensors")), squeezenet, SqueezeNet())
    assert "They have this project's names: write `weights: {npz:" in message


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("stem_norm/beta", np.zeros(4, bool), "stem_norm/beta holds bool, not numbers"),
        ("stem_norm/beta", np.full(4, np.nan), "stem_norm/beta holds NaN or infinity"),
        ("stem_norm/beta", np.full(4, 1e300), "stem_norm/beta holds NaN or infinity"),
    ],
)
def test_weights_that_are_no_numbers_are_refused(
    name: str, array: Any, message: str, tmp_path: Path
) -> None:
    model, arrays = tiny_arrays()
    weights = saved(tmp_path / "odd.npz", arrays | {name: array})
    assert message in refused(weights, model, Tiny(width=4))


def test_a_single_array_is_no_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    path = (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(UserError, match=r"it is no .npz archive") as refusal:
        Npz(path=str(path)).arrays(Tiny())
    assert refusal.value.hint.startswith("Give a whole .npz")


def test_a_norm_is_folded_only_when_its_beta_is_alone(tmp_path: Path) -> None:
    model, arrays = tiny_arrays()
    del arrays["stem_norm/moving_variance"]
    message = refused(saved(tmp_path / "odd.npz", arrays), model, Tiny(width=4))
    assert "missing: stem_norm/moving_variance (4,)" in message
    for short in ("gamma", "moving_mean"):
        del arrays[f"stem_norm/{short}"]
    assert saved(tmp_path / "folded.npz", arrays).load(model, Tiny(width=4)) == []
    gamma, _, mean, variance = model.get_layer("stem_norm").get_weights()
    assert (gamma == np.float32(np.sqrt(1.001))).all()
    assert (mean == 0).all()
    assert (variance == 1).all()


# Classes


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run.example(tmp_path_factory.mktemp("run"))


def loaded(weights: Weights, classes: list[str] | None) -> tuple[list[str], Any, Any]:
    """Remarks, what the classifier was and what it is."""
    model = Tiny(width=4).build((32, 32, 3), len(classes or NAMES))
    before = model.get_layer("logits").get_weights()
    remarks = weights.load(model, Tiny(width=4), classes)
    return remarks, before, model.get_layer("logits").get_weights()


def test_a_run_s_classifier_is_taken_over_by_the_names_of_its_classes(run: Run) -> None:
    arrays = run.arrays(Tiny(width=4))
    for same in (NAMES, None):
        remarks, _, (kernel, bias) = loaded(run, same)
        assert remarks == []
        assert np.array_equal(kernel, arrays["logits/kernel"])
    remarks, _, (kernel, bias) = loaded(run, NAMES[::-1])
    assert remarks == ["the classifier's classes are put into the order of the model's"]
    assert np.array_equal(kernel, arrays["logits/kernel"][:, ::-1])
    assert np.array_equal(bias, arrays["logits/bias"][::-1])


@pytest.mark.parametrize("classes", [[*NAMES[:9], "other"], NAMES[:9], [*NAMES, "more"]])
def test_a_run_s_classifier_of_other_classes_is_not_taken_over(
    run: Run, classes: list[str]
) -> None:
    (remark,), (before, _), (after, _) = loaded(run, classes)
    assert np.array_equal(before, after)
    assert remark.startswith("weights are for ")
    assert remark.endswith(f": {ANEW}")
    model = Tiny(width=4).build((32, 32, 3), len(classes))
    with pytest.raises(UserError, match="an import trains nothing"):
        run.load(model, Tiny(width=4), classes, whole=True)


def test_a_run_with_stages_says_that_its_weights_are_those_before_them(tmp_path: Path) -> None:
    """Its files hold others, such as no zeros of `prune`, and nothing told so."""
    run = Run.example(tmp_path)
    path = tmp_path / "checkpoints/fit.npz"
    arrays, note = checkpoint.read(path)
    stages = [{"prune": {"sparsity": 0.5}}, {"qat": {}}]
    checkpoint.write(path, arrays, note | {"recipe": {"compress": stages}})
    assert loaded(run, NAMES)[0] == [f"weights {tmp_path}: what `fit` left, without prune, qat"]


def test_a_checkpoint_is_an_npz_that_knows_its_network_and_classes(run: Run) -> None:
    weights = Npz(path=f"{run.path}/checkpoints/fit.npz")
    assert loaded(weights, NAMES[::-1])[0] == loaded(run, NAMES[::-1])[0]
    with pytest.raises(UserError, match="are of another network") as refusal:
        weights.arrays(Tiny(width=5))
    assert refusal.value.hint == "Write the same fields under `model:`."


def test_a_checkpoint_of_a_network_that_stages_changed_is_refused_by_that_reason(
    tmp_path: Path,
) -> None:
    stages: list[dict[str, Any]] = [{"prune": {}}, {"channels": {}}, {"cluster": {}}]
    note = {
        "model": {"tiny": Tiny(width=4).model_dump(mode="json")},
        "recipe": {"compress": stages},
    }
    thinned = checkpoint.weights_of(Tiny(width=3).build((32, 32, 3), 10))
    for name in ("prune", "cluster"):
        checkpoint.write(tmp_path / f"{name}.npz", thinned, note)
    model = Tiny(width=4).build((32, 32, 3), 10)
    with pytest.raises(UserError, match="do not fit") as refusal:
        Npz(path=f"{tmp_path}/cluster.npz").load(model, Tiny(width=4))
    assert refusal.value.hint == (
        "The network is no longer that of `model:`, since the run's channels changed it. Give the "
        f"checkpoint from before, {tmp_path}/prune.npz."
    )
    with pytest.raises(UserError, match="do not fit") as refusal:
        Npz(path=f"{tmp_path}/prune.npz").load(model, Tiny(width=4))
    assert refusal.value.hint.startswith("Compare the model and its fields")


# Places


def test_a_file_at_another_part_s_place_is_refused_with_its_own(
    run: Run, state: dict[str, Any], torch: None, tmp_path: Path
) -> None:
    save(tmp_path / "w.pth", tensors(state))
    np.savez(tmp_path / "w.npz", **state)
    (tmp_path / "w.tflite").write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(16))
    (tmp_path / "w.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(16))
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").touch()
    fit = f"{run.path}/checkpoints/fit.npz"
    cases: list[tuple[type[Any], str, str, str]] = [
        (Npz, "w.pth", "is a PyTorch checkpoint", "`weights: {torch: {path: "),
        (Run, "w.pth", "is a PyTorch checkpoint", "`weights: {torch: {path: "),
        (Run, "w.npz", "is a NumPy .npz archive", "`weights: {npz: {path: "),
        (Run, fit, "is a checkpoint of this project", f"`weights: {{run: {{path: {run.path}}}}}`"),
        (
            Torch,
            fit,
            "is a checkpoint of this project",
            f"`weights: {{run: {{path: {run.path}}}}}`",
        ),
        (Npz, "w.tflite", "is a .tflite file", "`weights: {run: {path: runs/NAME}}`"),
        (Torch, "w.tflite", "is a .tflite file", "`weights: {run: {path: runs/NAME}}`"),
        (Npz, "w.h5", "is a Keras file", "numpy.savez('weights.npz'"),
        (Torch, "w.h5", "is a Keras file", "numpy.savez('weights.npz'"),
        (Npz, "saved", "a TensorFlow SavedModel", "numpy.savez('weights.npz'"),
        (Npz, run.path, "the folder of a run", f"`weights: {{run: {{path: {run.path}}}}}`"),
        (Torch, ".", "a folder", "Give the path of a file"),
        (Npz, "lost.npz", "do not exist", "relative to where the command is typed"),
    ]
    for part, name, problem, hint in cases:
        with pytest.raises(UserError) as refusal:
            part(path=str(tmp_path / name)).arrays(SqueezeNet())
        assert problem in refusal.value.problem, name
        assert hint in refusal.value.hint, name


@pytest.mark.parametrize("content", [b"{}", pickle.dumps([1, 2]), b"\x93NUMPY\x01\x00\x00\x00"])
def test_a_member_of_an_npz_that_is_no_array_is_refused(content: bytes, tmp_path: Path) -> None:
    for name in ("a.npy", "a"):
        path = tmp_path / "odd.npz"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, content)
        assert "odd.npz" in refused(Npz(path=str(path)), tiny_arrays()[0], Tiny(width=4))


def test_an_npz_that_claims_terabytes_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    claimed: Any = {"descr": "<f4", "fortran_order": False, "shape": (1 << 42,)}
    np.lib.format.write_array_header_1_0(header, claimed)
    path = tmp_path / "large.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", header.getvalue())
    with pytest.raises(UserError, match="cannot be read"):
        Npz(path=str(path)).arrays(Tiny())


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04broken"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
def test_a_damaged_file_is_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged"):
        Torch(path=str(path)).arrays(SqueezeNet())


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """By its name, here; a user who is root may read every file."""
    path = str(tmp_path / ("w" * 300))
    for part in (Npz, Run, Torch):
        message = refused(part(path=path), tiny_arrays()[0], Tiny(width=4))
        assert "www cannot be read: File name too long." in message
