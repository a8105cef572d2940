"""Parts outside the package: the page's examples train, a run keeps them, mistakes have places."""

import json
import os
import re
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Call, as_json, complaint, encoded, invoke
from PIL import Image as Pillow

from tflite_light import own
from tflite_light import recipe as recipes
from tflite_light.contract import Image
from tflite_light.data import ALL, Scan, Source
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import Pictures
from tflite_light.sockets import SOCKETS
from tflite_light.stack import tf

PAGE = (ROOT / "docs" / "own.md").read_text()
RECIPE = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1]  # type: ignore[index]
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))
NET = FILES["my_net.py"]
SMALL = "model: {./my_net.py: {width: 4}}\nclasses: 3\nimage: {size: 32}\nexport: [float32]\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, its name as people give them, with the page's parts and a run of its recipe.

    The parts have gone since; the tests only read the run.
    """
    folder = tmp_path_factory.mktemp("own") / "Zoës parts"
    (folder / "elsewhere").mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).write_text(content)
    (folder / "mine.yaml").write_text(RECIPE)
    before = Path.cwd()
    os.chdir(folder / "elsewhere")  # a path is relative to the recipe
    try:
        report = as_json(invoke("train", "../mine.yaml", "--json"))
    finally:
        os.chdir(before)
    assert [row["name"] for row in report["rows"]] == [
        "fit", "my_stage", "qat", "my_mode", "int8",
    ]  # fmt: skip
    for name in FILES:
        (folder / name).unlink()
    return folder / "elsewhere" / "runs" / "mine"


def write(folder: Path, recipe: str = SMALL, **parts: str) -> Path:
    for name, content in parts.items():
        (folder / f"{name}.py").write_text(content)
    (folder / "mine.yaml").write_text(recipe)
    return folder / "mine.yaml"


def test_the_page_has_an_example_of_each_kind() -> None:
    assert len(FILES) == len(SOCKETS) == 5


def test_a_run_keeps_its_parts_with_their_digests(home: Path) -> None:
    recorded = json.loads((home / "environment.json").read_text())["parts"]
    assert recorded == {name: sha256(text.encode()).hexdigest() for name, text in FILES.items()}
    assert {name: (home / name).read_text() for name in FILES} == FILES


def test_a_run_is_measured_and_exported_when_its_parts_are_gone(home: Path, call: Call) -> None:
    rows = as_json(call("evaluate", home, "--json"))["rows"]
    assert [row["name"] for row in rows] == ["fit", "my_stage", "qat", "my_mode", "int8"]
    as_json(call("export", home, "--out", "app", "--json"))
    again = Path("app/mine_my_mode.tflite").read_bytes()
    assert again == (home / "exports" / "my_mode.tflite").read_bytes()
    assert as_json(call("inspect", home, "--json"))["parameters"] > 0


def test_a_run_goes_on_with_its_copies(home: Path, call: Call) -> None:
    shutil.copytree(home, "runs/mine")
    for path in ("metrics.json", "checkpoints/qat.npz"):
        Path("runs/mine", path).unlink()
    report = as_json(call("train", "runs/mine", "--resume", "--json"))
    assert report["rows"][0]["top1"] is not None
    whole = json.loads((home / "metrics.json").read_text())
    assert [row["sha256"] for row in report["rows"]] == [row["sha256"] for row in whole["rows"]]


def test_a_part_that_changed_is_named_with_both_digests(home: Path, call: Call) -> None:
    shutil.copytree(home, "runs/mine")
    Path("runs/mine/metrics.json").unlink()
    recipe = write(Path.cwd(), RECIPE, **{Path(name).stem: FILES[name] for name in FILES})
    changed = FILES["my_stage.py"] + "\n# changed\n"
    Path("my_stage.py").write_text(changed)
    digests = [sha256(one.encode()).hexdigest() for one in (FILES["my_stage.py"], changed)]
    named = f"another my_stage.py (SHA-256 {digests[0]} then, {digests[1]} now).\n"
    message = complaint(call("train", recipe, "--resume"))
    assert message.startswith(f"runs/mine was started with {named}")
    assert "hint: Go on with its own: `tflite-light train runs/mine --resume`" in message
    Path("runs/mine/my_stage.py").write_text(changed)
    for command in (["evaluate"], ["export"], ["train", "--resume"]):
        message = complaint(call(command[0], "runs/mine", *command[1:]))
        assert message.startswith(f"runs/mine was begun with {named}")
    Path("runs/mine/my_stage.py").unlink()
    assert "my_stage.py does not exist" in complaint(call("evaluate", "runs/mine"))


def test_a_check_shows_where_a_part_is_and_loads_back_equal(call: Call, tmp_path: Path) -> None:
    recipe = write(tmp_path, my_net=NET)
    assert str(tmp_path / "my_net.py") in as_json(call("check", recipe, "--json"))["model"]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "again.yaml").write_text(recipes.to_yaml(recipes.load(recipe)))
    assert recipes.load(tmp_path / "sub" / "again.yaml") == recipes.load(recipe)


def test_set_names_a_part_by_its_file_and_a_path_by_where_it_is_typed(
    call: Call, tmp_path: Path
) -> None:
    recipe = write(tmp_path, my_net=NET)
    (tmp_path / "elsewhere").mkdir()
    os.chdir(tmp_path / "elsewhere")
    shutil.copy("../my_net.py", "other.py")

    def model(*changes: str) -> dict[str, object]:
        found: dict[str, object] = recipes.load(recipe, changes).model_dump(mode="json")["model"]
        return found

    assert model("model.my_net.width=7") == {"my_net.py": {"width": 7}}
    assert model("model=./other.py") == {"other.py": {"width": 8}}
    assert model("model=../my_net.py", "model.my_net.width=6") == {"my_net.py": {"width": 6}}
    assert "does not exist" in complaint(call("check", recipe, "--set=model=my_net.py"))


def test_list_shows_a_file_s_fields(call: Call, tmp_path: Path) -> None:
    write(tmp_path, my_net=NET)
    shown = as_json(call("list", "my_net.py", "--json"))["my_net.py"]["my_net"]
    assert shown["summary"] == "Two convolutions and a mean."
    assert shown["fields"]["width"]["range"] == ">= 1, <= 256"
    assert complaint(call("list", "lost.py")).startswith("lost.py does not exist")


BROKEN = {
    "no class": ("x = 1", "has no public class; a part's file has one"),
    "two classes": (NET + "\n\nclass Other: ...\n", "has 2 public classes, MyNet and Other; "),
    "a syntax error": ("x = 1\nclass My(:\n    pass\n", "my_net.py, line 2: invalid syntax"),
    "an odd indent": ("if True:\nx = 1\n", "my_net.py, line 2: expected an indented block"),
    "a zero": ("x = 1 \0", "source code"),
    "another charset": ("x = 'é'".encode("latin-1"), "my_net.py, line 1: "),
    "an exception": ("x = 1\n\nprint(y)", "line 3, in <module>: NameError: name 'y' is not"),
    "a neighbour": ("import other_file_of_mine", "line 1, in <module>: ModuleNotFoundError: "),
    "an exit": ("import sys\nsys.exit('bye')", "line 2, in <module>: SystemExit: bye"),
    "a stage": (FILES["my_stage.py"], "MyStage belongs to compress; here stands a class derived "
                "from tflite_light.models.Architecture"),
    "no part": ("class Mine:\n    pass\n", "Mine derives from no class of the kit; here stands"),
    "half a class": (NET.replace("def logits", "def logit"), "MyNet lacks logits, which its base"),
    "an odd field": (NET.replace("width: int", "width: 'Lost'"), "the fields of MyNet: "),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_is_no_part_is_refused_with_its_place(
    case: str, call: Call, tmp_path: Path
) -> None:
    content, problem = BROKEN[case]
    recipe = write(tmp_path)
    (tmp_path / "my_net.py").write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )
    message = complaint(call("check", recipe))
    assert f"\n  model.my_net: {tmp_path}/my_net.py" in message
    assert problem in message


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("lost.py", "lost.py does not exist; a recipe names a part's file relative to itself"),
        ("folder.py", "folder.py cannot be read: Is a directory"),
        ("my net.py", "'my net.py' cannot name a part: it needs letters, digits and _"),
        ("größe.py", "'größe.py' cannot name a part"),
        ("tiny.py", "tiny.py has the name of a part of the kit, tiny; give the file another name"),
        (".py", "'.py' cannot name a part"),
        ("fit.py", "fit.py: a run calls something else so; rename the file"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(
    name: str, problem: str, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "folder.py").mkdir()
    for one in ("tiny.py", "my net.py", "größe.py", "fit.py"):
        (tmp_path / one).write_text(NET)
    recipe = write(tmp_path, f'model: "./{name}"\nclasses: 3\n')
    assert problem in complaint(call("check", recipe))


def test_two_files_of_one_name_are_refused(call: Call, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    recipe = write(tmp_path, SMALL + "weights: sub/my_net.py\n", my_net=NET)
    (tmp_path / "sub" / "my_net.py").write_text(FILES["my_weights.py"])
    message = complaint(call("check", recipe))
    assert "two different files are called my_net.py; rename one of them" in message


def test_mistakes_in_a_part_s_fields_come_together_with_their_places(
    call: Call, tmp_path: Path
) -> None:
    text = "model: {my_net.py: {width: wide, depth: 3}}\ndata: {lost.py: {}}\nimage: {size: 3}"
    message = complaint(call("check", write(tmp_path, text, my_net=NET)))
    assert "mine.yaml has 4 mistakes:" in message
    assert "\n  model.my_net.width: needs a whole number\n" in message
    assert "\n  model.my_net.depth: unknown name, did you mean width?" in message
    assert f"\n  data.lost: {tmp_path}/lost.py does not exist" in message


@pytest.mark.parametrize("command", [["check", "--graph"], ["export", "--out", "app"]])
def test_what_goes_wrong_in_a_part_s_code_is_named_with_its_line(
    command: list[str], call: Call, tmp_path: Path
) -> None:
    broken = NET.replace("2 * self.width", "2 * self.breadth")
    recipe = write(tmp_path, my_net=broken)
    line = 1 + broken.splitlines().index('        x = _conv(x, 2 * self.breadth, "second")')
    if "--graph" in command:
        trains = SMALL.replace("classes: 3", "data: synthetic\ntrain: {}")
        recipe.write_text(trains)
    message = complaint(call(command[0], recipe, *command[1:]))
    assert f"my_net.py, line {line}, in logits: AttributeError: " in message
    assert "\nhint: It is code of yours: correct it there." in message


def test_a_network_of_other_outputs_is_refused_before_training(call: Call, tmp_path: Path) -> None:
    wide = NET.replace("Dense(classes", "Dense(classes + 1")
    assert wide != NET
    recipe = write(tmp_path, my_net=wide)
    message = complaint(call("export", recipe, "--out", "app"))
    assert "my_net.py: its logits are (None, 4), not one for each of the 3 classes" in message
    assert "\nhint: Let `logits` end in keras.layers.Dense(classes)." in message


@pytest.mark.parametrize(
    ("last", "found"),
    [
        ("keras.layers.Softmax()", "softmax makes probabilities of the logits (softmax)"),
        (
            'keras.layers.Activation("sigmoid", name="odds")',
            "odds makes probabilities of the logits (sigmoid)",
        ),
    ],
)
def test_a_network_that_gives_probabilities_is_refused(
    last: str, found: str, call: Call, tmp_path: Path
) -> None:
    logits = 'keras.layers.Dense(classes, name="logits")(x)'
    assert logits in NET
    recipe = write(tmp_path, my_net=NET.replace(logits, f"{last}({logits})"))
    message = complaint(call("export", recipe, "--out", "app"))
    assert f"my_net.py: its layer {found}.\nhint: Let it end in its logits" in message


def test_a_network_that_returns_nothing_is_refused(call: Call, tmp_path: Path) -> None:
    recipe = write(tmp_path, my_net=NET.replace("return keras.layers.Dense", "keras.layers.Dense"))
    message = complaint(call("export", recipe, "--out", "app"))
    assert "my_net.py: `logits` gives NoneType, not a tensor of Keras.\nhint: End it" in message


def test_equal_content_is_one_class(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "my_net.py").write_text(NET)
    one, two = (own.load(tmp_path / name / "my_net.py") for name in ("one", "two"))
    assert one is two
    (tmp_path / "two" / "my_net.py").write_text(NET + "\n")
    assert own.load(tmp_path / "two" / "my_net.py") is not one


TUPLED = """
from enum import Enum
from pathlib import Path
from typing import Any

from tflite_light.data.synthetic import Synthetic


class _Kind(Enum):
    A = "a"


class Mine(Synthetic):
    "Fields that JSON writes otherwise."

    pair: tuple[int, int] = (1, 2)
    place: Path = Path("x")
    kind: _Kind = _Kind.A
    anything: Any = None
    rate: float = 0.5
"""


def test_a_run_of_a_part_with_any_fields_is_opened_again(call: Call, tmp_path: Path) -> None:
    """It was trained to the end, and then broken: a tuple is a list in its recipe."""
    recipe = write(
        tmp_path,
        "model: {tiny: {width: 4}}\ndata: {./mine.py: {count: 60, number_of_classes: 3, side: 32, "
        "pair: [3, 4], kind: a, rate: 1}}\nimage: {size: 32}\ntrain: {epochs: 1}\nexport: [float32]\n",
        mine=TUPLED,
    )
    made = as_json(call("train", recipe, "--json"))
    assert as_json(call("evaluate", made["run"], "--json"))["rows"][0]["name"] == "fit"
    fields = as_json(call("list", "./mine.py", "--json"))["./mine.py"]["mine"]["fields"]
    assert (fields["anything"]["type"], fields["pair"]["type"]) == ("anything", "list of integer")


def test_a_field_without_an_order_is_refused(call: Call, tmp_path: Path) -> None:
    """Each process writes a set in another order: the run's recipe would have changed."""
    unordered = TUPLED.replace("anything: Any = None", 'several: set[str] = {"b", "a"}')
    recipe = write(tmp_path, "model: tiny\ndata: ./mine.py\ntrain: {}\n", mine=unordered)
    message = complaint(call("check", recipe))
    assert "the field several of Mine is a set, which a run could not keep in order" in message


LABELLED = """
from tflite_light.data.synthetic import Synthetic


class Mine(Synthetic):
    def scan(self):
        from dataclasses import replace
        names, parts = super().scan()
        train = parts["train"]
        return names, parts | {"train": replace(train, labels=[NUMBER, *train.labels[1:]])}
"""


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_refused(label: int, call: Call, tmp_path: Path) -> None:
    recipe = write(
        tmp_path,
        "model: tiny\ndata: {./mine.py: {count: 60, number_of_classes: 3, side: 32}}\n"
        "image: {size: 32}\ntrain: {epochs: 1}\n",
        mine=LABELLED.replace("NUMBER", str(label)),
    )
    message = complaint(call("train", recipe))
    assert f"1 picture without one of the 3 classes: synthetic picture 0 ({label})." in message


PIXELS = np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), np.uint8)
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "short": ({"labels": [0, 1, 2]}, "it gives 60 names and 3 labels."),
    "outliers": ({"labels": [0, -2] * 30}, "the label of p1 is -2, the place of no class; outliers"),
    "no group": ({"groups": ["anna", None] * 30}, "the group of p1 is None, the name of no group."),
    "lost group": ({"groups": [1.0, np.nan] * 30}, "the group of p1 is nan, the name of no group."),
    "empty group": ({"groups": ["", "anna"] * 30}, "the group of p0 is '', the name of no group."),
    "few groups": ({"groups": ["anna"]}, "it gives 60 names and 1 group."),
    "one-hot": ({"labels": np.eye(60, dtype=int)}, "the label of p0 is array([1, 0"),
    "column": ({"labels": np.zeros((60, 1), int)}, "the label of p0 is array([0]), no whole number."),
    "tensors": ({"labels": [*tf.zeros(60)]}, "the label of p0 is <tf.Tensor"),
    "stamps": ({"stamps": [3, None] * 30}, "the stamp of p1 is None, no whole number."),
    "checksums": ({"checksums": [0.5] * 60}, "the checksum of p0 is 0.5, no whole number."),
    "no number": ({"labels": [0.5] * 60}, "the label of p0 is 0.5, no whole number."),
    "text": ({"labels": ["a"] * 60}, "the label of p0 is 'a', no whole number."),
    "shares": ({"read": lambda i: PIXELS[i] / 255}, "reading p0 gave float64 of 32 x 32 x 3, neither"),
    "wide": ({"read": lambda i: PIXELS[i].astype(int)}, "reading p0 gave int64 of 32 x 32 x 3,"),
    "grey": ({"read": lambda i: PIXELS[i, ..., 0]}, "reading p0 gave uint8 of 32 x 32, neither"),
    "rgba": ({"read": lambda i: PIXELS[i, ..., [0, 1, 2, 2]].transpose(1, 2, 0)}, "uint8 of 32 x 32 x 4"),
    "none": ({"read": lambda i: None}, "reading p0 gave NoneType, neither"),
}  # fmt: skip


def given(**changes: Any) -> Source:
    """A source that gives 60 pictures of three classes, but for the changes."""

    class Given(Source):
        def scan(self) -> Scan:
            plain = Pictures(
                [f"p{i}" for i in range(60)], [i % 3 for i in range(60)], PIXELS.__getitem__
            )
            return ["a", "b", "c"], {ALL: replace(plain, **changes)}

    return Given()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_a_source_gives_amiss_is_named(mistake: str) -> None:
    changes, problem = MISTAKES[mistake]
    source = given(**changes)
    with pytest.raises(UserError) as error:
        source.load(Image(size=32))
    assert error.value.problem.startswith(f"data {source.key}: ")
    assert problem in error.value.problem
    assert error.value.hint


@pytest.mark.parametrize(
    ("classes", "parts", "problem"),
    [
        ("abc", ["train", "validation", "test"], "it gives pictures under 'validation', which"),
        (
            "abc",
            [ALL, "test"],
            "it gives pictures under 'all' beside test, which would be left out.",
        ),
        ("aba", [ALL], "two classes are called 'a'."),
        (["é", "e\u0301", "c"], [ALL], "two classes are called 'é'."),
    ],
)
def test_what_a_source_gives_beside_the_parts_is_refused(
    classes: list[str], parts: list[Any], problem: str
) -> None:
    class Given(Source):
        def scan(self) -> Scan:
            pictures = given().scan()[1][ALL]
            return [*classes], {
                part: replace(pictures, names=[f"{part} {name}" for name in pictures.names])
                for part in parts
            }

    with pytest.raises(UserError) as error:
        Given().require_usable()
    assert error.value.problem.startswith(f"data {Given().key}: {problem}")


def test_a_source_may_give_arrays_of_numpy_and_whatever_holds_bytes() -> None:
    def read(index: int) -> Any:
        return (bytearray, memoryview)[index % 2](encoded(Pillow.fromarray(PIXELS[index]), "PNG"))

    arrays = given(
        labels=np.arange(60) % 3, names=np.array([f"p{i}" for i in range(60)]), read=read
    )
    data = arrays.load(Image(size=32))
    assert sum(map(len, data.parts.values())) == 60
    kept = arrays.split("train")
    assert {type(label) for label in kept.labels} == {int}
    index = int(kept.names[0].removeprefix("p"))
    assert np.array_equal(data.train.sized(0), PIXELS[index])


def test_layers_that_a_network_holds_stay_in_every_phase_and_in_a_run_that_goes_on(
    call: Call, tmp_path: Path
) -> None:
    held = NET.replace('name=f"{name}_conv")', 'name=f"{name}_conv", trainable=name != "first")')
    assert held != NET
    recipe = (
        "model: {./my_net.py: {width: 32}}\ndata: {synthetic: {count: 60}}\nimage: {size: 32}\n"
        "train: {epochs: 1, batch_size: 8, warmup_epochs: 0}\nexport: [float32]\n"
        "compress: [{factorize: {epochs: 1, keep: 0.9}}, {prune: {epochs: 1, sparsity: 0.3}},\n"
        "  {qat: {epochs: 1}}]\n"
    )
    as_json(call("train", write(tmp_path, recipe, my_net=held), "--json"))
    run = tmp_path / "runs" / "mine"
    fit, whole = (np.load(run / "checkpoints" / f"{phase}.npz") for phase in ("fit", "prune"))
    for phase in ("factorize", "prune", "qat"):
        arrays = np.load(run / "checkpoints" / f"{phase}.npz")
        (kernel,) = (name for name in arrays.files if name.endswith("first_conv/kernel"))
        assert np.array_equal(fit["first_conv/kernel"], arrays[kernel])
        for name in (f"{phase}.npz", f"{phase}.plan.json"):
            (run / "checkpoints" / name).unlink()
    (run / "metrics.json").unlink()
    as_json(call("train", run, "--resume", "--json"))
    again = np.load(run / "checkpoints" / "prune.npz")
    assert set(whole.files) == set(again.files)
    for name in whole.files:
        if name != "note.json":
            assert np.array_equal(whole[name], again[name]), name


UNMADE = {  # the end of a kind of file's `convert`, and what is said of it
    "raises": ("1 / 0", ", in convert: ZeroDivisionError: division by zero."),
    "nothing": ("None", "my_mode: its `convert` gives NoneType, not the bytes of a file."),
    "no file": ("b'abc' * 9", "my_mode: what its `convert` gives is no TFLite file, or damaged: "),
    "half": (
        "convert(converter_for(tf.keras.Model(model.input, model.get_layer('pool').output)))",
        "mine_my_mode.tflite answers with 8 numbers, not one for each of the 3 classes.",
    ),
}


@pytest.mark.parametrize("end", UNMADE)
def test_a_kind_of_file_that_fails_costs_its_own_file_alone(
    end: str, call: Call, tmp_path: Path
) -> None:
    code, problem = UNMADE[end]
    mode = FILES["my_mode.py"].replace("return convert(converter)", f"return {code}")
    recipe = SMALL.replace("[float32]", "[./my_mode.py, float32]")
    write(tmp_path, recipe, my_net=NET, my_mode=mode)
    result = call("export", "mine.yaml", "--out", "app")
    assert result.exit_code == 2
    assert problem in result.stderr
    assert Path("app/mine_float32.tflite").exists()
    assert not Path("app/mine_my_mode.tflite").exists()


STAGED = """model: {./my_net.py: {width: 4}}
data: synthetic
train: {}
compress: [./my_stage.py]
"""
DECIDED = {  # what a stage gives instead of its plan, or beside it, and what is said of it
    "number": ({"plan": "{'a': __import__('numpy').int64(1)}"}, "a run cannot keep what its `plan` "
               "gives: Object of type int64 is not JSON serializable."),
    "nothing": ({"plan": "None"}, "a run cannot keep what its `plan` gives: NoneType is no dict"),
    "keys": ({"plan": "{'a': {1: 2}}", "promises": "plan['a'][1]"}, "in promises: KeyError: 1."),
    "texts": ({"promises": "['zeros']"}, "its `promises` gives 'zeros', which is no promise."),
    "promised": ({"promises": "None"}, "its `promises` gives None, which is no promise."),
}  # fmt: skip


@pytest.mark.parametrize("case", DECIDED)
def test_what_a_run_cannot_keep_of_a_stage_is_said_before_it(
    case: str, call: Call, tmp_path: Path
) -> None:
    changes, problem = DECIDED[case]
    decided = changes.get("plan", "{}")
    stage = FILES["my_stage.py"].replace('{"layers": len(model.layers)}', decided)
    stage += f"\n    def promises(self, plan):\n        return {changes.get('promises', '[]')}\n"
    write(tmp_path, STAGED, my_net=NET, my_stage=stage)
    assert problem in complaint(call("check", "mine.yaml", "--graph"))
    assert problem in complaint(call("train", "mine.yaml"))
    assert not Path("runs").exists()


BREAKING = """

class _Breaking:
    name = "odd"
    figure = 1

    def shortfall(self, file):
        return file.odd
"""


def test_a_promise_that_cannot_be_looked_for_ends_no_run(call: Call, tmp_path: Path) -> None:
    stage = f"{FILES['my_stage.py']}\n    def promises(self, plan):\n        return [_Breaking()]\n"
    recipe = SMALL.replace("classes: 3", "data: {synthetic: {count: 60, side: 32}}") + (
        "train: {epochs: 1}\ncompress: [{./my_stage.py: {epochs: 1}}]\n"
    )
    write(tmp_path, recipe, my_net=NET, my_stage=stage + BREAKING)
    result = call("train", "mine.yaml")
    assert result.exit_code == 2
    assert "in shortfall: AttributeError: 'File' object has no attribute 'odd'." in result.stderr
    assert "The run is finished without" in result.stderr
    assert Path("runs/mine/metrics.json").exists()
