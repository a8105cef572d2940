"""The page about a run or a file, as a browser reads it."""

import json
import os
import shutil
from pathlib import Path

import pytest
from browser import CHROMIUM, Dom, opened
from conftest import TINY, Call, as_json, complaint, invoke

from tflite_light.data._examples import write_photographs
from tflite_light.report.terminal import console, headed
from tflite_light.runs.reporting import SHOWN

in_browser = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")


NAMES = ["<b>bold", 'quo"ted', "black & white"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, of photographs in classes whose names are like HTML."""
    folder = tmp_path_factory.mktemp("home")
    photos = write_photographs(folder / "photos", classes=3, each=20)
    for old, new in zip(sorted(photos.iterdir()), NAMES, strict=True):
        old.rename(photos / new)
    data = f"data: {{directory: {{path: {photos}}}}}"
    recipe = "\n".join(data if line.startswith("data:") else line for line in TINY.splitlines())
    (folder / "tiny.yaml").write_text(recipe)
    as_json(invoke("train", folder / "tiny.yaml", "--runs", folder / "runs", "--json"))
    return folder


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    return home / "runs" / "tiny"


@pytest.fixture(scope="module")
def page(run: Path) -> Dom:
    return Dom((run / "report.html").read_text())


def by_name(dom: Dom, place: int = 0) -> dict[str, dict[str, str]]:
    heads, *lines = dom.tables[place].lines
    return {line[0]: dict(zip(heads, line, strict=True)) for line in lines}


@in_browser
def test_a_browser_shows_the_figures_of_metrics_json(run: Path) -> None:
    dom, console = opened(run / "report.html")
    assert console == []
    shown = {name: cells | by_name(dom, 1)[name] for name, cells in by_name(dom).items()}
    rows = json.loads((run / "metrics.json").read_text())["rows"]
    assert [name.removesuffix(".tflite") for name in shown] == [row["name"] for row in rows]
    for (name, cells), row in zip(shown.items(), rows, strict=True):
        assert cells["top-1 (95 %)"].split()[0] == f"{row['top1']:.4f}"
        assert cells["zeros"] == f"{row['zeros']:.4f}"
        if name.endswith(".tflite"):
            assert cells["agreement"] == f"{row['agreement']:.4f}"
            assert cells["KiB"] == f"{row['size_bytes'] / 1024:.0f}"


def test_classes_have_the_figures_of_the_confusion_matrix(run: Path, page: Dom) -> None:
    rows = {row["name"]: row for row in json.loads((run / "metrics.json").read_text())["rows"]}
    tables = {
        one.attributes["data-row"]: one for one in page.tables if "data-row" in one.attributes
    }
    assert list(tables) == list(rows)[::-1]
    for name, table in tables.items():
        classes = {one["name"]: one for one in rows[name]["confusion"]["classes"]}
        assert {line[0] for line in table.lines[1:]} == set(classes)
        for label, pictures, recall, _, precision, _ in table.lines[1:]:
            assert int(pictures) == classes[label]["pictures"]
            assert recall == f"{classes[label]['recall']:.4f}"
            found = classes[label]["precision"]
            assert precision == ("" if found is None else f"{found:.4f}")


def test_a_page_needs_nothing_beside_itself(page: Dom) -> None:
    assert {one.partition(":")[0] for one in page.loaded if not one.startswith("#")} == {"data"}


def test_a_page_can_be_read_aloud(page: Dom) -> None:
    assert all(one["alt"] for one in page.pictures)
    assert page.headings[0] == "tiny"
    sections = [
        "Result",
        "Learning curves",
        "Classes",
        "Mistakes",
        "Where files and their model disagree",
        "Pictures as training saw them",
        "Layers",
        "How it was made",
    ]
    assert page.headings[1:] == [one for one in sections if one in page.headings]
    assert set(sections) - set(page.headings) <= set(sections[3:5])  # where there are none


def test_names_are_shown_as_they_are(page: Dom) -> None:
    table = next(one for one in page.tables if "data-row" in one.attributes)
    assert {line[0] for line in table.lines[1:]} == set(NAMES)


def test_a_file_has_a_page_of_its_own(home: Path, run: Path, call: Call) -> None:
    file = run / "exports" / "int8.tflite"
    made = as_json(call("report", file, "--data", home / "photos", "-o", "page.html", "--json"))
    assert made == {"page": "page.html"}
    dom = Dom(Path("page.html").read_text())
    rows = as_json(call("evaluate", file, "--data", home / "photos", "--json"))["rows"]
    assert by_name(dom)["int8.tflite"]["top-1 (95 %)"].split()[0] == f"{rows[0]['top1']:.4f}"
    assert dom.headings[:2] == ["int8.tflite", "Result"]
    assert "Learning curves" not in dom.headings
    wrong = rows[0]["pictures"] - rows[0]["confusion"]["right"]
    assert len(dom.pictures) == min(wrong, SHOWN)


def test_names_that_are_no_utf_8_are_shown(home: Path, run: Path, call: Call) -> None:
    """A page of such was a traceback, after all that had been measured."""
    for path in Path(shutil.copytree(home / "photos", "photos")).glob("*/*"):
        path.rename(path.with_name(os.fsdecode(b"\xff") + path.name))
    model = os.fsdecode(b"odd\xff.tflite")
    shutil.copy(run / "exports" / "float32.tflite", model)
    page = call("report", model, "--data", "photos", "-o", "page.html")
    assert page.exit_code == 0, page.output
    assert "\\udcff" in Path("page.html").read_text(encoding="utf-8")
    drawn = call(
        "compare", model, run / "exports" / "int8.tflite", "--data", "photos", "--plot", "plot.svg"
    )
    assert drawn.exit_code == 0, drawn.output
    assert call("benchmark", model, "--runs", "10", "--profile").exit_code == 0


def test_the_page_of_a_run_is_made_again(run: Path, call: Call) -> None:
    before = Dom((run / "report.html").read_text())
    call("report", run, "-o", "again.html")
    again = Dom(Path("again.html").read_text())
    assert again.headings == before.headings
    assert [line[:3] for line in again.tables[0].lines] == [
        line[:3] for line in before.tables[0].lines
    ]


def test_what_cannot_be_reported_is_said(run: Path, call: Call) -> None:
    file = run / "exports" / "int8.tflite"
    assert "missing option `--data`" in complaint(call("report", file))
    assert "nowhere does not exist" in complaint(call("report", "nowhere"))
    Path("there.html").mkdir()
    assert "there.html exists already." in complaint(call("report", run, "-o", "there.html"))


def test_a_page_takes_no_other_file_s_name(home: Path, run: Path, call: Call) -> None:
    kept = {"recipe.yaml": "a.yaml", "exports/int8.tflite": "a.html"}
    for source, copy in kept.items():
        shutil.copy(run / source, copy)
    for out in ("a.yaml", "noext"):
        told = complaint(call("report", run, "-o", out, "--force"))
        named = Path(out).with_suffix(".html")
        assert told == f"{out} is no name for a page of HTML.\nhint: Name it {named}.\n"
    told = complaint(call("report", "a.html", "--data", home / "photos", "--force"))
    assert told == "a.html is the file that is read.\nhint: Name another file by `-o`.\n"
    for source, copy in kept.items():
        assert Path(copy).read_bytes() == (run / source).read_bytes()


def test_a_page_is_written_over_only_when_asked(home: Path, run: Path, call: Call) -> None:
    shutil.copy(run / "exports" / "int8.tflite", "mine.tflite")
    Path("mine.html").write_text("of the user")
    for options in (("mine.tflite", "--data", home / "photos"), (run, "-o", "mine.html")):
        assert complaint(call("report", *options)).startswith("mine.html exists already.")
    assert Path("mine.html").read_text() == "of the user"
    as_json(call("report", run, "-o", "mine.html", "--force", "--json"))
    assert "<html" in Path("mine.html").read_text()


def test_a_run_s_own_page_is_not_replaced_by_one_of_other_pictures(
    home: Path, run: Path, call: Call
) -> None:
    shutil.copytree(run, "mine")
    name = sorted(NAMES)[0]
    shutil.copytree(home / "photos" / name, Path("some") / name)
    Path("some/notes.txt").write_text("of a person")
    before = Path("mine/report.html").read_text()
    asked = ("report", "mine", "--data", "some", "--skip-strangers")
    assert complaint(call(*asked)).startswith("mine/report.html exists already.")
    assert Path("mine/report.html").read_text() == before
    call(*asked, "-o", "other.html")
    assert Path("other.html").exists()
    call("report", "mine")


@pytest.mark.parametrize(
    "key", ["started", "tflite_light", "python", "packages", "machine", "seed"]
)
def test_a_damaged_record_is_refused_before_anything_is_measured(
    run: Path, call: Call, key: str
) -> None:
    shutil.copytree(run, "mine")
    record = json.loads(Path("mine/environment.json").read_text())
    del record[key]
    Path("mine/environment.json").write_text(json.dumps(record))
    result = call("report", "mine")
    assert complaint(result).startswith(f"mine/environment.json lacks {key}.\nhint: Restore it")
    assert "measuring" not in result.stderr


def test_pictures_that_were_moved_are_named_before_the_page_that_is_there(
    home: Path, run: Path, call: Call
) -> None:
    (home / "photos").rename(home / "elsewhere")
    try:
        assert f"{home / 'photos'} does not exist" in complaint(call("report", run))
    finally:
        (home / "elsewhere").rename(home / "photos")


def test_a_figure_that_is_cut_off_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    table = headed(["layer", "figure"], ["layer"])
    table.add_row("x" * 60, "147,725")
    console(40).print(table)
    line = capsys.readouterr().out.splitlines()[1]
    assert "147,725" in line or "…" in line.split()[-1]


def test_a_run_is_reported_on_other_pictures_as_it_is_evaluated(
    home: Path, run: Path, call: Call
) -> None:
    table = Path("t.csv")
    paths = [path for path in sorted((home / "photos").rglob("*.jpg")) if "white" in str(path)]
    rows = "".join(f'"{path}",{NAMES[2]}\n' for path in paths)
    table.write_text(f"path,label\n{rows}")
    as_json(call("report", run, "--data", table, "-o", "page.html", "--json"))
    dom = Dom(Path("page.html").read_text())
    found = as_json(call("evaluate", run, "--data", table, "--json"))["rows"]
    assert by_name(dom)["fit"]["top-1 (95 %)"].split()[0] == f"{found[0]['top1']:.4f}"
    assert "Pictures as training saw them" not in dom.headings


def test_a_run_that_goes_on_with_moved_pictures_is_reported_with_them(
    home: Path, run: Path, call: Call
) -> None:
    shutil.copytree(home / "photos", "moved")
    shutil.copytree(run, "mine")
    Path("mine/metrics.json").unlink()
    as_json(call("train", "mine", "--resume", "--data", "moved", "--json"))
    text = Path("mine/report.html").read_text()
    assert Dom(text).headings[1:] == Dom((run / "report.html").read_text()).headings[1:]
    assert "data moved" in text
    assert str(home / "photos") not in text.split("Recipe")[0]


@pytest.mark.parametrize("spoil", ["\ufeff{}", "a;b\n{}", "phase,epoch\nfit,1\n"])
def test_a_history_that_another_program_saved_is_refused_in_words(
    run: Path, call: Call, spoil: str
) -> None:
    shutil.copytree(run, "mine")
    history = Path("mine/history.csv")
    history.write_text(spoil.format(history.read_text()))
    assert "mine/history.csv is damaged.\nhint: Restore it" in complaint(call("report", "mine"))
