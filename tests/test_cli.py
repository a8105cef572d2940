"""The command line: instant where nothing is computed, and plain about mistakes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Call, as_json, complaint, tflite_light

from tflite_light.cli import explained, main
from tflite_light.sockets import SOCKETS

HEAVY = ("tensorflow", "tf_keras", "keras_cv", "tensorflow_model_optimization", "numpy", "PIL")
COMMANDS = main.list_commands(None)  # type: ignore[arg-type]
INSTANT = [
    ["--help"],
    ["check", str(ROOT / "recipes" / "mobilenet_v2.yaml")],
    ["list"],
    ["list", "models", "--json"],
    *([command, "--help"] for command in COMMANDS),
]


@pytest.mark.parametrize("arguments", INSTANT, ids=" ".join)
def test_instant_commands_load_no_heavy_module(arguments: list[str]) -> None:
    code = (
        "import sys; from tflite_light.cli import main; main(sys.argv[1:], standalone_mode=False);"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr == "[]\n"


def test_list_shows_types_ranges_and_defaults(call: Call) -> None:
    alpha = as_json(call("list", "models", "--json"))["models"]["mobilenet_v2"]["fields"]["alpha"]
    assert (alpha["type"], alpha["range"], alpha["default"]) == ("number", ">= 0.1, <= 4", 1.0)
    path = as_json(call("list", "data", "--json"))["data"]["directory"]["fields"]["path"]
    assert path["default"] == "required"


def test_list_shows_every_section_of_a_recipe_and_describes_every_field(call: Call) -> None:
    topics = as_json(call("list", "--json"))
    assert set(topics["recipe"]) == {
        *("recipe", "image", "augment", "train", "freeze", "stairs", "distil")
    }
    fields = topics["recipe"]["recipe"]["fields"]
    assert fields["model"]["type"].split() == sorted(topics["models"])
    assert fields["compress"]["type"] == " ".join(["list of", *sorted(topics["compress"])])
    assert topics["recipe"]["train"]["fields"]["schedule"]["type"] == "cosine linear or stairs"
    undescribed = [
        f"{topic}.{name}.{field}"
        for topic, parts in topics.items()
        for name, part in parts.items()
        for field, about in part["fields"].items()
        if not (part["summary"] and about["description"])
    ]
    assert undescribed == []


def test_a_full_device_is_named() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tflite_light", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot use the disk or device that is written to: No spa")


def test_closed_streams_stop_nothing() -> None:
    command = f"exec '{sys.executable}' -m tflite_light list"
    for closing, lines in (("2>&-", True), (">&- 2>&-", False), ("<&- 2>&-", True)):
        done = subprocess.run(["sh", "-c", f"{command} {closing}"], capture_output=True, cwd=ROOT)
        assert (done.returncode, bool(done.stdout), done.stderr) == (0, lines, b"")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_what_a_terminal_cannot_show_is_escaped(tiny: Path, encoding: str) -> None:
    terminal = {**os.environ, "PYTHONIOENCODING": encoding}
    done = tflite_light("check", tiny, "--set", "model=вишня", env=terminal)
    assert done.returncode == 2
    assert r"model.\u0432\u0438\u0448\u043d\u044f: unknown name" in done.stderr


def test_check_prints_the_recipe_with_all_defaults(call: Call, tiny: Path) -> None:
    resolved = as_json(call("check", tiny, "--set", "train.epochs=7", "--json"))
    assert resolved["train"]["epochs"] == 7
    assert resolved["model"] == {"tiny": {"width": 4}}


def test_json_is_alone_on_stdout(call: Call, tiny: Path) -> None:
    result = call("list", "--json")
    assert set(json.loads(result.stdout)) == {"recipe", *SOCKETS}
    assert result.stdout.count("\n") == 1


BAD_CALLS = [
    (["train", "none.yaml"], "recipe none.yaml does not exist"),
    (["export", "--int8"], "no run in runs yet.\nhint: Make one: `tflite-light train"),
    (["export", "nowhere", "--int8"], "nowhere does not exist"),
    (["export", str(ROOT), "--int8"], "is not a run: it has no recipe.yaml"),
    (["evaluate", "none.tflite"], "none.tflite does not exist"),
    (["evaluate", "none.tflite", "--data", "x"], "none.tflite does not exist"),
    (["evaluate", str(ROOT / "README.md")], "missing option `--data`"),
    (["predict", "none.tflite", "x.jpg"], "none.tflite cannot be read"),
    (["verify", "none.tflite"], "none.tflite cannot be read"),
    (["inspect", "none.tflite"], "none.tflite does not exist"),
    (["compare", "none.yaml"], "recipe none.yaml does not exist"),
    (["check", "none.yaml"], "recipe none.yaml does not exist"),
]


def test_a_file_to_export_is_a_recipe(call: Call, tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(b"PK")
    message = complaint(call("export", "net.pth", "--out", "app"))
    assert (
        "net.pth is neither the folder of a run nor a recipe (.yaml).\nhint: Weights are" in message
    )


@pytest.mark.parametrize(("arguments", "message"), BAD_CALLS, ids=lambda value: str(value)[:40])
def test_missing_things_are_named(call: Call, arguments: list[str], message: str) -> None:
    assert message in complaint(call(*arguments))
    assert list(Path().iterdir()) == []


def test_a_file_without_rights_is_named_with_what_to_do() -> None:
    found = explained(PermissionError(13, "Permission denied", "runs/tiny/.lock"))
    assert found
    assert found.problem == "cannot use runs/tiny/.lock: Permission denied."
    assert found.hint == "Give yourself the right to read and write there, or work on a copy."


def test_an_empty_path_is_not_the_working_folder(call: Call, tiny: Path) -> None:
    """As of a variable that is not set."""
    hint = "hint: Is it of a variable that is not set? The folder where you are is `.`.\n"
    for option in (["--runs", ""], ["--runs="]):
        told = complaint(call("train", tiny, "--set", "seed=", *option))
        assert told == f"`--runs` is empty.\n{hint}"
    assert complaint(call("check", "")) == f"`RECIPE` is empty.\n{hint}"
    assert complaint(call("compare", tiny, "")).endswith(f" is empty.\n{hint}")
    assert complaint(call("predict", tiny, "a.png", "")) == f"`PICTURE...` is empty.\n{hint}"
    assert complaint(call("runs", "show", "")) == f"`NAME` is empty.\n{hint}"
    assert complaint(call("runs", "delete", "a", "")) == f"`NAME...` is empty.\n{hint}"
    assert complaint(call("runs", "rename", "", "a")) == f"`OLD` is empty.\n{hint}"
    assert "the folder's name is empty." in complaint(call("pack-data", tiny, "-o", ""))
    assert [path.name for path in tiny.parent.iterdir()] == ["tiny.yaml"]


def test_an_option_of_one_value_is_given_once(call: Call, tiny: Path) -> None:
    """The last was taken, and the others never said."""
    told = complaint(call("show", tiny, "-o", "a.png", "-ob.png"))
    assert told == "`-o` is given more than once.\nhint: It takes one: leave out others.\n"
    told = complaint(call("train", tiny, "--runs", "a", "--runs=b"))
    assert told.startswith("`--runs` is given more than once.")
    Path("kept").mkdir()
    for twice in (("--runs", ""), ("--runs", "a", "--runs", "b")):
        complaint(call("runs", "delete", "kept", "--yes", *twice))
    assert Path("kept").is_dir()
    asked = ("--set", "seed=1", "--set", "train.epochs=2", "--json", "--json")
    assert call("check", tiny, *asked).exit_code == 0
