"""Whoever waits sees how long; whoever does not is left in peace."""

import re
import sys
import time
from collections.abc import Iterator

import pytest

from tflite_light import progress

LINE = r"reading pictures: \d+ of 1,000, \d+/s, \d+ s left"


def slow() -> Iterator[int]:
    for number in range(40):
        time.sleep(0.01)
        yield number


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SHORT", 0.1)
    monkeypatch.setattr(progress, "EVERY", {True: 0.01, False: 0.1})


@pytest.mark.usefixtures("impatient")
def test_a_log_has_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.counted(slow(), 1000, "reading pictures")) == list(range(40))
    lines = capsys.readouterr().err.splitlines()
    assert 1 <= len(lines) <= 4
    assert all(re.fullmatch(LINE, line) for line in lines)


@pytest.mark.usefixtures("impatient")
def test_a_terminal_has_one_line_that_is_gone_in_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(progress.counted(slow(), 1000, "reading pictures")) == list(range(40))
    first, *shown, last = capsys.readouterr().err.split(progress.CLEAR)
    assert first == last == ""
    assert len(shown) >= 2
    assert all(re.fullmatch(LINE, line) for line in shown)


def test_what_is_soon_done_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert sum(progress.counted(range(1000), 1000, "reading pictures")) == 499_500
    assert capsys.readouterr().err == ""
