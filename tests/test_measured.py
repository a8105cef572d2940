"""What the rows of a run say of each phase's model, against figures counted by hand."""

import time
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, Call, as_json, invoke

from tflite_light import files
from tflite_light.measure.accuracy import Measured
from tflite_light.measure.kernels import deflated_bytes, kernels, most_values
from tflite_light.models.tiny import Tiny
from tflite_light.report.measured import show
from tflite_light.runs.phases import multiply_adds
from tflite_light.stack import keras
from tflite_light.tflite.file import share_of_zeros

CHAIN = TINY.replace("epochs: 3", "epochs: 1").replace("epochs: 2", "epochs: 1")
CHAIN = CHAIN.replace("  - qat:", "  - cluster: {centroids: 8, epochs: 1}\n  - qat:")
KEYS = ("val_top1", "values", "multiply_adds")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    (folder / "tiny.yaml").write_text(CHAIN)
    as_json(invoke("train", folder / "tiny.yaml", "--runs", folder / "runs", "--json"))
    return folder / "runs" / "tiny"


def test_each_phase_is_measured_before_and_after(run: Path) -> None:
    rows = {row["name"]: row for row in files.read_json(run / "metrics.json")["rows"]}
    assert list(rows) == ["fit", "prune", "cluster", "qat", "float32", "int8"]
    phases = [rows[name] for name in ("fit", "prune", "cluster", "qat")]
    assert all(0 <= row["val_top1"] <= 1 and row["seconds"] > 0 for row in phases)
    assert {row["multiply_adds"] for row in phases} == {42_016}
    assert phases[0]["zeros"] == 0
    assert all(0.5 <= row["zeros"] < 0.6 for row in phases[1:])
    assert rows["int8"]["zeros"] >= phases[-1]["zeros"] - 1e-9
    assert all(row["values"] <= 8 for row in phases[2:])
    assert rows["float32"]["values"] <= 8 >= rows["int8"]["values"]
    sizes = [row["deflated_bytes"] for row in phases]
    assert sizes[0] > sizes[1] > sizes[2]


def test_evaluate_shows_the_same_rows_also_of_older_runs(run: Path, call: Call) -> None:
    metrics = files.read_json(run / "metrics.json")
    assert all(key in row for row in metrics["rows"] for key in KEYS)
    older = [{k: v for k, v in row.items() if k not in KEYS} for row in metrics["rows"]]
    files.write_json(run / "metrics.json", {**metrics, "rows": older})
    rows = as_json(call("evaluate", run, "--json"))["rows"]
    for row, before in zip(rows, metrics["rows"], strict=True):
        same = [key for key in row if key not in ("latency_ms", "seconds")]
        assert [row[key] for key in same] == [before[key] for key in same]
    assert as_json(call("export", run, "--int8", "--json"))["exports"]
    kept = files.read_json(run / "metrics.json")["rows"]
    assert [KEYS[0] in row for row in kept] == [False] * 5 + [True]


def test_the_table_fits_a_hundred_columns_and_cuts_no_figure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wide = Measured("float32", 9999, 1.0, 1.0, 1.0, 98_765 * 1024, 98_765 * 1024, 123.45)
    wide.seconds, wide.val_top1, wide.values, wide.multiply_adds = (
        99_999,
        1.0,
        25_088,
        8_380_000_000,
    )
    show([wide])
    lines = capsys.readouterr().out.splitlines()
    assert "…" not in lines[-1]
    assert "8380 M  123  27.8 h" in lines[-1]
    assert len(lines[-1].rstrip()) <= 100
    wide.name = "dynamic_range_for_old_phones.tflite"
    show([wide])
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "dynamic" in one]
    assert "…" not in line
    assert line.rstrip().endswith("8380 M  123  27.8 h")
    show([Measured("a.tflite", 3, None, size_bytes=1024)])
    assert capsys.readouterr().out.splitlines()[-1].split() == ["a.tflite", "1"]


def test_kernels_are_counted_by_output_channel_without_depthwise_ones() -> None:
    model = Tiny(width=4).build((32, 32, 3), 4)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            kernel = layer.weights[0]
            kernel.assign(np.arange(np.prod(kernel.shape), dtype=np.float32).reshape(kernel.shape))
    dense = model.get_layer("logits")
    dense.kernel.assign(np.arange(128).reshape(32, 4) % 3 == 1)
    weights = kernels(model)
    sizes = [one.values.size for one in weights]
    assert sum(sizes) == sum(
        np.prod(v.shape) for v in model.trainable_variables if v.shape.rank > 1
    )
    assert most_values(weights) == 32  # the last 1x1 convolution's inputs
    zeros = int((dense.kernel.numpy() == 0).sum()) + len(weights) - 1  # arange's first
    assert share_of_zeros(weights) == zeros / sum(sizes)
    assert most_values([one for one in weights if one.operator]) is None
    assert multiply_adds(model) == 42_048


def test_counting_costs_less_than_a_second() -> None:
    """As many weights as MobileNetV2 1.0 has, clustered."""
    layer = keras.layers.Dense(1000)
    layer.build((None, 3500))
    layer.kernel.assign(np.round(np.random.default_rng(0).normal(0, 8, (3500, 1000))))
    start = time.process_time()
    weights = kernels(layer)
    share_of_zeros(weights), most_values(weights), deflated_bytes(weights)
    assert time.process_time() - start < 2  # of a processor that others share
