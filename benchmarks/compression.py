"""What each way to compress makes of one network: the table in docs/compression.md.

    python benchmarks/compression.py FOLDER [SEEDS] [CHAIN ...]

Every chain of stages goes on from the same fit of `recipes/mobilenet_v2.yaml`, one for each seed.
What FOLDER already has is not trained again, so that a stopped benchmark goes on. A fit takes 3 to
8 minutes on 2 cores, a chain 1 to 4.
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from tflite_light import files, recipe
from tflite_light.graph import checkpoint
from tflite_light.runs import chain, conductor
from tflite_light.runs.finding import create
from tflite_light.runs.folder import FIT, Run, open_run
from tflite_light.tflite.file import read

RECIPE = "recipes/mobilenet_v2.yaml"
PRUNE = {"prune": {"sparsity": 0.5, "epochs": 8, "learning_rate": 0.001}}
PRUNE_MORE = {"prune": {"sparsity": 0.8, "epochs": 8, "learning_rate": 0.001}}
CLUSTER = {"cluster": {"centroids": 16, "epochs": 5}}
QAT = {"qat": {"epochs": 5, "learning_rate": 0.0003}}
FACTORIZE = {"factorize": {"keep": 0.7, "epochs": 8}}
CHANNELS = {"channels": {"keep": 0.5, "epochs": 10}}
CHAINS: dict[str, list[Any]] = {
    "int8 alone": [],
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
}


def main(folder: Path, seeds: int, chosen: list[str]) -> None:
    print("| stages | float | int8 | zeros | values | KiB | deflated | ms |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in chosen or CHAINS:
        runs = [_run(folder, name, CHAINS[name], seed) for seed in range(seeds)]
        print(_line(name, runs), flush=True)


def _run(folder: Path, name: str, stages: list[Any], seed: int) -> Run:
    fit = _trained(folder, f"fit-{seed}", [], seed)
    if not stages:
        return fit
    return _trained(folder, f"{name.replace(', ', '-').replace(' ', '')}-{seed}", stages, seed, fit)


def _trained(folder: Path, name: str, stages: list[Any], seed: int, fit: Run | None = None) -> Run:
    path = folder / name
    if (path / "metrics.json").exists():
        return open_run(path)
    changes = [f"seed={seed}", f"compress={json.dumps(stages)}", "export=[int8]"]
    made = recipe.load(Path(RECIPE), changes)
    if fit is None:
        return conductor.start(made, name, folder)[0]
    run = open_run(path) if path.exists() else _begun(made, name, folder, fit)
    conductor.resume(run)
    return run


def _begun(made: Any, name: str, folder: Path, fit: Run) -> Run:
    """A run that has the fit of another behind it."""
    run = create(made, name, folder, made.source.load(made.image).parts)
    arrays, note = checkpoint.read(fit.weights_path(FIT))
    checkpoint.write(run.weights_path(FIT), arrays, {**note, **chain.facts(run, FIT)})
    return run


def _line(name: str, runs: list[Run]) -> str:
    rows = [{row["name"]: row for row in files.read_json(run.metrics_path)["rows"]} for run in runs]
    ends = [[row for row in each.values() if row["size_bytes"] is None][-1] for each in rows]
    weights = [weight for run in runs for weight in read(run.export_path("int8")).weights()]

    def mean(key: str) -> float:
        return float(statistics.mean(each["int8"][key] for each in rows))

    dense = [weight for weight in weights if weight.operator != "DEPTHWISE_CONV_2D"]
    values = max(weight.distinct_by_channel for weight in dense)
    tops = statistics.mean(row["top1"] for row in ends), mean("top1")
    sizes = mean("size_bytes") / 1024, mean("deflated_bytes") / 1024
    return (
        f"| {name} | {tops[0]:.4f} | {tops[1]:.4f} | {mean('zeros'):.3f} | {values} | "
        f"{sizes[0]:.0f} | {sizes[1]:.0f} | {mean('latency_ms'):.2f} |"
    )


if __name__ == "__main__":
    seeds = [int(word) for word in sys.argv[2:] if word.isdigit()]
    names = [word for word in sys.argv[2:] if not word.isdigit()]
    main(Path(sys.argv[1]), seeds[0] if seeds else 2, names)
