"""What several tests need: photographs on disk, small recipes, and the command line."""

import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from click.testing import CliRunner, Result
from PIL import Image as Pillow

from tflite_light.android import key
from tflite_light.cli import main
from tflite_light.contract import Image
from tflite_light.data._examples import write_photographs
from tflite_light.data._split import THREE
from tflite_light.data.sign_digits import SignDigits
from tflite_light.pipeline.examples import Examples
from tflite_light.pipeline.pictures import Split
from tflite_light.sockets import load, names

ROOT = Path(__file__).parents[1]
TINY = """
model: {tiny: {width: 4}}
data: {synthetic: {count: 120, number_of_classes: 3, side: 40}}
image: {size: 32}
augment: {translate: 0.1, contrast: 0.2}
train: {epochs: 3, batch_size: 8, learning_rate: 0.01, warmup_epochs: 1}
compress:
  - prune: {sparsity: 0.5, epochs: 2}
  - qat: {epochs: 2}
export: [float32, int8]
"""


def networks() -> list[str]:
    """The architectures that the package brings, all but the one that reads a user's file."""
    return [name for name in names("models") if not load("models", name).brings_weights]


def split_of(content: bytes) -> Split:
    """The part a picture belongs to by its bytes alone."""
    return THREE.part(hashlib.sha256(content).digest())


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A recipe that goes through every phase in seconds."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with three classes of 20 real photographs each."""
    return write_photographs(tmp_path / "photos", classes=3, each=20)


@pytest.fixture(scope="session")
def examples() -> Examples:
    """The hand signs that are trained on, 32 px."""
    return SignDigits().load(Image(size=32)).train


@pytest.fixture(scope="session")
def batch(examples: Examples) -> Any:
    """The first 200 of them, as a model takes them."""
    return np.concatenate(list(examples.inputs(range(200))))


Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """The command line in a folder of its own: call("check", recipe)."""
    monkeypatch.chdir(tmp_path)
    return invoke


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def as_json(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def as_lines(result: Result) -> list[Any]:
    """Of a command that prints a JSON object a line."""
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def unpack(content: bytes) -> Any:
    """A `.tflite` as the records of its schema, to be changed."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))


def pack(record: Any) -> bytes:
    """The bytes of a changed model."""
    builder = flatbuffers.Builder()
    builder.Finish(record.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def complaint(result: Result) -> str:
    """The message on bad input: on stderr alone, by exit code 2, not as a traceback."""
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    assert result.stdout == ""
    progress, error, message = result.stderr.partition("error: ")
    assert error, result.stderr
    assert progress == "" or progress.endswith("\n")
    return message


def tflite_light(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command line as a process of its own."""
    command = [sys.executable, "-m", "tflite_light", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def photograph() -> Any:
    content = SignDigits().split("test").read(0)
    assert isinstance(content, bytes)
    return Pillow.open(io.BytesIO(content)).resize((60, 40))


def encoded(picture: Any, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


SIGNS = """
model: {tiny: {width: 8}}
labels: labels.txt
data: {synthetic: {count: 60, number_of_classes: 3, side: 40}}
image: {size: 32}
export: [float32, int8]
"""


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an exported network, `app/signs_int8.tflite`, and a key; tests only read it."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "labels.txt").write_text("pattern0\npattern1\npattern2\n")
    (folder / "signs.yaml").write_text(SIGNS.replace("labels.txt", str(folder / "labels.txt")))
    as_json(invoke("export", folder / "signs.yaml", "--out", folder / "app", "--json"))
    key.own(folder / "key.pem")
    return folder


@pytest.fixture
def model(home: Path) -> Path:
    return home / "app" / "signs_int8.tflite"
