"""What a teacher is worth: MobileNetV2 0.35 on a tenth of the hand signs, alone and taught.

    python benchmarks/distillation.py mobilenet_v2_1.0_224.npz FOLDER [SEEDS]

The teacher is MobileNetV2 1.0, fine-tuned on all 1,457 training photographs from the ImageNet
weights in the first argument. Students see 149 of them, and are measured on the same 383 held back.
What FOLDER already has is not trained again, so that a stopped benchmark goes on.
"""

import statistics
import sys
from pathlib import Path

import tflite_light
from tflite_light import files
from tflite_light.data.sign_digits import SignDigits
from tflite_light.pipeline.pictures import SPLITS
from tflite_light.progress import say
from tflite_light.runs.folder import Run

EVERY = 10  # of the photographs that students are trained and validated on, one is kept
TEACHER = """
model: {{mobilenet_v2: {{alpha: 1.0}}}}
weights: {{npz: {{path: {weights}}}}}
data: sign_digits
image: {{size: 96, mean: 127.5, std: 127.5}}
augment: {{translate: 0.1, rotate: 15, zoom: 0.1, contrast: 0.2}}
train: {{epochs: 3, learning_rate: 0.001, warmup_epochs: 0.5, freeze: {{epochs: 1}}}}
export: [float32]
"""
STUDENT = """
model: {{mobilenet_v2: {{alpha: 0.35}}}}
data: {{directory: {{path: {photographs}}}}}
image: {{size: 96}}
augment: {{translate: 0.1, rotate: 15, zoom: 0.1, contrast: 0.2}}
train: {{epochs: 80, batch_size: 16, learning_rate: 0.004, weight_decay: 0.001}}
export: [float32]
"""
WAYS = {
    "alone": [],
    "kd": ["distil.loss=kd"],
    "features": ["distil.loss=kd", "distil.features=10"],
    "dist": ["distil.loss=dist"],
}


def main() -> None:
    weights, folder = Path(sys.argv[1]), Path(sys.argv[2])
    seeds = range(int(sys.argv[3]) if len(sys.argv) > 3 else 3)
    photographs = folder / "photographs"
    write_photographs(photographs)
    files.write(folder / "teacher.yaml", TEACHER.format(weights=weights.absolute()))
    files.write(folder / "student.yaml", STUDENT.format(photographs=photographs.absolute()))
    teacher, _, _ = measured(folder, "teacher", "teacher", [])
    print(f"teacher, on {EVERY} times the photographs: {teacher:.4f}")
    for way, changes in WAYS.items():
        taught = [f"distil.teacher={folder / 'runs' / 'teacher'}", *changes] if changes else []
        runs = [
            measured(folder, "student", f"{way}{seed}", [*taught, f"seed={seed}"]) for seed in seeds
        ]
        found = [top1 for top1, _, _ in runs]
        spent = statistics.mean(seconds for _, seconds, _ in runs)
        each = ", ".join(f"{top1:.4f}" for top1 in found)
        print(f"{way}: {statistics.mean(found):.4f} ({each}), {spent:.0f} s", flush=True)


def write_photographs(folder: Path) -> None:
    """The photographs as a divided folder, of each class one in EVERY but for `test`."""
    source = SignDigits()
    for part in SPLITS:
        pictures = source.split(part)
        for label, name in enumerate(source.classes()):
            mine = [index for index, found in enumerate(pictures.labels) if found == label]
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            for index in mine[:: 1 if part == "test" else EVERY]:
                content = pictures.read(index)
                assert isinstance(content, bytes)
                files.write(folder / part / name / Path(pictures.names[index]).name, content)


def measured(folder: Path, recipe: str, name: str, changes: list[str]) -> tuple[float, float, Run]:
    """Top-1 and training seconds of a recipe's network, trained unless its run is there."""
    where = folder / "runs" / name
    if (where / "metrics.json").exists():
        run = tflite_light.open_run(where)
        metrics = files.read_json(run.metrics_path)
        (row,) = [row for row in metrics["rows"] if row["name"] == "fit"]
        return row["top1"], row["seconds"], run
    say(f"training {where}")
    loaded = tflite_light.load_recipe(folder / f"{recipe}.yaml", changes)
    run, rows = tflite_light.train(loaded, name, folder / "runs")
    (found,) = [row for row in rows if row.name == "fit"]
    assert found.top1 is not None
    assert found.seconds is not None
    return found.top1, found.seconds, run


if __name__ == "__main__":
    main()
