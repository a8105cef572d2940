"""What the rows of a run say of each phase's model, against figures counted by hand."""

import json
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from conftest import TINY, Call, as_json, invoke

from tflite_light import files
from tflite_light.contract import Image
from tflite_light.measure.accuracy import Answered, Measured, measure, pair_files
from tflite_light.measure.confusion import Confusion
from tflite_light.measure.kernels import deflated_bytes, kernels, most_values
from tflite_light.measure.runners import KerasModel
from tflite_light.measure.significance import Paired
from tflite_light.models.tiny import Tiny
from tflite_light.pipeline.examples import Examples
from tflite_light.pipeline.pictures import Pictures
from tflite_light.pipeline.preprocess import Floats
from tflite_light.pipeline.reading import read
from tflite_light.report.measured import show, warnings
from tflite_light.runs.measuring import multiply_adds
from tflite_light.stack import keras
from tflite_light.tflite.file import share_of_zeros

CONFUSION = Confusion(
    ("stop", "limit 30", "limit 50", "yield"),
    {
        "stop": {"stop": 6},
        "limit 30": {"stop": 1, "limit 30": 7, "limit 50": 4},
        "limit 50": {"limit 50": 1, "yield": 1},
    },
)
CHAIN = TINY.replace("epochs: 3", "epochs: 1").replace("epochs: 2", "epochs: 1")
CHAIN = CHAIN.replace("  - qat:", "  - cluster: {centroids: 8, epochs: 1}\n  - qat:")
KEYS = ("val_top1", "values", "multiply_adds")


def lines_of(capsys: pytest.CaptureFixture[str], rows: list[Measured]) -> list[str]:
    """What is shown of them."""
    show(rows)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


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


def test_ms_is_without_what_keras_does_at_the_first_batch_of_a_size(examples: Examples) -> None:
    """It takes seconds to trace: a fit's row had 6.4 ms, the same network's after pruning 3.5."""

    class Slow(KerasModel):
        sizes: ClassVar[set[int]] = set()

        def logits(self, batches: Iterable[Floats]) -> Floats:
            seen = list(batches)
            if new := {len(batch) for batch in seen} - self.sizes:
                self.sizes.update(new)
                time.sleep(1)
            return super().logits(seen)

    model = Tiny().build((32, 32, 3), 10)
    part = replace(examples, pictures=examples.pictures.chosen(range(70)))
    row, _ = measure("fit", Slow(model), part, [str(number) for number in range(10)])
    assert Slow.sizes == {64, 6}
    assert 70 * (row.latency_ms or 0) < 1000


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": -1}, "name"),
        ({"deflated_bytes": "x"}, "deflated_bytes"),
        ({"seconds": [1]}, "seconds"),
        ({"val_interval": []}, "val_interval"),
        (
            {"paired": {"against": "int8", "pictures": 3, "only_this": -1, "only_other": 0}},
            "paired",
        ),
        ({"confusion": True}, "bool"),
        ({"confusion": {"classes": [{"name": {}}], "counts": {}}}, "names"),
        ({"confusion": {"classes": [{"name": "a"}], "counts": {"a": {"a": None}}}}, "counts"),
        ({"confusion": {"classes": [{"name": "a"}], "counts": {}}}, "no picture"),
    ],
)
def test_a_row_with_figures_of_another_kind_is_refused(
    change: dict[str, Any], problem: str
) -> None:
    """As a hand that edits metrics.json makes them; tables would end in a traceback."""
    row = Measured("float32", 20, 0.7, confusion=CONFUSION)
    row.paired = Paired("int8", 20, 3, 1)
    found = json.loads(json.dumps(row.to_json()))
    assert Measured.from_json(found) == row
    with pytest.raises((ValueError, TypeError), match=problem):
        Measured.from_json(found | change)


def test_the_tables_fit_120_columns_and_cut_no_figure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wide = Measured("float32", 20, 0.7, 1.0, 1.0, 98_765 * 1024, 98_765 * 1024, 123.45)
    wide.seconds, wide.val_top1, wide.values, wide.multiply_adds = (
        99_999,
        1.0,
        25_088,
        8_380_000_000,
    )
    wide.val_interval, wide.confusion = (0.9, 1.0), CONFUSION
    _, _, answers, _, costs, *_ = lines_of(capsys, [wide])
    assert answers.endswith(
        "1.0000 (0.900-1.000)  0.7000 (0.481-0.855)    0.6944    0.6485     1.0000  0.5000 limit 50"
    )
    assert costs.endswith("8380 M  123  27.8 h")
    assert max(len(answers), len(costs)) <= 120
    wide.name = "dynamic_range_for_old_phones.tflite"
    answers, costs = [one for one in lines_of(capsys, [wide]) if one.startswith(wide.name)][:2]
    assert "…" not in answers + costs
    assert costs.endswith("8380 M  123  27.8 h")
    assert lines_of(capsys, [Measured("a.tflite", 3, None, size_bytes=1024)]) == [
        "on 3 test pictures", "          KiB", "a.tflite    1",
    ]  # fmt: skip


def test_the_last_row_s_classes_and_worst_mistakes_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = Measured("int8", 20, 0.7, size_bytes=1024, confusion=CONFUSION)
    heading, *_ = lines = lines_of(capsys, [Measured("fit", 20, 1.0), row])
    assert heading == "on 20 test pictures"
    assert lines[lines.index("int8.tflite by class") + 1 :] == [
        "class     pictures         recall (95 %)  precision      F1",
        "stop             6  1.0000 (0.610-1.000)     0.8571  0.9231",
        "limit 30        12  0.5833 (0.320-0.807)     1.0000  0.7368",
        "limit 50         2  0.5000 (0.095-0.905)     0.2000  0.2857",
        "limit 30 taken for limit 50: 4 of 12",
        "limit 50 taken for yield: 1 of 2",
        "limit 30 taken for stop: 1 of 12",
    ]
    assert lines_of(capsys, [row])[0] == (
        "on 20 test pictures of 3 classes; the majority class, limit 30, has 0.6000 of them. "
        "(95 %): Wilson's interval"
    )


def test_of_many_classes_those_that_are_found_least_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = [f"[b]{number}[/b]" for number in range(30)]  # no markup of a terminal
    labels = [number for number in range(30) for _ in range(10)]
    answers = [
        max(label - 1, 0) if turn % 10 < label // 3 else label for turn, label in enumerate(labels)
    ]
    row = Measured("fit", 300, 0.5, confusion=Confusion.of(names, labels, answers))
    lines = lines_of(capsys, [row])
    assert "fit by class: the 20 of 30 that it finds least; --json has all" in lines
    assert sum(line.startswith("[b]") and "(" in line for line in lines) == 20
    assert lines[-1] == "and 92 more of other pairs; --json has all"


def test_missed_defects_are_warned_of() -> None:
    """0.77 of all pictures are right, and 47 % of the defects are missed."""
    counts = {"ok": {"ok": 180, "defect": 20}, "defect": {"ok": 47, "defect": 53}}
    row = Measured("int8", 300, 233 / 300, confusion=Confusion(("ok", "defect"), counts))
    assert warnings([row]) == [
        "warning: int8 finds far less of some classes than its top-1 of 0.7767 suggests: "
        "defect (53 of 100)."
    ]
    few = {"ok": {"ok": 18, "defect": 2}, "defect": {"ok": 5, "defect": 5}}
    row.confusion = Confusion(("ok", "defect"), few)  # which may be chance
    assert warnings([row]) == []
    names = tuple(map(str, range(20)))
    many = {name: {name: 45, "0": 5} for name in names[1:]} | {"0": {"0": 39, "1": 11}}
    one = row.confusion = Confusion(names, many)  # one of many is low by chance
    assert one.classes[0].recall_interval[1] < one.interval[0]  # type: ignore[index]
    assert warnings([row]) == []


def test_files_are_compared_picture_by_picture_with_the_first(
    run: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = as_json(call("evaluate", run, "--json"))["rows"]
    assert [row["paired"] and row["paired"]["against"] for row in rows] == [None] * 5 + ["float32"]
    pictures = Pictures(["picture"] * 12, [0] * 12, lambda _: np.zeros((32, 32, 3), np.uint8))
    examples = read({"test": pictures}, Image(size=32))["test"]
    one, other = (
        Measured(
            name,
            12,
            1.0,
            size_bytes=1,
            confusion=CONFUSION,
            answered=Answered(
                examples, (np.arange(12) < wrong).astype(int), np.ones(12, np.float32)
            ),
        )
        for name, wrong in (("float32", 0), ("int8", 6))
    )
    pair_files([one, other])
    assert other.paired
    assert (other.paired.only_this, other.paired.only_other) == (0, 6)
    assert (
        "int8.tflite and float32.tflite differ by more than chance on 12 pictures: 0 are right in the "
        "first alone, 6 in the other alone (McNemar's exact test, p = 0.031)"
    ) in lines_of(capsys, [one, other])


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
