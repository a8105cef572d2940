"""Recipes of any content: read or refused, never a traceback; what was read is written and read."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tflite_light import recipe as recipes
from tflite_light.errors import UserError

FINE_TUNED = """
model: {mobilenet_v2: {alpha: 1.0}}
weights: {torch: {path: weights.pth}}
data: {tfrecord: {train: train-*, val: val-*, test: test-*, labels: labels.txt}}
image: {size: 96, resize: stretch, mean: [1.5, 2, 3], std: 127.5, filter: box}
augment: {flip: horizontal, mixup: 0.2}
train: {schedule: {factor: 0.9, every_epochs: 2}, freeze: {epochs: 1}, patience: 3}
distil: {teacher: runs/large, loss: kd, temperature: 3}
compress: [prune, {qat: {epochs: 2}}]
"""
IMPORT = """
model: mobilenet_v2
weights: {npz: {path: mobilenet.npz}}
labels: labels.txt
data: {pictures: {path: photos}}
export: [float32, {int8: {io: int8}}]
"""
FILES = [path.read_text() for path in sorted((ROOT / "recipes").rglob("*.yaml"))]
BASES = [TINY, FINE_TUNED, IMPORT, *FILES]
JUNK: list[Any] = [
    None,
    True,
    0,
    -1,
    2**70,
    1e308,
    -0.0,
    float("nan"),
    "",
    "?",
    "\u0085",
    [],
    {},
    [[]],
    [{}],
]
SYNTAX = [
    *"{}[],:#&*!|>'\"%@`?-~=",
    "\n",
    "  ",
    "\t",
    "---",
    "<<: ",
    "? ",
    "&a ",
    "*a",
    "!!int ",
    "!!timestamp ",
    "!!omap ",
    "!!binary ",
    "\0",
]

names = st.text(st.characters(codec="utf-8"), min_size=1)
rates = st.floats(1e-300, 10, exclude_max=True)


@st.composite
def mutated_texts(draw: Any) -> str:
    """A recipe with some of its text replaced by YAML's own signs, or by anything."""
    text = draw(st.sampled_from(BASES))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 12))
        text = text[:start] + draw(st.sampled_from(SYNTAX) | st.text(max_size=5)) + text[end:]
    return str(text.encode("utf-8", "replace").decode())


@st.composite
def mutated_values(draw: Any) -> str:
    """A recipe with one of its values replaced by one of another kind, or under another name."""
    value = holder = YAML(typ="safe", pure=True).load(draw(st.sampled_from(BASES)))
    while True:
        key = draw(
            st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder)))
        )
        deeper = isinstance(holder[key], dict | list) and holder[key]
        if not (deeper and draw(st.booleans())):
            break
        holder = holder[key]
    new = draw(st.sampled_from(JUNK) | st.text() | st.integers() | st.floats())
    if isinstance(holder, dict) and draw(st.booleans()):
        holder[draw(st.sampled_from(JUNK[:11]) | st.text())] = holder.pop(key)
    else:
        holder[key] = copy.deepcopy(new)
    return _dumped(value)


def _dumped(value: Any) -> str:
    return json.dumps(value).replace("NaN", ".nan").replace("Infinity", ".inf")


def mutated() -> Any:
    return mutated_texts() | mutated_values()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recipes") / "my.yaml"


def _loaded(path: Path, text: str, *changes: str) -> recipes.Recipe | None:
    path.write_bytes(text.encode())
    try:
        return recipes.load(path, changes)
    except UserError:
        return None


def _require_equal_again(path: Path, recipe: recipes.Recipe | None) -> None:
    if recipe:
        assert _loaded(path, recipes.to_yaml(recipe)) == recipe


@given(names, names, rates, rates, st.integers(0, 2**31 - 1))
@settings(max_examples=100, deadline=None)
def test_any_recipe_loads_back_equal(
    path: Path, folder: str, weights: str, rate: float, momentum: float, seed: int
) -> None:
    value = {
        "model": "tiny",
        "data": {"directory": {"path": folder}},
        "weights": {"npz": {"path": weights}},
        "train": {"learning_rate": rate, "batch_norm_momentum": momentum / 10},
        "image": {"mean": [1 + rate, -1 - momentum, 1 + seed % 25_000 / 3]},
        "seed": seed,
    }
    recipe = recipes.Recipe.model_validate(value)
    assert _loaded(path, recipes.to_yaml(recipe)) == recipe


@pytest.mark.parametrize(
    "name", ["?unsorted", ":tmp", "next\u0085line", "a  b" * 50, "1e3", "\u2028"]
)
def test_names_that_yaml_reads_otherwise_load_back_equal(path: Path, name: str) -> None:
    value = {"model": "tiny", "classes": 2, "data": {"pictures": {"path": name}}}
    recipe = recipes.Recipe.model_validate(value)
    assert _loaded(path, recipes.to_yaml(recipe)) == recipe


@given(mutated())
@settings(max_examples=50, deadline=5000)
def test_a_mutated_recipe_is_refused_or_loads_back_equal(path: Path, text: str) -> None:
    _require_equal_again(path, _loaded(path, text))


@given(st.text() | st.sampled_from(["compress.0.prune=", "data.csv.path=", "model="]), st.text())
@settings(max_examples=50, deadline=5000)
def test_any_change_is_refused_or_made(path: Path, place: str, value: str) -> None:
    _require_equal_again(path, _loaded(path, TINY, place + value))


@pytest.mark.slow
@given(mutated())
@settings(max_examples=5_000, deadline=5000)
def test_mutated_recipes_are_refused_or_load_back_equal(path: Path, text: str) -> None:
    _require_equal_again(path, _loaded(path, text))
