"""What each way to compress makes of one network: the table in docs/compression.md.

    python benchmarks/compression.py FOLDER [SEEDS] [CHAIN ...]

Every chain of stages goes on from the same fit of `recipes/mobilenet_v2.yaml`, one for each seed,
and from what another chain that begins alike has trained. What FOLDER already has is not trained
again, so that a stopped benchmark goes on. `distil` has a fit of its own, by the teacher that
`benchmarks/distillation.py` leaves; it is left out where FOLDER has no run `teacher`.
"""

import json
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

from tflite_light import files, recipe
from tflite_light.graph import checkpoint
from tflite_light.measure.kernels import most_values
from tflite_light.runs import chain, conductor
from tflite_light.runs.finding import create
from tflite_light.runs.folder import Run, open_run
from tflite_light.tflite.file import read
from tflite_light.tflite.packed import pack

RECIPE = "recipes/mobilenet_v2.yaml"
PRUNE = {"prune": {"sparsity": 0.5, "epochs": 8, "learning_rate": 0.002}}
PRUNE_MORE = {"prune": {"sparsity": 0.8, "epochs": 16, "learning_rate": 0.001}}
CLUSTER = {"cluster": {"centroids": 16, "epochs": 5}}
QAT = {"qat": {"epochs": 5, "learning_rate": 0.0003}}
FACTORIZE = {"factorize": {"keep": 0.7, "epochs": 8}}
CHANNELS = {"channels": {"keep": 0.5, "epochs": 10}}
FIT_ALONE, DISTILLED = "int8 alone", "distil, qat"
CHAINS: dict[str, list[Any]] = {
    FIT_ALONE: [],
    "prune 0.5": [PRUNE],
    "prune 0.8": [PRUNE_MORE],
    "cluster 16": [CLUSTER],
    "qat": [QAT],
    "prune 0.5, qat": [PRUNE, QAT],
    "cluster 16, qat": [CLUSTER, QAT],
    "prune 0.5, cluster 16, qat": [PRUNE, CLUSTER, QAT],
    "factorize 0.7, qat": [FACTORIZE, QAT],
    "channels 0.5, qat": [CHANNELS, QAT],
    "channels 0.5, prune 0.5, cluster 16, qat": [CHANNELS, PRUNE, CLUSTER, QAT],
    DISTILLED: [QAT],
}


def main(folder: Path, seeds: int, chosen: list[str]) -> None:
    print("| stages | float | int8 | zeros | values | KiB | deflated | packed | ms |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in chosen or CHAINS:
        if name == DISTILLED and not (folder / "teacher").exists():
            continue
        runs = [_run(folder, name, seed) for seed in range(seeds)]
        print(_line(name, runs), flush=True)


def _run(folder: Path, name: str, seed: int) -> Run:
    """The run of a chain, trained as far as it is not there."""
    path = _path(folder, name, seed)
    if (path / "metrics.json").exists():
        return open_run(path)
    changes = [
        f"seed={seed}",
        f"compress={json.dumps(CHAINS[name])}",
        "export=[int8]",
    ]
    if name == DISTILLED:
        changes.append(f"distil.teacher={folder / 'teacher'}")
    made = recipe.load(Path(RECIPE), changes)
    if path.exists():
        run = open_run(path)
    elif name in (FIT_ALONE, DISTILLED):
        return conductor.start(made, path.name, folder)[0]
    else:
        run = create(made, path.name, folder, made.source.load(made.image).parts)
        _copy_phases(_longest_alike(folder, name, seed), run)
    conductor.resume(run)
    return run


def _path(folder: Path, name: str, seed: int) -> Path:
    return folder / f"{name.replace(', ', '-').replace(' ', '')}-{seed}"


def _longest_alike(folder: Path, name: str, seed: int) -> Run:
    """Of the runs that are finished, the one that has most of a chain behind it."""
    stages = CHAINS[name]
    alike = [
        other
        for other, chain in CHAINS.items()
        if other not in (name, DISTILLED) and chain == stages[: len(chain)]
    ]
    for other in sorted(alike, key=lambda other: len(CHAINS[other]), reverse=True):
        path = _path(folder, other, seed)
        if (path / "metrics.json").exists():
            return open_run(path)
    return _run(folder, FIT_ALONE, seed)


def _copy_phases(done: Run, run: Run) -> None:
    for phase in done.phases:
        if phase in done.stages:
            shutil.copy(done.plan_path(phase), run.plan_path(phase))
        arrays, note = checkpoint.read(done.weights_path(phase))
        checkpoint.write(run.weights_path(phase), arrays, {**note, **chain.facts(run, phase)})


def _line(name: str, runs: list[Run]) -> str:
    rows = [{row["name"]: row for row in files.read_json(run.metrics_path)["rows"]} for run in runs]
    ends = [[row for row in each.values() if row["size_bytes"] is None][-1] for each in rows]
    weights = [weight for run in runs for weight in read(run.export_path("int8")).weights()]

    def mean(key: str) -> float:
        return float(statistics.mean(each["int8"][key] for each in rows))

    values = most_values(weights)
    tops = statistics.mean(row["top1"] for row in ends), mean("top1")
    packed_bytes = statistics.mean(len(pack(read(run.export_path("int8")))) for run in runs)
    sizes = [size / 1024 for size in (mean("size_bytes"), mean("deflated_bytes"), packed_bytes)]
    return (
        f"| {name} | {tops[0]:.4f} | {tops[1]:.4f} | {mean('zeros'):.3f} | {values} | "
        f"{sizes[0]:.0f} | {sizes[1]:.0f} | {sizes[2]:.0f} | {mean('latency_ms'):.2f} |"
    )


if __name__ == "__main__":
    seeds = [int(word) for word in sys.argv[2:] if word.isdigit()]
    names = [word for word in sys.argv[2:] if not word.isdigit()]
    main(Path(sys.argv[1]), seeds[0] if seeds else 2, names)
