"""The JSON schema for editors takes what the kit takes, and refuses what it refuses."""

import json
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest
from conftest import ROOT, as_json, invoke, networks
from ruamel.yaml import YAML

from tflite_light import recipe as recipes
from tflite_light.errors import UserError
from tflite_light.recipe.schema import schema
from tflite_light.sockets import names

RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))
RIGHT = "model: {squeezenet: {version: 1.0}}\ndata: {tfds: {name: x}}\ntrain: {schedule: {factor: 0.9, every_epochs: 2}}"
WRONG = {
    "model: {tiny: {widht: 3}}\nclasses: 2": "data.model",
    "model: tinny\nclasses: 2": "data.model",
    "model: tiny\ndata: directory\ntrain: {}": "data.data",
    "model: tiny\nclasses: 2\nseeed: 1": "data must not contain",
    "model: tiny\nclasses: 2\nimage: {size: 16}": "data.image.size",
    "model: tiny\nclasses: 2\nimage: {mean: red}": "data.image.mean",
    "classes: 2": "data must contain",
}


@pytest.fixture(scope="module")
def check() -> Any:
    return fastjsonschema.compile(schema())


def parsed(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def test_it_takes_every_recipe_as_written_and_as_resolved(check: Any, tmp_path: Path) -> None:
    for path in RECIPES:
        check(parsed(path.read_text()))
        check(recipes.load(path).model_dump(mode="json"))
    check(parsed(RIGHT))


@pytest.mark.parametrize("text", WRONG)
def test_it_refuses_what_the_kit_refuses(check: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "my.yaml").write_text(text)
    with pytest.raises(UserError):
        recipes.load(tmp_path / "my.yaml")
    with pytest.raises(fastjsonschema.JsonSchemaValueException, match=WRONG[text]):
        check(parsed(text))


def test_list_prints_it_with_every_part() -> None:
    printed = invoke("list", "--schema")
    assert json.loads(printed.stdout) == as_json(invoke("list", "--schema", "--json")) == schema()
    kinds = schema()["properties"]["model"]["anyOf"]
    assert kinds[0]["enum"] == networks()  # the others need fields
    assert kinds[1] == {"type": "string", "pattern": r"\.py$"}
    assert sorted(kinds[2]["properties"]) == names("models")
