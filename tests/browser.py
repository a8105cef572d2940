"""A page as a browser has it: Chromium without a window."""

import shutil
import subprocess
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]


@dataclass
class Table:
    attributes: dict[str, str | None]
    lines: list[list[str]] = field(default_factory=list)


class Dom(HTMLParser):
    """Tables by lines of cells, headings, pictures, and what a page would load."""

    def __init__(self, text: str):
        super().__init__()
        self.tables: list[Table] = []
        self.headings: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.loaded: list[str] = []
        self._into: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.loaded += [found[key] or "" for key in ("src", "href", "xlink:href") if key in found]
        if tag == "table":
            self.tables.append(Table(found))
        elif tag == "tr":
            self.tables[-1].lines.append([])
        elif tag in ("th", "td"):
            self._into = self.tables[-1].lines[-1]
            self._into.append("")
        elif tag in ("h1", "h2"):
            self._into = self.headings
            self._into.append("")
        elif tag == "img":
            self.pictures.append(found)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("th", "td", "h1", "h2"):
            self._into = None

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into[-1] += data


def opened(page: Path) -> tuple[Dom, list[str]]:
    """What Chromium makes of a page, and the lines of its console."""
    assert CHROMIUM
    done = subprocess.run(
        [CHROMIUM, *FLAGS, "--dump-dom", page.absolute().as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return Dom(done.stdout), [line for line in done.stderr.splitlines() if "CONSOLE" in line]
