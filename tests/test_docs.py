"""The documents say what the command line, the package and the Makefile have."""

import re
from pathlib import Path

import click
import pytest
from conftest import ROOT

from tflite_light import recipe as recipes
from tflite_light.cli import main
from tflite_light.contract.image import Image
from tflite_light.contract.values import MINOR, Contract, Flatbuffer, Tensor
from tflite_light.sockets import SOCKETS, names

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("recipes/**/*.md")])
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
CONTEXT = click.Context(main)
COMMANDS = {name: main.get_command(CONTEXT, name) for name in main.list_commands(CONTEXT)}


def uses(text: str) -> list[tuple[str, list[str]]]:
    """Each command that a text types, with its options."""
    lines = re.findall(r"tflite-light ([a-z]+(?:-[a-z]+)*)((?: [^\n`#]*)?)", text)
    return [(name, re.findall(r"(?<![\w-])--[a-z][\w-]*", rest)) for name, rest in lines]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_type_commands_and_options_that_exist(path: Path) -> None:
    for name, options in uses(path.read_text()):
        command = COMMANDS.get(name)
        assert command, f"tflite-light {name}"
        below = command.commands.values() if isinstance(command, click.Group) else ()
        parameters = [one for each in (command, *below) for one in each.params]
        known = {text for parameter in parameters for text in parameter.opts} | {"--help"}
        assert set(options) <= known, f"tflite-light {name}"


def test_the_readme_lists_every_command() -> None:
    listed = README.partition("## Use")[2].partition("\n## ")[0]
    assert {name for name, _ in uses(listed)} == set(COMMANDS)


def test_the_readme_s_structure_is_the_package_s() -> None:
    rooms = {path.parent.name for path in (ROOT / "tflite_light").glob("*/__init__.py")}
    table = CONTRIBUTING.partition("## Rooms")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(\w+)/`", table)) == rooms
    assert set(SOCKETS) <= rooms


def test_the_readme_s_recipe_is_right(tmp_path: Path) -> None:
    text = README.partition("## A recipe")[2].partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "my.yaml").write_text(text)
    assert recipes.load(tmp_path / "my.yaml").model.key in names("models")


def test_make_s_targets_that_are_named_exist() -> None:
    made = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for path in DOCUMENTS
        for words in re.findall(r"\bmake ((?:[a-z]+ )*[a-z]+)`", path.read_text())
        for target in words.split()
    }
    assert {"demo", "test", "check"} <= named | {"demo"}
    assert named <= made


def test_the_contract_s_page_has_its_keys() -> None:
    """So that a key that comes is said there."""
    page = (ROOT / "docs" / "contract.md").read_text()
    first = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(first))) == Contract.model_fields.keys()
    for below in (Flatbuffer, Image, Tensor):
        assert all(re.search(rf"`{key}\b", page) for key in below.model_fields), below
    assert f"| {Contract.model_fields['version'].default} and {MINOR}." in page
