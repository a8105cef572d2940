"""What a run delivers: files that keep their promises; those that do not are kept apart."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, Call, as_json, complaint, invoke

from tflite_light import files
from tflite_light.graph import checkpoint
from tflite_light.measure import accuracy, runners
from tflite_light.runs import delivery

SHORT = TINY.replace("epochs: 3", "epochs: 1").replace("epochs: 2", "epochs: 1")
PACKED = SHORT.replace("[float32, int8]", "[float32, {int8: {packed: true}}]")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of the tiny recipe, an epoch a phase; tests only read it."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "tiny.yaml").write_text(PACKED)
    as_json(invoke("train", folder / "tiny.yaml", "--runs", folder / "runs", "--json"))
    return folder


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Path:
    """The same run, to be spoilt."""
    return Path(shutil.copytree(home / "runs" / "tiny", tmp_path / "tiny"))


def fill_zeros(run: Path) -> None:
    """Spoil what pruning reached, as a training that goes wrong would."""
    path = run / "checkpoints" / "qat.npz"
    arrays, note = checkpoint.read(path)
    filled = {name: np.where(array == 0, 0.01, array) for name, array in arrays.items()}
    kernels = {name: one.astype(np.float32) for name, one in filled.items() if one.ndim > 1}
    checkpoint.write(path, arrays | kernels, note)


def test_a_file_that_breaks_a_promise_is_kept_under_another_name(run: Path, call: Call) -> None:
    exports, good = run / "exports", (run / "checkpoints" / "qat.npz").read_bytes()
    before = {path: path.read_bytes() for path in (run / "metrics.json", *exports.glob("*.*"))}
    fill_zeros(run)
    told = complaint(call("export", run, "--int8"))
    assert "int8.tflite has 0." in told
    assert "fewer than the promised 0.5: most are missing in tiny/" in told
    assert "compress.prune.sparsity" in told
    assert f"It is kept as {exports / 'int8.broken.tflite'}." in told
    kept = (exports / "int8.broken.tflite").read_bytes()
    after = {path: path.read_bytes() for path in (run / "metrics.json", *exports.glob("*.*"))}
    assert after == before | {exports / "int8.broken.tflite": kept}
    assert as_json(call("inspect", exports / "int8.broken.tflite", "--json"))["parameters"] > 0
    picture = next((exports / "int8_golden").iterdir())
    assert "contract" in complaint(call("predict", exports / "int8.broken.tflite", picture))
    (run / "checkpoints" / "qat.npz").write_bytes(good)
    assert call("export", run, "--int8").exit_code == 0
    assert not (exports / "int8.broken.tflite").exists()


def test_an_export_that_is_stopped_leaves_a_run_that_is_whole(
    run: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver = delivery.deliver

    def stopped(mode: Any, *given: Any) -> Any:
        if mode.key == "float16":
            raise KeyboardInterrupt
        return deliver(mode, *given)

    monkeypatch.setattr(delivery, "deliver", stopped)
    assert call("export", run, "--float16", "--dynamic_range").exit_code == 1
    rows = {row["name"]: row for row in json.loads((run / "metrics.json").read_text())["rows"]}
    agreed = json.loads((run / "exports" / "dynamic_range.json").read_text())
    assert rows["dynamic_range"]["sha256"] == agreed["flatbuffer"]["sha256"]
    shown = as_json(call("evaluate", run, "--json"))["rows"]
    files_ = ["float32", "int8", "dynamic_range"]  # as metrics.json has them
    assert [row["name"] for row in shown if row["size_bytes"]] == files_
    assert [row["paired"]["against"] for row in shown if row["paired"]] == ["float32", "float32"]


def test_a_broken_file_answers_for_no_run(run: Path, call: Call) -> None:
    exports = run / "exports"
    picture = next((exports / "int8_golden").iterdir())
    (exports / "int8.tflite").rename(exports / "int8.broken.tflite")
    assert "float32.tflite answers" in call("predict", run, picture).stderr
    found = call("evaluate", run, "--json")
    again = f"`tflite-light export {run} --int8` writes it again\n"
    assert f"{exports / 'int8.tflite'} is missing, so not measured: {again}" in found.stderr
    names = [row["name"] for row in as_json(found)["rows"]]
    assert names == ["fit", "prune", "qat", "float32"]
    (exports / "float32.tflite").unlink()
    assert "is not a run with exported files" in complaint(call("predict", run, picture))


def test_a_packed_export_lies_beside_its_file_and_restores_it(run: Path, call: Call) -> None:
    path = run / "exports" / "int8.tflite"
    packed = path.with_name("int8.tflite.packed")
    size = packed.stat().st_size
    assert size < path.stat().st_size
    assert not (run / "exports" / "float32.tflite.packed").exists()
    rows = {row["name"]: row for row in files.read_json(run / "metrics.json")["rows"]}
    assert [rows[name]["packed_bytes"] for name in rows] == [None] * 4 + [size]
    shown = call("evaluate", run).stdout.splitlines()
    assert [line.split() for line in shown if "packed" in line] == [
        ["packed", str(round(size / 1024))]
    ]
    as_json(call("unpack", packed, "-o", "again.tflite", "--json"))
    assert Path("again.tflite").read_bytes() == path.read_bytes()
    (row,) = as_json(call("export", run, "--int8", "--out", "app", "--json"))["rows"]
    assert row["packed_bytes"] == size
    assert Path("app/tiny_int8.tflite.packed").read_bytes() == packed.read_bytes()


def test_a_packed_file_of_an_earlier_export_does_not_stay(home: Path, call: Call) -> None:
    """It would restore another file than the one that it lies beside."""
    Path("app").mkdir()
    Path("app/tiny_float32.tflite.packed").write_bytes(b"TFLp, old")
    as_json(call("export", home / "runs" / "tiny", "--float32", "--out", "app", "--json"))
    assert not Path("app/tiny_float32.tflite.packed").exists()


def test_an_export_replaces_what_exports_wrote_and_nothing_else(home: Path, call: Call) -> None:
    """It wrote over a .json of somebody's, and removed pictures beside the golden ones."""
    command = ("export", home / "runs" / "tiny", "--float32", "--out", "app")
    as_json(call(*command, "--json"))
    holiday = Path("app/tiny_float32_golden/holiday.png")
    holiday.write_text("mine")
    as_json(call(*command, "--json"))
    assert holiday.read_text() == "mine"
    assert len(list(holiday.parent.iterdir())) == 9
    Path("import.yaml").write_text("model: {tiny: {width: 4}}\nclasses: 3\nexport: [float32]\n")
    of_import = ("export", "import.yaml", "--out", "app")
    for name in ("float32.json", "float32.tflite", "float32.tflite.packed", "float32_golden/0.png"):
        shutil.rmtree("app")
        for asked, stem in ((command, "tiny"), (of_import, "import")):
            path = Path(f"app/{stem}_{name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")
            before = sorted(Path("app").rglob("*"))
            assert complaint(call(*asked)).startswith(f"{path} exists already, and no export")
            assert (path.read_text(), sorted(Path("app").rglob("*"))) == ("{}", before)


ODD = '''
from typing import Any
from tflite_light.models import Architecture
from tflite_light.stack import keras, tf

class Net(Architecture):
    def logits(self, image: Any, classes: int) -> Any:
        """What int16x8 does not know, and operators that few networks have."""
        x = keras.layers.Conv2D(8, 3, 2, use_bias=False)(image)
        x = tf.abs(keras.layers.PReLU(shared_axes=[1, 2])(keras.layers.BatchNormalization()(x)))
        return keras.layers.Dense(classes)(keras.layers.GlobalAveragePooling2D()(x))
'''


def test_a_run_is_finished_where_one_of_its_files_cannot_be_made(call: Call) -> None:
    Path("net.py").write_text(ODD)
    recipe = SHORT.partition("compress:")[0] + "export: [int16x8, float32]\n"
    Path("odd.yaml").write_text(recipe.replace("{tiny: {width: 4}}", "./net.py"))
    result = call("train", "odd.yaml", "--json")
    found, told = json.loads(result.stdout), result.stderr
    assert result.exit_code == 2
    assert [row["name"] for row in found["rows"]] == ["fit", "float32"]
    assert found["exports"] == ["runs/odd/exports/float32.tflite"]
    assert "float32" in Path("runs/odd/report.html").read_text()
    assert "TensorFlow's converter refuses the network: " in told
    assert "PRELU" in told
    assert "The run is finished without: see `tflite-light evaluate runs/odd`" in told
    rows = as_json(call("evaluate", "runs/odd", "--json"))["rows"]
    assert [row["name"] for row in rows] == ["fit", "float32"]
    as_json(call("export", "runs/odd", "--float16", "--json"))
    assert "is finished" in complaint(call("train", "runs/odd", "--resume"))


NO_FILE = {
    "keras.layers.Dropout(0.5)(image, training=True)": "it is not known which runtimes have "
    "operators of the float32 file: RANDOM_UNIFORM version 1.",
    "tf.linalg.svd(image, compute_uv=False)[..., None]": "TensorFlow's converter refuses the "
    "network: 'tf.Svd' op is neither a custom op nor a flex op.",
}


@pytest.mark.parametrize("layer", NO_FILE)
def test_a_network_that_has_no_file_is_refused_before_it_is_trained(call: Call, layer: str) -> None:
    """It was told by each kind of file, after all of the training."""
    changed = ODD.replace("(image)\n", f"({layer})\n", 1)
    Path("net.py").write_text(changed)
    recipe = SHORT.partition("compress:")[0] + "export: [int8]\n"
    Path("odd.yaml").write_text(recipe.replace("{tiny: {width: 4}}", "./net.py"))
    for command in (("check", "odd.yaml", "--graph"), ("train", "odd.yaml")):
        assert complaint(call(*command)).startswith(NO_FILE[layer])
    assert not Path("runs").exists()


def test_a_file_that_answers_with_no_number_leaves_the_others(
    home: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a test picture, where the few that are looked at before are answered."""
    shutil.copytree(home / "runs" / "tiny", "spoilt")
    real = accuracy.measure

    def measured(name: str, *given: Any) -> Any:
        if name == "float16":
            runners.finite(np.full(1, np.nan))
        return real(name, *given)

    monkeypatch.setattr(delivery, "measure", measured)
    result = call("export", "spoilt", "--float16", "--float32", "--out", "app", "--json")
    assert result.exit_code == 2
    assert "the network answers with NaN or infinity" in result.stderr
    assert [row["name"] for row in json.loads(result.stdout)["rows"]] == ["float32"]


def test_all_that_can_be_made_is_made_of_a_finished_run_too(call: Call) -> None:
    Path("net.py").write_text(ODD)
    recipe = SHORT.partition("compress:")[0] + "export: [float32]\n"
    Path("odd.yaml").write_text(recipe.replace("{tiny: {width: 4}}", "./net.py"))
    call("train", "odd.yaml")
    result = call("export", "runs/odd", "--int16x8", "--float16", "--json")
    assert (result.exit_code, "PRELU" in result.stderr) == (2, True)
    assert json.loads(result.stdout)["exports"] == ["runs/odd/exports/float16.tflite"]
    rows = as_json(call("evaluate", "runs/odd", "--json"))["rows"]
    assert {row["name"] for row in rows} == {"fit", "float32", "float16"}


def test_a_file_that_is_written_again_is_still_compared_with_the_first(
    home: Path, call: Call
) -> None:
    shutil.copytree(home / "runs" / "tiny", "runs/tiny")
    before = {
        row["name"]: row["paired"]
        for row in files.read_json(Path("runs/tiny/metrics.json"))["rows"]
    }
    assert before["int8"]["against"] == "float32"
    as_json(call("export", "runs/tiny", "--int8", "--json"))
    as_json(call("export", "runs/tiny", "--float16", "--int8", "--json"))
    after = {
        row["name"]: row["paired"]
        for row in files.read_json(Path("runs/tiny/metrics.json"))["rows"]
    }
    assert after == {**before, "float16": None}
    as_json(call("export", "runs/tiny", "--int8", "--float32", "--json"))
    again = {
        row["name"]: row["paired"]
        for row in files.read_json(Path("runs/tiny/metrics.json"))["rows"]
    }
    assert again == after  # the first is compared with none


def test_a_disk_that_is_full_at_the_export_leaves_a_run_to_be_resumed(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("tiny.yaml").write_text(SHORT.partition("compress:")[0] + "export: [float32]\n")
    written = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if content[4:8] == b"TFL3":
            raise OSError(28, "No space left on device")
        return written(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert "No space left on device" in complaint(call("train", "tiny.yaml"))
    as_json(call("train", "runs/tiny", "--resume", "--json"))
    assert Path("runs/tiny/exports/float32.tflite").exists()


FIXED = """
from typing import Any
from tflite_light.models import Architecture
from tflite_light.stack import keras

class Net(Architecture):
    def logits(self, image: Any, classes: int) -> Any:
        layers = keras.layers
        x = layers.Conv2D(8, 3, 2, use_bias=False)(image)
        x = layers.ReLU()(layers.BatchNormalization(trainable=False, name="fixed")(x))
        x = layers.BatchNormalization(name="moved")(layers.Conv2D(8, 3, 2, use_bias=False)(x))
        return layers.Dense(classes)(layers.GlobalAveragePooling2D()(layers.ReLU()(x)))
"""


def test_batch_norms_that_a_network_holds_fixed_are_not_measured(call: Call) -> None:
    Path("net.py").write_text(FIXED)
    recipe = SHORT.partition("compress:")[0] + "export: [float32]\n"
    Path("fixed.yaml").write_text(recipe.replace("{tiny: {width: 4}}", "./net.py"))
    result = call("train", "fixed.yaml", "--set", "train.batch_norm_momentum=0.999", "--json")
    as_json(result)
    assert "fit: batch norms lag behind" in result.stderr
    arrays, _ = checkpoint.read(Path("runs/fixed/checkpoints/fit.npz"))
    assert (arrays["fixed/moving_mean"] == 0).all()
    assert (arrays["fixed/moving_variance"] == 1).all()
    assert (arrays["moved/moving_mean"] != 0).any()


def test_fine_tuning_keeps_loaded_statistics_in_every_phase(home: Path, call: Call) -> None:
    """Whatever they are: norms folded into convolutions have a mean of 0. Measured anew before
    `qat`, a network with 0.992 of test pictures began it with 0.115."""
    arrays, note = checkpoint.read(home / "runs" / "tiny" / "checkpoints" / "fit.npz")
    means = [name for name in arrays if name.endswith("moving_mean")]
    checkpoint.write(Path("odd.npz"), arrays | {name: arrays[name] + 9 for name in means}, note)
    Path("tuned.yaml").write_text(
        SHORT.replace("train: {", "train: {freeze: {epochs: 1}, ")
        + "weights: {npz: {path: odd.npz}}"
    )
    as_json(call("train", "tuned.yaml", "--json"))
    for phase in ("classifier", "fit", "prune", "qat"):
        found, _ = checkpoint.read(Path(f"runs/tuned/checkpoints/{phase}.npz"))
        ours = {name.rpartition("quant_")[2]: values for name, values in found.items()}
        for name in means:
            np.testing.assert_array_equal(ours[name], arrays[name] + 9)


@pytest.mark.parametrize("momentum", ["null", "0.999"])
def test_batch_norms_that_a_training_leaves_behind_are_measured(call: Call, momentum: str) -> None:
    """Their moving averages are those of earlier weights: 0.32 of val pictures, of 1.0 in training."""
    Path("short.yaml").write_text(
        TINY.partition("compress:")[0].replace("width: 4", "width: 8") + "export: [float32]\n"
    )
    changes = ["--set", f"train.batch_norm_momentum={momentum}"]
    if momentum == "null":
        changes += ["--set", "train.epochs=2"]
    result = call("train", "short.yaml", *changes, "--json")
    (fit, file) = as_json(result)["rows"]
    assert "fit: batch norms lag behind" in result.stderr
    assert fit["top1"] == file["top1"] >= 0.9
