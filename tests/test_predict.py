"""`predict` answers whatever pictures are named, in order, one by one, and says which it cannot."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from conftest import Call, as_lines, encoded, photograph

from tflite_light.cli import main
from tflite_light.errors import UserError
from tflite_light.measure.predict import Predictor
from tflite_light.pipeline.listing import Listed, listed
from tflite_light.pipeline.streaming import streamed

COUNT = 40


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Forty different pictures in two folders, one of which has a name of many alphabets."""
    for number in range(COUNT):
        picture = photograph().rotate(9 * number)
        path = tmp_path / "shots" / ("Ü b" if number % 2 else "a") / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    return tmp_path / "shots"


def piped(model: Path, content: bytes, *options: str) -> Result:
    return CliRunner().invoke(main, ["predict", str(model), "-", *options], input=content)


def names(result: Result) -> list[str]:
    return [line.split("\t")[0] for line in result.stdout.splitlines()]


def test_files_folders_patterns_and_lists_are_answered_in_the_order_given(
    model: Path, shots: Path, call: Call
) -> None:
    files = [str(path) for path in sorted(shots.rglob("*.png"))]
    assert len(files) == COUNT
    assert names(call("predict", model, *files[::-1])) == files[::-1]
    assert names(call("predict", model, shots)) == files
    assert names(call("predict", model, f"{shots}/*/*.png")) == files
    assert names(call("predict", model, f"{shots}/**")) == files  # folders, too: each file once
    for separator in ("\n", "\r\n", "\0"):
        found = piped(model, os.fsencode(separator.join([*files, ""])))
        assert names(found) == files, separator
    assert names(piped(model, os.fsencode(str(shots)))) == files


def test_answers_are_those_of_one_picture_alone(model: Path, shots: Path) -> None:
    predictor, paths = Predictor(model), sorted(shots.rglob("*.png"))
    assert predictor.predict_files(paths, 3) == [predictor.predict(path, 3) for path in paths]


def test_a_list_separated_by_nul_takes_names_with_line_breaks(model: Path, call: Call) -> None:
    photograph().save("two\nlines.png")
    (found,) = as_lines(piped(model, b"two\nlines.png\0", "--json"))
    assert found["picture"] == "two\nlines.png"


def test_a_list_may_begin_with_a_mark_of_its_bytes(model: Path, call: Call) -> None:
    """As PowerShell and Notepad write it: the first picture was not found, and nobody saw why."""
    photograph().save("one.png")
    (found,) = as_lines(piped(model, b"\xef\xbb\xbfone.png\r\n", "--json"))
    assert (found["picture"], "error" in found) == ("one.png", False)
    assert "- cannot be read: the list is empty\n" in piped(model, b"\xef\xbb\xbf").stderr


def test_json_and_csv_say_the_same(model: Path, shots: Path, call: Call) -> None:
    lines = as_lines(call("predict", model, shots, "--top", 2, "--json"))
    table = csv.DictReader(io.StringIO(call("predict", model, shots, "--top", 2, "--csv").stdout))
    rows = [
        (row["picture"], row["label"], row["index"], float(row["probability"])) for row in table
    ]
    assert len(rows) == 2 * COUNT
    assert rows == [
        (line["picture"], one["label"], str(one["index"]), one["probability"])
        for line in lines
        for one in line["answers"]
    ]


def test_what_cannot_be_read_is_named_and_ends_no_others(
    model: Path, shots: Path, call: Call
) -> None:
    (shots / "words.jpg").write_text("words")
    (shots / "notes.txt").write_text("notes")
    (shots / "gone.png").symlink_to("nowhere")
    Path("empty").mkdir()
    asked = ("predict", model, "none.jpg", "empty", "no*.jpg", shots)
    done = call(*asked)
    assert done.exit_code == 2
    assert len(done.stdout.splitlines()) == COUNT
    problems = {
        "none.jpg": "No such file or directory",
        "empty": "no picture in this folder",
        "no*.jpg": "nothing matches this pattern",
        f"{shots}/words.jpg": "not a JPEG, PNG, BMP, WebP, TIFF, AVIF or HEIC picture, or of a rare kind",
        f"{shots}/gone.png": "links to nowhere: No such file or directory",
    }
    for name, problem in problems.items():
        assert f"{name} cannot be read: {problem}\n" in done.stderr
    assert f"{shots}: left out 1 file that is no JPEG" in done.stderr
    assert done.stderr.endswith(
        "error: 5 of 45 pictures cannot be read; each is named above.\n"
        "hint: Repair or remove them. The others are answered.\n"
    )
    lines = [json.loads(line) for line in call(*asked, "--json").stdout.splitlines()]
    assert {one["picture"]: one["error"] for one in lines if "error" in one} == problems
    table = csv.DictReader(io.StringIO(call(*asked, "--csv").stdout))
    assert {row["picture"]: row["error"] for row in table if row["error"]} == problems


def test_an_empty_list_and_two_forms_at_once_are_refused(model: Path, call: Call) -> None:
    assert "- cannot be read: the list is empty\n" in piped(model, b"").stderr
    done = call("predict", model, "x.png", "--csv", "--json")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: `--csv` and `--json` are two forms of one answer.")


def test_python_is_told_of_every_picture_that_cannot_be_read(model: Path, shots: Path) -> None:
    with pytest.raises(
        UserError, match=r"2 pictures cannot be read: 1.png \(No such file.*; 2.png"
    ):
        Predictor(model).predict_files(["1.png", *shots.rglob("*.png"), "2.png"])


def test_an_answer_waits_for_no_further_name(model: Path, shots: Path) -> None:
    """And Ctrl-C ends it while it waits."""
    first, second = (str(path) for path in sorted(shots.rglob("*.png"))[:2])
    process = started(model, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for path in (first, second):
        process.stdin.write(os.fsencode(path + "\n"))
        process.stdin.flush()
        assert os.fsdecode(process.stdout.readline()).startswith(path)
    process.send_signal(2)
    _, stderr = process.communicate(timeout=10)
    assert (process.returncode, stderr) == (130, b"\nstopped; what was finished is kept.\n")


def test_a_reader_that_goes_away_ends_it_quietly(model: Path, shots: Path) -> None:
    path = str(next(shots.rglob("*.png")))
    endless = subprocess.Popen(["yes", path], stdout=subprocess.PIPE)
    process = started(model, stdin=endless.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert os.fsdecode(process.stdout.readline()).startswith(path)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(10) == 141
    endless.kill()


def started(model: Path, **streams: Any) -> Any:
    command = [sys.executable, "-m", "tflite_light", "predict", str(model), "-"]
    return subprocess.Popen(command, **streams)


def test_few_things_are_held_at_a_time() -> None:
    drawn, done = [], []

    def items() -> Any:
        for number in range(1000):
            drawn.append(number)
            yield number

    for number in streamed(str, items(), ahead=8):
        done.append(number)
        assert len(drawn) <= len(done) + 10  # 8 wait, one is taken, one waits for a place
    assert done == [str(number) for number in range(1000)]


def test_a_closed_stream_begins_nothing_more() -> None:
    begun = []

    def slow(number: int) -> int:
        begun.append(number)
        time.sleep(0.01)
        return number

    stream = streamed(slow, iter(int, 1), ahead=8)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    time.sleep(0.1)
    before = len(begun)
    time.sleep(0.1)
    assert len(begun) == before < 20


def test_what_listing_raises_is_raised_in_its_place() -> None:
    def items() -> Any:
        yield 1
        raise OSError("the disk is gone")

    stream = streamed(str, items())
    assert next(stream) == "1"
    with pytest.raises(OSError, match="the disk is gone"):
        next(stream)


def test_a_name_with_a_pattern_s_signs_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "a[1].png"
    path.write_bytes(encoded(photograph(), "PNG"))
    shutil.copy(path, tmp_path / "a1.png")
    assert list(listed([str(path)], io.BytesIO())) == [Listed(str(path))]
    assert list(listed([f"{tmp_path}/a[0-9].png"], io.BytesIO())) == [Listed(f"{tmp_path}/a1.png")]
