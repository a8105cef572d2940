"""Recipes: strict, and every mistake is reported at once, with its place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY, Call, complaint
from pydantic import ValidationError

from tflite_light import recipe as recipes
from tflite_light.errors import UserError
from tflite_light.recipe.train import Stairs
from tflite_light.runs.record import completed
from tflite_light.sockets import load, names

RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_recipe_loads_and_its_resolved_form_loads_back_equal(
    path: Path, tmp_path: Path
) -> None:
    recipe = recipes.load(path)
    again = tmp_path / "again.yaml"
    again.write_text(recipes.to_yaml(recipe))
    assert recipes.load(again) == recipe


MISTAKES = [
    ("model: [", "is not YAML: line 1"),
    ("", "is empty.\nhint: It needs at least the keys model:, data: and train:"),
    ("- 1", "holds a list"),
    ("data: synthetic", "model: is missing"),
    ("model: tiny\nmodel: tiny\ndata: synthetic", "is not YAML"),
    ("model: tinny\ndata: synthetic", "model.tinny: unknown name, did you mean tiny?"),
    ("model: {tiny: {widht: 3}}\ndata: synthetic", "model.tiny.widht: unknown name, did you mean width?"),
    ("model: {tiny: {width: wide}}\ndata: synthetic", "model.tiny.width: needs a whole number"),
    ("model: {shufflenet_v2: {alpha: 0.75}}\ndata: synthetic", "model.shufflenet_v2.alpha: no published width; the nearest is 0.5"),
    ("model: tiny\ndata: {directory: {path: 2024}}", "data.directory.path: needs text; put numbers and the like in quotes"),
    ("model: tiny\ndata: {directory: {path: ''}}", "data.directory.path: must not be empty"),
    ("model: tiny\ndata: {synthetic: {count: 1000000000000}}", "data.synthetic.count: Input should be less than or equal to 1000000"),
    ("model: tiny\ndata: synthetic\ntrain: {class_weights: 1}", "train.class_weights: needs true or false"),
    ("model: tiny\ndata: synthetic\nseed: " + "9" * 5000, "cannot be read: Exceeds the limit"),
    ("model: " + "[" * 3000, "cannot be read: maximum recursion depth exceeded"),
    ("model: {tiny: {width: 0}}\ndata: synthetic", "model.tiny.width: Input should be greater than or equal to 1"),
    ("model: tiny\ntrain: {}", "recipe: train needs data: the pictures to train on"),
    ("model: tiny\ndata: synthetic\nclasses: 3\ntrain: {}", "recipe: classes is for imports"),
    ("model: tiny\ndata: synthetic\ntrain: {freeze: {}}", "recipe: train.freeze needs weights"),
    ("model: tiny", "recipe: without train it is an import, which needs one of labels: FILE or classes: N"),
    ("model: tiny\ndata: synthetic\ntrian: {}", "trian: unknown name, did you mean train?"),
    ("model: tiny\ndata: synthetic\ntrain: {learning_rate: -1}", "train.learning_rate: Input should be greater than 0"),
    ("model: tiny\ndata: synthetic\ntrain: {learning_rate: .nan}", "train.learning_rate: Input should be a finite"),
    ("model: tiny\ndata: synthetic\ntrain: {epochs: 2.5}", "train.epochs: needs a whole number"),
    ("model: tiny\ndata: synthetic\ntrain: {epochs: true}", "train.epochs: needs a whole number"),
    ("model: tiny\ndata: synthetic\ntrain: {schedule: step}", "train.schedule: write cosine, linear or {factor: 0.94, every_epochs: 2}"),
    ("model: tiny\ndata: synthetic\ntrain: {schedule: {factor: 2}}", "train.schedule.factor: Input should be less than 1"),
    ("model: tiny\ndata: synthetic\ntrain: {optimizer: rmsprob}", "train.optimizer: Input should be 'adamw', 'sgd', 'nesterov' or"),
    ("model: tiny\ndata: synthetic\ntrain: 3", "train: needs fields, written {name: value}; they are epochs, "),
    ("model: tiny\ndata: synthetic\ncompress: 3", "compress: needs a list, written [one, two]"),
    ("model: tiny\ndata: synthetic\nimage: {mean: [1, 2]}", "image.mean.2: is missing"),
    ("model: tiny\ndata: synthetic\nimage: {mean: [1, 2, 3, 4]}", "image.mean: has too many values"),
    ("model: tiny\ndata: synthetic\nimage: {mean: red}", "image.mean: needs a list of values"),
    ("model: tiny\ndata: synthetic\nimage: {std: 0}", "image.std.0: Input should be greater than 0"),
    *(
        (
            f"model: tiny\ndata: synthetic\nimage: {{{field}}}",
            "image: mean and std are of pixels of 0..255, of which nothing is left beyond 10000",
        )
        for field in ("mean: -1.0e30", "std: [1, 1, 1.0e300]")
    ),
    ("model: tiny\ndata: synthetic\nimage: {size: 16}", "image.size: Input should be greater than or equal to 32"),
    ("model: tiny\ndata: synthetic\naugment: {mixup: 1e-308}", "augment.mixup: Input should be greater than or equal to 0.000001"),
    ("model: tiny\ndata: synthetic\naugment: {cutmix: 1e-308}", "augment.cutmix: Input should be greater than or equal to 0.000001"),
    ("model: tiny\ndata: synthetic\naugment: {flip: up}", "augment.flip: Input should be 'horizontal'"),
    ("model: tiny\ndata: synthetic\ncompress: [qat, qat]", "compress: qat stands here twice"),
    (
        "model: tiny\ndata: synthetic\ntrain: {}\ncompress: [prune, cluster]\n"
        "export: [{int8: {rounding: adaptive}}]",
        "export.int8: rounding: adaptive would not keep the clusters of compress.cluster; leave out one of them",
    ),
    (
        "model: tiny\ndata: synthetic\ntrain: {}\ncompress: [cluster, qat]\n"
        "export: [{int8: {equalise: true, weight_scales: tensor}}]",
        "export.int8: equalise would not keep the clusters of compress.cluster; leave out one of them",
    ),
    *(
        (
            f"model: tiny\ndata: synthetic\ntrain: {{}}\ncompress: [qat]\nexport: [{{int8: {{{field}}}}}]",
            f"export.int8: {field} has no effect after qat, whose ranges and weights are trained; leave it out",
        )
        for field in (
            "equalise: true",
            "ranges: error",
            "rounding: adaptive",
            "weight_bits: 4",
            "correct_bias: false",
        )
    ),
    *(
        (
            f"model: tiny\ndata: synthetic\nexport: [{{int8: {{{field}, correct_bias: false}}}}]",
            f"export.0.int8: correct_bias: false has no effect with {field}, which corrects biases, too; leave it out",
        )
        for field in ("rounding: adaptive", "weight_bits: 4")
    ),
    (
        "model: tiny\ndata: synthetic\nexport: [{int8: {float_bits: 16}}]",
        "export.0.int8: float_bits: 16 has no effect without float_layers; leave it out",
    ),
    ("model: tiny\ndata: synthetic\ncompress: [qat, prune]", "cannot run in this order: prune cannot follow qat, which leaves a quantised model; write prune, qat"),
    ("model: tiny\ndata: synthetic\ncompress: [{prune: {sparsity: 1}}]", "compress.0.prune.sparsity: Input should be"),
    ("model: tiny\ndata: synthetic\nexport: []", "export: needs at least one"),
    ("model: tiny\ndata: directory", "data.directory.path: is missing"),
    ("model: {tiny: {}, mobilenet_v2: {}}\ndata: synthetic", "model: needs one part, not 2: ghostnet, keras_file, mobilenet_v1"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"), MISTAKES, ids=lambda value: value[-30:].replace("\n", " ")
)
def test_mistakes_are_reported_with_their_place(
    call: Call, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(text)
    assert message in complaint(call("check", path))
    assert message in complaint(call("train", path))
    assert [child.name for child in tmp_path.iterdir()] == ["my.yaml"]


def test_all_mistakes_come_at_once(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(
        "model: {tiny: {width: 0}}\ndata: nothing\ntrain: {epochs: 0, rate: 1}\nseeed: 1"
    )
    lines = complaint(call("check", path)).splitlines()
    assert lines[0].endswith("my.yaml has 5 mistakes:")
    places = {line.split(":")[0].strip() for line in lines[1:]}
    assert places == {"model.tiny.width", "data.nothing", "train.epochs", "train.rate", "seeed"}


CHANGES: dict[str, Callable[[Any], bool]] = {
    "train.epochs=5": lambda recipe: recipe.train.epochs == 5,
    "train.schedule=linear": lambda recipe: recipe.train.schedule == "linear",
    "train.schedule={factor: 0.98, every_epochs: 2.5}": lambda recipe: (
        recipe.train.schedule.factor == 0.98
    ),
    "train.learning_rate=1e-3": lambda recipe: recipe.train.learning_rate == 0.001,
    "data.directory.path=photos": lambda recipe: recipe.data.path == "photos",
    "data.synthetic.side=50": lambda recipe: (recipe.data.side, recipe.data.count) == (50, 120),
    "model.mobilenet_v2.alpha=0.5": lambda recipe: recipe.model.alpha == 0.5,
    "model=mobilenet_v2": lambda recipe: recipe.model.alpha == 1.0,
    "compress.0.prune.sparsity=0.7": lambda recipe: recipe.compress[0].sparsity == 0.7,
    "compress.prune.sparsity=0.7": lambda recipe: recipe.compress[0].sparsity == 0.7,
    "compress.qat={epochs: 9}": lambda recipe: recipe.compress[1].epochs == 9,
    "export.int8.io=int8": lambda recipe: recipe.export[1].io == "int8",
    "data.directory.path='photos #2'": lambda recipe: recipe.data.path == "photos #2",
    "data.directory.path=?unsorted": lambda recipe: recipe.data.path == "?unsorted",
    'data.directory.path="next\\Nline"': lambda recipe: recipe.data.path == "next\u0085line",
    "data.directory.path=!!str 2024": lambda recipe: recipe.data.path == "2024",
    "compress=[]": lambda recipe: recipe.compress == [],
    "export.1.int8.io=int8": lambda recipe: recipe.export[1].io == "int8",
    "augment.mixup=0.2": lambda recipe: recipe.augment.mixup == 0.2,
    "image.mean=[1, 2, 3]": lambda recipe: recipe.image.mean == (1, 2, 3),
}


@pytest.mark.parametrize("change", CHANGES)
def test_set_changes_one_place(tiny: Path, change: str) -> None:
    assert CHANGES[change](recipes.load(tiny, [change]))


def test_a_schedule_s_name_gives_way_to_stairs(tiny: Path) -> None:
    changes = [
        "train.schedule=linear",
        "train.schedule.factor=0.5",
        "train.schedule.every_epochs=2",
    ]
    assert recipes.load(tiny, changes).training.schedule == Stairs(factor=0.5, every_epochs=2)


REFUSED = {
    "train.schedule.factor=2": "train.schedule.factor: Input should be less than 1",
    "train.epochs": "is not PLACE=VALUE",
    "=3": "is not PLACE=VALUE",
    "compress.9.prune.sparsity=1": "compress.9.prune.sparsity is not a place",
    "compress.prun.sparsity=1": "compress.prun.sparsity is not a place in this recipe: prun is not in the list.",
    "data.directory.path=photos #2": "YAML reads 'photos' and leaves out the rest.\nhint: Leave it out too, or put all of it in quotes: `--set 'data.directory.path=\"photos #2\"'`",
    "data.directory.path=photos ": "YAML reads 'photos' and leaves out the rest.",
    "data.directory.path=&a photos": "YAML reads 'photos' and leaves out the rest.",
    "data.directory.path=next\u0085line": "YAML reads 'next line' and leaves out the rest.\nhint: Leave it out too, or put all of it in quotes: `--set 'data.directory.path=\"next\\Nline\"'`",
    "data.directory.path=#2": "YAML reads None and leaves out the rest.",
    "train.epochs=5 # five": "YAML reads 5 and leaves out the rest.",
    "model='tiny' # and": "YAML reads 'tiny' and leaves out the rest.",
    "export=[int8] # one": "YAML reads ['int8'] and leaves out the rest.",
    "data.csv.path=%x": "%x is not YAML.\nhint: As a text it needs quotes: `--set 'data.csv.path=\"%x\"'`",
    "seed.x=3": "",
    "train.epoch=3": "train.epoch: unknown name, did you mean epochs?",
    "train.epochs=many": "train.epochs: needs a whole number",
    "train.epochs=99999999999999999999": "train.epochs: Input should be less than or equal to 1000000",
    "train.warmup_epochs=1e300": "train.warmup_epochs: Input should be less than or equal to 1000000",
    "train.freeze={epochs: 2000000}": "train.freeze.epochs: Input should be less than or equal to 1000000",
    "train.schedule={factor: 0.5, every_epochs: 1e-300}": "train.schedule.every_epochs: Input should be greater than or equal to 0.000001",
    "train.schedule={factor: 0.5, every_epochs: 1e300}": "train.schedule.every_epochs: Input should be less than or equal to 1000000",
}


@pytest.mark.parametrize("stage", names("compress"))
def test_no_stage_trains_for_longer_than_steps_can_be_counted(stage: str) -> None:
    kind = load("compress", stage)
    with pytest.raises(ValidationError, match="less than or equal to 1000000"):
        kind(epochs=99999999999999999999)


@pytest.mark.parametrize("change", REFUSED)
def test_set_goes_through_the_same_checks(tmp_path: Path, change: str) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY + "seed: 3\n")
    with pytest.raises(UserError) as caught:
        recipes.load(path, [change])
    assert REFUSED[change] in str(caught.value)


@pytest.mark.parametrize(
    ("model", "weights", "variant"),
    [
        ("mobilenet_v2", "{torch: {path: x.pth}}", "torch"),
        ("xception", "{torch: {path: x.pth}}", "torch"),
        ("{mobilenet_v1: {variant: keras}}", "{torch: {path: x.pth}}", "keras"),
        ("mobilenet_v1", "imagenet", "keras"),
        ("shufflenet_v2", "{torch: {path: x.pth}}", "paper"),
    ],
)
def test_torch_weights_bring_their_padding_unless_the_recipe_says(
    tmp_path: Path, model: str, weights: str, variant: str
) -> None:
    path = tmp_path / "import.yaml"
    path.write_text(f"model: {model}\nweights: {weights}\nclasses: 10\n")
    (fields,) = recipes.load(path).model_dump(mode="json")["model"].values()
    assert fields["variant"] == variant


def test_a_stage_that_occurs_twice_is_set_by_its_index(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text(TINY.replace("- qat: {epochs: 2}", "- prune"))
    with pytest.raises(UserError, match=r"prune occurs 2 times") as caught:
        recipes.load(path, ["compress.prune.epochs=1"])
    assert str(caught.value).splitlines() == [
        "--set 'compress.prune.epochs=1': compress.prune.epochs is not a place in this recipe: "
        "prune occurs 2 times.",
        "hint: Put its index before its name, as in `0.prune`.",
    ]


def test_an_alias_is_a_copy_that_is_changed_alone(tmp_path: Path) -> None:
    path = tmp_path / "alias.yaml"
    path.write_text(
        TINY.replace("prune: {sparsity: 0.5, epochs: 2}", "prune: &o {epochs: 2}").replace(
            "qat: {epochs: 2}", "qat: *o"
        )
    )
    made = recipes.load(path, ["compress.prune.epochs=7"])
    assert [stage.epochs for stage in made.compress] == [7, 2]
    path.write_text(TINY + "distil: &own {teacher: *own}\n")
    with pytest.raises(UserError, match="an alias holds itself"):
        recipes.load(path)


ABSENT = """
model: tiny
data: {tfrecord: {train: 'there/*.rec', val: 'none/*.rec', test: 'set [1]/a.rec', labels: none.txt}}
weights: {npz: {path: none.npz}}
train: {}
"""


def test_check_names_every_file_that_does_not_exist(call: Call, tmp_path: Path) -> None:
    for name in ("there/1.rec", "set [1]/a.rec"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "my.yaml").write_text(ABSENT)
    here = f"does not exist in {tmp_path}, where the command is typed"
    assert complaint(call("check", "my.yaml")).splitlines() == [
        "my.yaml has 3 mistakes:",
        f"  weights.npz.path: none.npz {here}",
        f"  data.tfrecord.val: none/*.rec {here}",
        f"  data.tfrecord.labels: none.txt {here}",
    ]


def test_squeezenet_s_version_may_be_written_as_a_number(tmp_path: Path) -> None:
    path = tmp_path / "squeezenet.yaml"
    path.write_text("model: {squeezenet: {version: 1.0}}\nclasses: 10\n")
    assert recipes.load(path).model_dump(mode="json")["model"]["squeezenet"]["version"] == "1.0"


def test_a_recipe_recorded_before_a_key_came_is_read_with_its_default() -> None:
    now = recipes.load(ROOT / "recipes" / "mobilenet_v2.yaml").model_dump(mode="json")
    then = {key: value for key, value in now.items() if key != "distil"}
    assert completed(then, ROOT) == now
    assert completed(then | {"seed": "no number"}, ROOT) == then | {"seed": "no number"}


def test_a_file_is_not_named_as_a_phase_is(call: Call, tiny: Path) -> None:
    """One of the two rows was lost from metrics.json."""
    for name in ("prune", "fit", "teacher"):
        message = complaint(call("check", tiny, "--set", f"export=[int8: {{name: {name}}}]"))
        assert f"export: a run calls a phase {name}; give the file another `name`" in message


def test_a_warm_up_that_never_ends_is_remarked(call: Call, tiny: Path) -> None:
    done = call("check", tiny, "--set", "train.epochs=1")
    assert done.exit_code == 0
    assert done.stderr == (
        "note: train.warmup_epochs: the rate rises for 1 of 1 epoch, and never reaches 0.01\n"
    )


def test_files_that_have_nothing_of_qat_are_remarked(call: Call, tiny: Path) -> None:
    """Its epochs were trained for no file, and nothing told so."""
    told = (
        "note: export: none of these files is made of what qat trains, and its last epoch stays, "
        "not its best; add int8\n"
    )
    others = ("--set", "export=[float32, float16, dynamic_range, int16x8]")
    assert call("check", tiny, *others).stderr == told
    assert told in call("check", tiny, "--graph", *others).stderr
    assert call("check", tiny, *others, "--set", "compress=[prune]").stderr == ""
    assert call("check", tiny, "--set", "export=[int8: {float_layers: 1}]").stderr == ""
