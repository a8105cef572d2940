"""The Python API: its page runs as written, and importing it costs nothing."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

import tflite_light
from tflite_light.data._examples import write_photographs

PAGE = (ROOT / "docs" / "api.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
RECIPE = """
model: {tiny: {width: 4}}
data: {directory: {path: photos}}
image: {size: 32}
train: {epochs: 9, batch_size: 8}
"""
IMPORT = "model: {tiny: {width: 4}}\nclasses: 3\nimage: {size: 32}\n"


def test_the_page_runs_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_photographs(tmp_path / "photos", classes=3, each=20)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "import.yaml").write_text(IMPORT)
    picture = next((tmp_path / "photos" / "sign2").iterdir())
    (tmp_path / "photo.jpg").write_bytes(picture.read_bytes())
    here: dict[str, Any] = {}
    for example in EXAMPLES:
        exec(compile(example, "docs/api.md", "exec"), here)
    assert [row.name for row in here["rows"]] == ["fit", "int8"]
    assert list(here["files"]) == [Path("app/import_float32.tflite")]
    assert Path("app/signs_int8.tflite").stat().st_size == here["row"].size_bytes
    assert here["said"].none_of_these is None  # 9 validation pictures set no threshold
    assert sum(answer.probability for answer in here["said"].answers) == pytest.approx(1)
    assert here["found"].failed == []
    assert here["run"].classes == ["sign0", "sign1", "sign2"]
    assert here["run"].recipe.training.epochs == 2
    (said,) = here["predictor"].predict_files("photo.jpg")
    assert said.answers[0].label == here["said"].answers[0].label
    exported = tflite_light.export_run("runs/signs", "float32", out="one")
    assert list(exported) == [Path("one/signs_float32.tflite")]
    (compared,) = tflite_light.compare("one/signs_float32.tflite", data="photos")
    assert compared.row.agreement is None
    lines = capsys.readouterr().out.splitlines()
    assert "  train.epoch: unknown name, did you mean epochs?" in lines


def test_the_page_names_all_that_is_public() -> None:
    missing = [name for name in tflite_light.__all__ if name not in PAGE]
    assert missing == []
    assert set(dir(tflite_light)) >= set(tflite_light.__all__)
    assert all(getattr(tflite_light, name) for name in tflite_light.__all__)
    with pytest.raises(AttributeError, match="module 'tflite_light' has no attribute 'nothing'"):
        tflite_light.nothing  # noqa: B018


def test_what_is_not_there_is_said_whatever_it_is_given_as(tmp_path: Path) -> None:
    """They were an IndexError, AttributeErrors, and the letters of names."""
    path = str(tmp_path / "nothing")
    for call in (tflite_light.evaluate_run, tflite_light.export_run, tflite_light.resume):
        with pytest.raises(tflite_light.UserError, match="nothing does not exist"):
            call(path)
    with pytest.raises(tflite_light.UserError, match=r"recipe .*nothing does not exist"):
        tflite_light.train(path)
    with pytest.raises(tflite_light.UserError, match="there is nothing to compare"):
        tflite_light.compare([])
    with pytest.raises(tflite_light.UserError, match=r"pictures of .*nothing are not known"):
        tflite_light.compare(path)
    with pytest.raises(tflite_light.UserError, match=r"train\.epoch: unknown name"):
        tflite_light.load_recipe("mobilenet_v2", "train.epoch=2")
    with pytest.raises(tflite_light.UserError, match="there is no mode int9"):
        tflite_light.load_recipe("mobilenet_v2").modes("int9")


def test_importing_the_kit_loads_nothing_else() -> None:
    """But what `typing` loads of the standard library."""
    code = "import sys; before = set(sys.modules); import tflite_light; "
    code += "new = set(sys.modules) - before; own = sys.stdlib_module_names; "
    code += "print(sorted(name for name in new if name.partition('.')[0] not in own))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['tflite_light']\n"
