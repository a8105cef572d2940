"""A new part is one file: one of each kind in a copy of the project, and its tests find them."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from tflite_light.sockets import SOCKETS, names

MODEL = '''
"""Two convolutions."""

from typing import Any

from tflite_light.models import Architecture
from tflite_light.models._blocks import conv_norm, relu6
from tflite_light.stack import keras


class NewModel(Architecture):
    """Two convolutions and a mean; no paper."""

    def logits(self, image: Any, classes: int) -> Any:
        x = relu6(conv_norm(image, 8, "first", kernel=3, strides=2), "first")
        x = relu6(conv_norm(x, 16, "second", kernel=3, strides=2), "second")
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        return keras.layers.Dense(classes, name="logits")(x)
'''
WEIGHTS = '''
"""Small random numbers, by this project's names."""

import zlib
from typing import Any

from tflite_light.models import Architecture, Names
from tflite_light.stack import keras
from tflite_light.weights import Arrays, Weights


class NewWeights(Weights):
    """What the architecture starts with, each array shifted by its name."""

    def arrays(self, architecture: Architecture) -> Arrays:
        keras.utils.set_random_seed(0)
        built: Any = architecture.build((32, 32, 3), 10)
        return {
            weight.name.removesuffix(":0"): weight.numpy() + 1 + zlib.crc32(weight.name.encode()) % 6
            for weight in built.weights
        }

    def references(self, architecture: Architecture) -> dict[str, Names]:
        return {"own": {}}
'''
DATA = '''
"""Stripes, wider by class."""

from typing import Any

from tflite_light.data import Scan, Source
from tflite_light.pipeline.pictures import SPLITS, Pictures


class NewData(Source):
    """Three classes of stripes with noise."""

    def scan(self) -> Scan:
        parts = {part: self._pictures(seed) for seed, part in enumerate(SPLITS)}
        return ["narrow", "middle", "wide"], parts

    def _pictures(self, seed: int) -> Pictures:
        names = [f"stripes {seed} {number}" for number in range(30)]
        labels = [number % 3 for number in range(30)]
        return Pictures(names, labels, lambda index: _draw(labels[index], seed * 30 + index))


def _draw(label: int, number: int) -> Any:
    import numpy as np

    stripes = np.arange(40) // 2 ** (label + 1) % 2 * 100
    noise = np.random.default_rng(number).normal(60, 10, (40, 40, 3))
    return (stripes[:, None, None] + noise).clip(0, 255).astype(np.uint8)
'''
STAGE = '''
"""Training on, with nothing changed."""

from typing import Any

from tflite_light.compress import Plan, Stage
from tflite_light.stack import keras


class NewStage(Stage):
    """A copy that trains on."""

    def plan(self, model: Any, data: Any) -> Plan:
        return {"layers": len(model.layers)}

    def wrap(self, model: Any, plan: Plan, steps: int) -> Any:
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        return copy
'''
MODE = '''
"""Weights in 16 bits."""

from typing import Any, ClassVar

from tflite_light.export import Mode
from tflite_light.graph.convert import convert, converter_for
from tflite_light.stack import tf


class NewMode(Mode):
    """Weights rounded to float16, computed in float32."""

    logit_error: ClassVar[float] = 5e-3
    agreement: ClassVar[float] = 0.99
    size_ratio: ClassVar[float] = 0.6

    def convert(self, model: Any, examples: Any) -> bytes:
        converter = converter_for(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        return convert(converter)
'''
COMMAND = '''
"""`tflite-light new_command`"""

import click

from tflite_light.commands._options import reports


@click.command()
@reports
def command() -> dict[str, str]:
    """Greet."""
    click.echo("hello")
    return {"greeting": "hello"}
'''
RECIPE = """
model: new_model
data: new_data
image: {size: 32}
train: {epochs: 2, batch_size: 8, warmup_epochs: 0}
compress: [new_stage, prune, qat]
export: [new_mode, int8]
"""
FILES = {
    "models/new_model.py": MODEL,
    "weights/new_weights.py": WEIGHTS,
    "data/new_data.py": DATA,
    "compress/new_stage.py": STAGE,
    "export/new_mode.py": MODE,
    "commands/new_command.py": COMMAND,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with a new part of each socket, and a new command."""
    folder = tmp_path_factory.mktemp("project")
    for part in ("tflite_light", "tests", "recipes", "docs", "README.md", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, folder / part)
    for name, content in FILES.items():
        (folder / "tflite_light" / name).write_text(content.lstrip())
    return folder


def run(project: Path, module: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_one_new_file_of_each_kind_is_known_and_tested(project: Path) -> None:
    tests = [str(path) for path in sorted((project / "tests").glob("test_every_*.py"))]
    options = ["-v", "-m", "not slow", "-p", "no:cacheprovider", "-k", "new_ or list or help"]
    told = run(project, "pytest", *options, *tests, str(project / "tests" / "test_cli.py"))
    for name in FILES:  # commands are typed with hyphens
        assert Path(name).stem in told.replace("new-command", "new_command"), name


def test_new_parts_train_together_from_a_recipe(project: Path) -> None:
    (project / "new.yaml").write_text(RECIPE)
    cost = json.loads(run(project, "tflite_light", "inspect", "new.yaml", "--json"))
    assert cost["parameters"] == (27 * 8 + 2 * 8) + (72 * 16 + 2 * 16) + (16 * 3 + 3)
    report = json.loads(run(project, "tflite_light", "train", "new.yaml", "--json"))
    assert [row["name"] for row in report["rows"]] == [
        "fit", "new_stage", "prune", "qat", "new_mode", "int8",
    ]  # fmt: skip
    assert report["rows"][-1]["zeros"] >= 0.5


@pytest.mark.parametrize("socket", SOCKETS)
def test_no_part_has_a_name_that_its_contract_page_uses(socket: str) -> None:
    """Python puts an imported part into its folder's namespace: `keras.py` there was Keras."""
    page = ast.parse((ROOT / "tflite_light" / socket / "__init__.py").read_text())
    bound = {
        alias.asname or alias.name
        for node in ast.walk(page)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not bound & set(names(socket))
