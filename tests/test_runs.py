"""`runs` lists, shows, renames and deletes runs, and touches nothing else."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import ROOT, TINY, Call, as_json, complaint, invoke

from tflite_light import recipe as recipes
from tflite_light.cli import main
from tflite_light.errors import UserError
from tflite_light.runs import finding, tidying
from tflite_light.runs.folder import is_locked, locked
from tflite_light.runs.overview import overview
from tflite_light.runs.tidying import named


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two phases and two files."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(TINY)
    quick = ["compress=[prune: {epochs: 1}]", "train.epochs=2"]
    options = [f"--set={one}" for one in quick]
    as_json(invoke("train", folder / "tiny.yaml", "--runs", folder / "runs", *options, "--json"))
    return folder / "runs" / "tiny"


@pytest.fixture
def runs(trained: Path, call: Call) -> Path:
    """`runs` with one that is finished, one that stopped in prune, and one that is broken."""
    for name in ("done", "half", "torn"):
        shutil.copytree(trained, Path("runs", name))
    for name in ("metrics.json", "checkpoints/prune.npz"):
        Path("runs/half", name).unlink()
    rows = Path("runs/half/history.csv").read_text().splitlines()
    Path("runs/half/history.csv").write_text("\n".join(rows[:-1]))
    Path("runs/torn/recipe.yaml").write_text("model: [")
    Path("runs/notes").mkdir()
    return Path("runs")


def listed() -> dict[str, Any]:
    return {one["name"]: one for one in as_json(invoke("runs", "--json"))["runs"]}


def test_runs_are_listed_with_what_they_reached(runs: Path, call: Call) -> None:
    found = listed()
    assert {name: one["state"] for name, one in found.items()} == {
        "done": "finished",
        "half": "stopped",
        "torn": "broken",
    }
    metrics = json.loads((runs / "done/metrics.json").read_text())
    rows = {row["name"]: row for row in metrics["rows"]}
    done, half = found["done"], found["half"]
    best = rows[done["best_file"]]
    assert done["top1"] == rows["fit"]["top1"]
    assert (
        done["best_top1"] == best["top1"] == max(rows[key]["top1"] for key in ("int8", "float32"))
    )
    assert done["best_bytes"] == (runs / f"done/exports/{best['name']}.tflite").stat().st_size
    assert done["network"] == "tiny width=4, 32 px"
    assert done["size_bytes"] == sum(
        path.stat().st_size for path in (runs / "done").rglob("*") if path.is_file()
    )
    assert (half["phase"], half["epoch"], half["epochs"], half["top1"]) == ("prune", 0, 1, None)
    assert "recipe.yaml" in found["torn"]["problem"]
    text = call("runs")
    assert [line.split()[0] for line in text.stdout.splitlines()[1:]] == ["done", "half", "torn"]
    assert "stopped in prune, epoch 0 of 1" in text.stdout
    assert text.stderr.startswith("torn is broken: ")
    Path("runs/half/history.csv").write_text("step\n1\n")
    assert listed()["half"]["problem"] == "runs/half/history.csv is damaged."


def test_a_damaged_metrics_json_is_named(runs: Path, call: Call) -> None:
    path = runs / "done/metrics.json"
    metrics = json.loads(path.read_text())
    for row in ({**metrics["rows"][0], "top1": "much"}, None):
        path.write_text(json.dumps({**metrics, "rows": [row] if row else []}))
        shown = call("runs", "show", "done")
        assert shown.exit_code == 0
        assert "state     broken\n" in shown.stdout
        assert "problem   runs/done/metrics.json is damaged" in shown.stdout


def test_no_runs_are_an_empty_list(call: Call) -> None:
    done = call("runs")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "no run in runs yet; make one: `tflite-light train mobilenet_v2`\n"
    assert as_json(call("runs", "--json")) == {"runs": []}


def _but_age(shown: str) -> str:
    return re.sub(r"\d+ min ago", "lately", shown)


def test_one_run_is_shown_by_name_or_path(runs: Path, call: Call) -> None:
    shown = _but_age(call("runs", "show", "done").stdout)
    assert "phases    fit 2/2, prune 1/1\n" in shown
    assert "files     float32.tflite, int8.tflite\n" in shown
    assert "on 24 test pictures" in shown
    began = json.loads((runs / "done/environment.json").read_text())["started"]
    assert f"started   {began[:10]} {began[11:19]} UTC, " in shown
    assert _but_age(call("runs", "show", "runs/done").stdout) == shown
    assert _but_age(call("runs", "--runs", "runs", "show", "done").stdout) == shown
    rows = as_json(call("runs", "show", "done", "--json"))["rows"]
    assert [row["name"] for row in rows] == ["fit", "prune", "float32", "int8"]
    assert "problem   " in call("runs", "show", "torn").stdout
    message = complaint(call("runs", "show", "none"))
    assert message.startswith("run none does not exist.\nhint: `tflite-light runs --runs runs`")


def test_a_file_that_is_gone_is_no_run_s_best(runs: Path, call: Call) -> None:
    best = listed()["done"]["best_file"]
    (other,) = {"float32", "int8"} - {best}
    (runs / f"done/exports/{best}.tflite").unlink()
    assert listed()["done"]["best_file"] == other
    shown = call("runs", "show", "done").stdout
    assert f"files     {other}.tflite\nmissing   {best}.tflite\n" in shown


def test_a_renamed_run_is_measured_as_before(runs: Path, call: Call) -> None:
    assert call("runs", "rename", "done", "Ü 2").stdout == "runs/Ü 2 it is\n"
    assert not (runs / "done").exists()
    found = as_json(call("evaluate", "runs/Ü 2", "--json"))["rows"]
    assert [row["name"] for row in found] == ["fit", "prune", "float32", "int8"]
    assert "half exists." in complaint(call("runs", "rename", "Ü 2", "half"))
    too_long = complaint(call("runs", "rename", "half", "x" * 256))
    assert too_long.startswith("cannot rename runs/half: File name too long.")
    for name in ("a/b", "..", "-x", ""):
        assert "cannot name a run" in complaint(call("runs", "rename", "--", "half", name))


def test_renaming_swallows_no_run_that_begins_meanwhile(
    runs: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename alone takes the place of an empty folder."""

    def beginning(folder: Path) -> Any:
        (runs / "new").mkdir()
        return locked(folder)

    monkeypatch.setattr(tidying, "locked", beginning)
    assert "runs/new exists." in complaint(call("runs", "rename", "done", "new"))
    assert list((runs / "new").iterdir()) == []
    assert (runs / "done/metrics.json").exists()


def test_deleting_asks_and_takes_all_or_nothing(runs: Path, call: Call) -> None:
    answers = {"n\n": 0, "": 2}
    for answer, code in answers.items():
        done = CliRunner().invoke(main, ["runs", "delete", "done", "torn"], input=answer)
        assert (done.exit_code, len(listed())) == (code, 3)
    message = complaint(call("runs", "delete", "done", "none", "--yes"))
    assert "run none does not exist" in message
    assert len(listed()) == 3
    found = as_json(call("runs", "delete", "done", "runs/../runs/torn", "torn", "--yes", "--json"))
    assert found == {"deleted": ["runs/done", "runs/torn"]}
    assert sorted(path.name for path in runs.iterdir()) == ["half", "notes"]


def test_what_is_no_run_or_holds_more_is_never_deleted(
    runs: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("notes", ".", "..", "../runs", str(tmp_path)):
        assert "is not a run" in complaint(call("runs", "delete", name, "--yes")), name
    (runs / "done/thoughts.txt").write_text("mine")
    (runs / "link").symlink_to("half")
    for name, problem in {"done": "not a run's: thoughts.txt.", "link": "a link to a run"}.items():
        assert problem in complaint(call("runs", "delete", "half", name, "--yes"))
    monkeypatch.chdir("runs/half")
    message = complaint(call("runs", "delete", "half", "--runs", "..", "--yes"))
    assert "is the folder you are in" in message
    assert (tmp_path / "runs/half/recipe.yaml").exists()
    assert (tmp_path / "runs/done/thoughts.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "name",
    [
        *("exports/my_notes.txt", "exports/float32_golden/holiday.png", "exports/mine/x.tflite"),
        *("checkpoints/mine.txt", "tensorboard/fit/notes.md", ".git/config"),
    ],
)
def test_files_of_others_keep_a_run_at_any_depth(runs: Path, call: Call, name: str) -> None:
    """Of those below the first level none was looked at."""
    (runs / "done" / name).parent.mkdir(parents=True, exist_ok=True)
    (runs / "done" / name).write_text("mine")
    message = complaint(call("runs", "delete", "done", "--yes"))
    assert f"runs/done holds what is not a run's: {name}." in message
    assert (runs / "done" / name).read_text() == "mine"


def test_litter_and_a_changed_part_keep_no_run(runs: Path, call: Call) -> None:
    for name in (".DS_Store", "exports/Thumbs.db", "exports/._int8.tflite", "@eaDir/x/y.png"):
        (runs / "torn" / name).parent.mkdir(parents=True, exist_ok=True)
        (runs / "torn" / name).write_text("")
    record = json.loads((runs / "torn/environment.json").read_text())
    record["parts"] = {"mine.py": "5e", "net.h5": "5e"}
    (runs / "torn/environment.json").write_text(json.dumps(record))
    (runs / "torn/mine.py").write_text("changed since")
    as_json(call("runs", "delete", "torn", "--yes", "--json"))
    assert not (runs / "torn").exists()


def test_all_runs_or_none_are_deleted_where_the_system_refuses_one(
    runs: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def refusing(path: Path, target: Path) -> Path:
        if path.name == "torn":
            raise PermissionError(1, "Operation not permitted")
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refusing)
        message = complaint(call("runs", "delete", "done", "torn", "--yes"))
    assert message.startswith("cannot delete runs/torn: Operation not permitted.")
    assert sorted(path.name for path in runs.iterdir()) == ["done", "half", "notes", "torn"]


def test_what_a_killed_delete_left_goes_by_the_next(runs: Path, call: Call) -> None:
    """It kept the next run of its name from being deleted, for good."""
    command = "import os, shutil; shutil.rmtree = lambda *_: os._exit(143)\n"
    command += "from tflite_light.cli import main; main(['runs', 'delete', 'torn', '--yes'])"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 143
    assert len([*runs.glob(".*")]) == 1
    (runs / "half").rename(runs / "torn")
    as_json(call("runs", "delete", "torn", "done", "--yes", "--json"))
    assert [path.name for path in runs.iterdir()] == ["notes"]


def test_no_run_is_deleted_from_a_folder_within_it(
    runs: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs / "done/exports")
    message = complaint(call("runs", "delete", "done", "--runs", "../..", "--yes"))
    assert "is the folder you are in" in message


def test_a_teacher_of_an_unfinished_run_stays(runs: Path, call: Call) -> None:
    text = (
        Path("runs/half/recipe.yaml")
        .read_text()
        .replace("distil: null", f"distil: {{teacher: {Path('runs/done').absolute()}}}")
    )
    if "teacher" not in text:
        text += f"distil: {{teacher: {Path('runs/done').absolute()}}}\n"
    Path("runs/half/recipe.yaml").write_text(text)
    record = json.loads(Path("runs/half/environment.json").read_text())
    del record["recipe"]
    Path("runs/half/environment.json").write_text(json.dumps(record))
    for name in ("done", f"../{runs.parent.name}/runs/done"):
        for command in (("delete", name, "--yes"), ("rename", name, "other")):
            message = complaint(call("runs", *command))
            assert f"half is unfinished and needs {named(name, runs)}: its recipe" in message
    as_json(call("runs", "delete", "done", "half", "--yes", "--json"))
    assert listed().keys() == {"torn"}


def test_what_a_run_has_of_its_own_goes_with_it(runs: Path, call: Call) -> None:
    """Copies of parts outside the package, and what a killed process left half-written."""
    Path("mine.py").write_text((ROOT / "tflite_light/models/tiny.py").read_text())
    Path("mine.yaml").write_text(TINY.replace("model: {tiny: {width: 4}}", "model: ./mine.py"))
    quick = ("--set", "compress=[]", "--set", "train.epochs=1", "--set", "export=[float32]")
    run = Path(as_json(call("train", "mine.yaml", *quick, "--json"))["run"])
    assert (run / "mine.py").exists()
    (run / ".history.csv.4711.tmp").write_text("half of it")
    as_json(call("runs", "delete", run.name, "--yes", "--json"))
    assert not run.exists()


def test_a_table_s_reader_that_leaves_ends_it_as_sigpipe_would(runs: Path) -> None:
    command = [sys.executable, "-m", "tflite_light", "runs"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    process.stdout.close()
    assert process.wait(60) == 141


def test_a_run_that_trains_is_running_and_stays(tmp_path: Path, call: Call) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY.replace("epochs: 3", "epochs: 900"))
    command = [sys.executable, "-m", "tflite_light", "train", "tiny.yaml"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while not Path("runs/tiny/history.csv").exists():
            assert process.poll() is None
            time.sleep(0.2)
        found = listed()["tiny"]
        assert (found["state"], found["phase"], found["epochs"]) == ("running", "fit", 900)
        assert found["epoch"] >= 1
        for arguments in (("delete", "tiny", "--yes"), ("rename", "tiny", "other")):
            message = complaint(call("runs", *arguments))
            assert "runs/tiny is being written by another process." in message
    finally:
        process.kill()
        process.wait()
    assert overview(Path("runs/tiny")).state == "stopped"
    as_json(call("runs", "delete", "tiny", "--yes", "--json"))
    assert list(Path("runs").iterdir()) == []


def test_what_a_delete_left_and_what_vanishes_meanwhile_are_no_runs(
    runs: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(runs / "torn")
    (runs / "half").rename(runs / ".half.deleted")
    assert [*listed()] == ["done"]
    assert finding.newest(runs).folder == runs / "done"
    before, walk = overview(runs / "done").size_bytes, os.walk

    def with_ghosts(folder: Any) -> Any:
        for there, folders, names in walk(folder):
            yield there, folders, [*names, ".fit.state.npz.1.tmp"]

    monkeypatch.setattr(os, "walk", with_ghosts)
    assert overview(runs / "done").size_bytes == before


def test_asking_whether_a_run_is_locked_locks_nobody_out(tmp_path: Path) -> None:
    """A list of the runs made a training that began just then fail."""
    refused = pytest.raises(UserError, match="written by another process")
    with locked(tmp_path), refused, locked(tmp_path):
        pass
    with (tmp_path / ".lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # as is_locked does
        threading.Timer(0.2, fcntl.flock, (file, fcntl.LOCK_UN)).start()
        with locked(tmp_path):
            assert is_locked(tmp_path)


def test_a_run_that_is_killed_before_it_begins_leaves_no_folder(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It blocked `--resume` of the run before it, and could not be deleted."""

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(finding, "papers", kill)
    (tmp_path / "tiny.yaml").write_text(TINY)
    assert call("train", "tiny.yaml").exit_code == 1
    assert not Path("runs").exists()


def test_resume_finds_the_run_of_the_recipe_that_is_asked_for(runs: Path, call: Call) -> None:
    """The newest of its name was of another recipe, or in use, and the one before never tried."""
    for number, epochs in ((2, 2), (3, 9)):
        half = shutil.copytree(runs / "half", runs / f"half-{number}")
        text = (half / "recipe.yaml").read_text()
        (half / "recipe.yaml").write_text(text.replace("epochs: 2", f"epochs: {epochs}"))
        (half / "environment.json").unlink()
    asked = recipes.load(runs / "half" / "recipe.yaml")
    assert finding.to_resume(Path("half"), "half", runs, asked).folder == runs / "half-2"
    with locked(runs / "half-2"):
        assert finding.to_resume(Path("half"), "half", runs, asked).folder == runs / "half"
        (runs / "half" / "metrics.json").touch()
        with pytest.raises(UserError, match="half-3 was started with another recipe: train"):
            finding.to_resume(Path("half"), "half", runs, asked)


def test_resume_names_the_run_that_has_another_name(runs: Path, call: Call) -> None:
    asked = recipes.load(runs / "half" / "recipe.yaml")
    with pytest.raises(UserError) as caught:
        finding.to_resume(Path("tiny.yaml"), "tiny", runs, asked)
    assert str(caught.value) == (
        "nothing to resume: no unfinished run of tiny in runs.\n"
        "hint: runs/half is one of this recipe: `tflite-light train runs/half --resume`"
    )
    (runs / "half/metrics.json").write_text("{}")
    with pytest.raises(UserError, match=r"hint: Start one without `--resume`."):
        finding.to_resume(Path("tiny.yaml"), "tiny", runs, asked)


def test_a_run_s_name_may_hold_a_dot(runs: Path, call: Call, tmp_path: Path) -> None:
    (runs / "done").rename(runs / "v1.2")
    made = as_json(call("train", "runs/v1.2", "--set", "train.epochs=1", "--json"))
    assert Path(made["run"]) == Path("runs/v1.2-2")
