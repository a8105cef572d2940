"""Published weights are fetched from a server on this machine: whole, in pieces, and not at all."""

import hashlib
import http.client
import http.server
import itertools
import re
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Call, complaint, networks

from tflite_light import recipe as recipes
from tflite_light.errors import UserError
from tflite_light.graph import checkpoint
from tflite_light.models.squeezenet import SqueezeNet
from tflite_light.offline import OFFLINE
from tflite_light.sockets import load
from tflite_light.weights import _fetching, _published, imagenet
from tflite_light.weights._fetching import fetched
from tflite_light.weights._published import NONE_OF, TABLE, Published
from tflite_light.weights.imagenet import Imagenet
from tflite_light.weights.torch import Torch

CONTENT = _fetching.HDF5 + np.random.default_rng(0).bytes(2_499_992)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ROW = next(row for row in TABLE if row.model == "squeezenet")


class Server(http.server.ThreadingHTTPServer):
    """Answers `/whole`, `/cut` (a million bytes an answer), `/short` (ranges of 400,000) and
    `/moved`; all else 404.

    `version` is its ETag, and `stated` and `length` are headers in place of the true ones.
    """

    content = CONTENT
    ranges: bool = True
    heeds_if_range: bool = True
    version = ""
    stated = ""
    length = ""
    status = 200  # of a whole file
    asked: list[tuple[str, str | None]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append((self.path, wanted))
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/whole")
            self.end_headers()
            return
        if self.path not in ("/whole", "/cut", "/short"):
            self.send_error(404)
            return
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        if begin >= len(server.content):
            self.send_error(416)
            return
        known = self.headers.get("If-Range", server.version)
        if server.heeds_if_range and known != server.version:
            begin = 0
        rest, size = server.content[begin:], len(server.content)
        if begin and self.path == "/short":
            rest = rest[:400_000]
        self.send_response(206 if begin else server.status)
        self.send_header("Content-Length", server.length or str(len(rest)))
        if begin:
            stated = server.stated or f"bytes {begin}-{begin + len(rest) - 1}/{size}"
            self.send_header("Content-Range", stated)
        if server.version:
            self.send_header("ETag", server.version)
        self.end_headers()
        self.wfile.write(rest[:1_000_000] if self.path == "/cut" else rest)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server(("127.0.0.1", 0), Answers)
    found.asked = []
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        found.shutdown()
        found.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("http_proxy", "HTTP_PROXY", OFFLINE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(_fetching.CACHE, str(tmp_path / "a cache"))
    return tmp_path / "a cache"


def row(url: str, digest: str = f"sha256:{SHA256}") -> Published:
    return replace(ROW, url=url, digest=digest)


def refused(file: Published) -> UserError:
    with pytest.raises(UserError) as refusal:
        fetched(file)
    return refusal.value


@pytest.mark.parametrize("path", ["whole", "moved"])
def test_a_file_is_fetched_once(server: Server, cache: Path, path: str) -> None:
    for _ in range(2):
        assert fetched(row(f"{server.url}/{path}")) == cache / path
    assert (cache / path).read_bytes() == CONTENT
    assert [name for name, _ in server.asked] == {
        "whole": ["/whole"],
        "moved": ["/moved", "/whole"],
    }[path]
    assert sorted(one.name for one in cache.iterdir()) == [f".{path}.lock", path]


@pytest.mark.parametrize("kind", ["sha256", "md5", "git", "beginning", "none"])
def test_a_digest_is_checked_as_far_as_it_is_known(server: Server, cache: Path, kind: str) -> None:
    header = b"blob 2500000\0"
    digest = {
        "sha256": f"sha256:{SHA256}",
        "md5": f"md5:{hashlib.md5(CONTENT).hexdigest()}",
        "git": f"git:{hashlib.sha1(header + CONTENT).hexdigest()}",
        "beginning": f"sha256:{SHA256[:8]}",
        "none": "",
    }[kind]
    file = row(f"{server.url}/whole", digest)
    assert fetched(file) == cache / "whole"
    server.content = (cache / "whole").read_bytes()[:-1] + b"?"
    (cache / "whole").write_bytes(server.content)
    if not digest:
        assert fetched(file)
        return
    refusal = refused(file)
    assert refusal.problem.startswith(f"{cache}/whole is not the published file: {file.known}, and")
    assert refusal.hint.startswith("Remove it.")
    (cache / "whole").unlink()
    refusal = refused(file)
    assert "/whole gave another file than the published: " in refusal.problem
    assert not list(cache.glob("whole*"))


def test_a_transfer_that_breaks_off_goes_on_by_itself(server: Server, cache: Path) -> None:
    assert fetched(row(f"{server.url}/cut")).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, "bytes=1000000-", "bytes=2000000-"]


def test_a_transfer_that_breaks_off_again_and_again_is_gone_on_with_later(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_fetching, "TRIES", 2)
    refusal = refused(row(f"{server.url}/cut"))
    assert refusal.problem == (
        f"{server.url}/cut broke off after 2,000,000 bytes: 2,500,000 were announced."
    )
    assert refusal.hint.startswith("Type the command again: it goes on there.")
    assert not (cache / "cut").exists()
    assert fetched(row(f"{server.url}/cut")).read_bytes() == CONTENT
    assert server.asked[-1] == ("/cut", "bytes=2000000-")


def test_a_server_without_ranges_begins_anew(server: Server, cache: Path) -> None:
    server.ranges = False
    cache.mkdir()
    (cache / "whole.part").write_bytes(CONTENT[:77])
    assert fetched(row(f"{server.url}/whole")).read_bytes() == CONTENT


def test_a_part_that_is_too_long_begins_anew(server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / "whole.part").write_bytes(CONTENT + b"more")
    assert fetched(row(f"{server.url}/whole")).read_bytes() == CONTENT


def test_without_digest_and_version_no_part_is_gone_on_with(server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / "whole.part").write_bytes(b"another's")
    assert fetched(row(f"{server.url}/whole", "")).read_bytes() == CONTENT
    assert server.asked == [("/whole", None)]
    server.version = 'W/"weak"'
    refusal = refused(row(f"{server.url}/cut", ""))
    assert "broke off after 1,000,000 bytes" in refusal.problem
    assert refusal.hint.startswith("Type the command again: it begins anew.")


def test_without_a_digest_the_server_s_version_is_gone_on_with_later(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_fetching, "TRIES", 2)
    server.version = '"one"'
    refusal = refused(row(f"{server.url}/cut", ""))
    assert refusal.hint.startswith("Type the command again: it goes on there.")
    assert fetched(row(f"{server.url}/cut", "")).read_bytes() == CONTENT
    assert server.asked[-1] == ("/cut", "bytes=2000000-")
    assert sorted(one.name for one in cache.iterdir()) == [".cut.lock", "cut"]


def begun(cache: Path, name: str, size: int) -> None:
    """As a transfer of version "one" leaves it that broke off after `size` bytes."""
    cache.mkdir()
    (cache / f"{name}.part").write_bytes(CONTENT[:size])
    (cache / f"{name}.version").write_text('"one"')


@pytest.mark.parametrize("heeds_if_range", [True, False])
def test_a_file_that_changed_between_two_tries_begins_anew(
    heeds_if_range: bool, server: Server, cache: Path
) -> None:
    begun(cache, "cut", 1_000_000)
    server.heeds_if_range = heeds_if_range
    server.content, server.version = _fetching.HDF5 + CONTENT[:2_000_000], '"two"'
    assert fetched(row(f"{server.url}/cut", "")).read_bytes() == server.content


@pytest.mark.parametrize("stated", ["bytes 0-2499999/2500000", "bytes 9-/*", "all"])
def test_another_range_than_was_asked_for_begins_anew(
    stated: str, server: Server, cache: Path
) -> None:
    begun(cache, "whole", 1000)
    server.version, server.stated = '"one"', stated
    assert fetched(row(f"{server.url}/whole", "")).read_bytes() == CONTENT
    assert server.asked == [("/whole", "bytes=1000-"), ("/whole", None)]


def test_a_shorter_range_is_gone_on_with_to_the_end(server: Server, cache: Path) -> None:
    """Its Content-Length is its own, the file's is in Content-Range."""
    begun(cache, "short", 1_300_000)
    server.version = '"one"'
    assert fetched(row(f"{server.url}/short", "")).read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [
        f"bytes={begin}-" for begin in (1_300_000, 1_700_000, 2_100_000)
    ]


def test_what_is_no_file_of_weights_is_not_kept(server: Server, cache: Path) -> None:
    file = row(f"{server.url}/whole", "")
    server.content = b"<html>Log in</html>"
    assert refused(file).problem.endswith("than the published: it is no HDF5 file.")
    server.content, server.status = b"-", 204
    assert refused(file).problem == f"{file.url}: HTTP 204 No Content."
    assert not list(cache.glob("whole*"))
    (cache / "whole").write_bytes(b"<html>")  # as earlier versions kept it
    assert refused(file).problem == f"{cache}/whole is not the published file: it is no HDF5 file."


def test_a_length_that_is_no_number_is_none(server: Server, cache: Path) -> None:
    server.length = "abc"
    assert fetched(row(f"{server.url}/whole", "")).read_bytes() == CONTENT


def test_a_transfer_whose_encryption_breaks_goes_on_by_itself(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, errors = http.client.HTTPResponse.read, [ssl.SSLError("bad record")]

    def breaking(self: http.client.HTTPResponse, size: int | None = None) -> bytes:
        if errors:
            raise errors.pop()
        return read(self, size)

    monkeypatch.setattr(http.client.HTTPResponse, "read", breaking)
    assert fetched(row(f"{server.url}/whole")).read_bytes() == CONTENT


def test_what_cannot_be_had_says_which_file_to_put_where(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = row(f"{server.url}/lost", f"sha256:{SHA256[:8]}")
    put = (
        f"Without a network put {lost.url} into {cache} as lost (SHA-256 begins with {SHA256[:8]}); "
        "TFLITE_LIGHT_CACHE places that folder."
    )
    assert str(refused(lost)) == f"{lost.url}: HTTP 404 Not Found.\nhint: {put}"
    nobody = row("http://127.0.0.1:9/lost", lost.digest)
    assert refused(nobody).problem == f"{nobody.url} cannot be reached: Connection refused."
    monkeypatch.setenv(OFFLINE, "0")
    assert "HTTP 404" in refused(lost).problem
    monkeypatch.setenv(OFFLINE, "1")
    asked = len(server.asked)
    refusal = refused(lost)
    assert refusal.problem == f"{cache}/lost does not exist, and TFLITE_LIGHT_OFFLINE is set."
    assert (refusal.hint, len(server.asked)) == (put, asked)
    (cache / "lost").write_bytes(CONTENT)
    assert fetched(lost) == cache / "lost"


def test_a_cache_that_cannot_be_written_is_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(_fetching.CACHE, str(tmp_path / "file" / "cache"))
    refusal = refused(row(f"{server.url}/whole"))
    assert refusal.problem.startswith(f"cannot write into {tmp_path}/file/cache")
    assert refusal.hint == "Set TFLITE_LIGHT_CACHE to a folder that can be written."


def test_weights_of_a_server_reach_the_network(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the format of safetensors, which is told by its content, not by its name."""
    file = Path(Torch.example(tmp_path).path)
    server.content = file.read_bytes()
    digest = hashlib.sha256(server.content).hexdigest()
    mine = replace(ROW, url=f"{server.url}/whole", digest=f"sha256:{digest}")
    monkeypatch.setattr(imagenet, "TABLE", [mine])
    architecture = SqueezeNet(version="1.0")
    model = architecture.build((32, 32, 3), 10)
    before = checkpoint.weights_of(model)
    with pytest.raises(UserError, match="do not fit"):
        Imagenet().load(model, architecture)
    monkeypatch.setattr(imagenet, "TABLE", [replace(mine, fields={})])
    model = SqueezeNet().build((32, 32, 3), 10)
    assert Imagenet().load(model, SqueezeNet()) == []
    assert before.keys() == checkpoint.weights_of(model).keys()


# The table


def test_every_architecture_has_a_row_or_a_reason() -> None:
    published = {name for name in networks() if load("models", name).published()[0].source}
    assert {row.model for row in TABLE} | NONE_OF.keys() == published
    assert len(published) == 7


@pytest.mark.parametrize("file", TABLE, ids=lambda file: f"{file.model}-{file.name}")
def test_a_row_s_network_has_the_names_of_its_file(file: Published) -> None:
    architecture = load("models", file.model)(**file.fields)
    weights = Imagenet.model_validate({"size": file.image.size})
    assert weights.published(architecture) == file
    known = weights.references(architecture)
    assert known
    assert ("keras" in known) == file.by_keras


def test_files_without_a_digest_are_hdf5() -> None:
    """By which they are told from others' answers."""
    assert {file.name[-3:] for file in TABLE if not file.digest} == {".h5"}


def test_files_of_a_table_have_different_names() -> None:
    assert len({file.name for file in TABLE}) == len(TABLE) == 50


def test_the_page_has_the_table() -> None:
    page = (ROOT / "docs" / "weights.md").read_text()
    rows = re.findall(r"^\| (?!network|---).*$", page, re.MULTILINE)
    assert len(rows) == 15
    assert [line for row in rows for line in _expanded(row)] == [_line(file) for file in TABLE]


def _expanded(row: str) -> list[str]:
    """A row of several files, with ALPHA and SIZE in its address, as a row for each."""
    if "ALPHA" not in row:
        return [row]
    network, file, *known, pixels = row.strip("| ").split(" | ")
    model, alphas, variant = re.split(r" alpha | (?=variant)", network)
    sizes, box = pixels.split(", ", 1)
    address = file.split("`")[1]
    widths = {str(alpha): width for alpha, width in _published._WIDTHS.items()}
    lines = []
    for alpha, size in itertools.product(alphas.split(" / "), sizes.split(" / ")):
        written = widths[alpha] if model == "mobilenet_v1" else alpha
        url = address.replace("ALPHA", written).replace("SIZE", size)
        link = f"[{url.rsplit('/', 1)[-1]}]({url})"
        cells = [f"{model} alpha {alpha} {variant}", link, *known, f"{size}, {box}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _line(file: Published) -> str:
    fields = " ".join(f"{name} {value}" for name, value in file.fields.items())
    image = file.image
    pixels = "127.5" if image.mean[0] == 127.5 else "ImageNet"
    box = f"{image.size}, {image.crop:.4g}, {image.filter}"
    return (
        f"| {file.model} {fields} | [{file.name}]({file.url}) | {file.known} | {file.licence} "
        f"| {box}, {pixels} |"
    )


# What a recipe need not say


IMPORT = (
    "model: {squeezenet: {version: '1.0'}}\nweights: imagenet\nclasses: 1000\nexport: [float32]\n"
)


def test_a_table_s_pixels_are_a_recipe_s_where_it_says_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(IMPORT)
    image = recipes.load(path).image
    assert (image.size, image.crop, image.filter) == (224, 0.875, "bilinear")
    assert image.mean == (123.675, 116.28, 103.53)
    again = tmp_path / "again.yaml"
    again.write_text(recipes.to_yaml(recipes.load(path)))
    assert recipes.load(again) == recipes.load(path)
    image = recipes.load(path, ["image={size: 96, resize: stretch, mean: 128}"]).image
    assert (image.size, image.crop, image.mean) == (96, 1, (128,) * 3)
    assert image.std == (58.395, 57.12, 57.375)
    image = recipes.load(path, ["model={xception: {variant: torch}}"]).image
    assert (image.size, image.crop, image.filter, image.std) == (
        299,
        0.8975,
        "bicubic",
        (127.5,) * 3,
    )


def test_other_pixels_than_the_table_s_are_named(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(IMPORT + "image: {mean: 127.5, std: 127.5}\n")
    message = complaint(call("export", "mine.yaml", "--out", "app"))
    assert "weights imagenet know pixels with channels: RGB, mean: [123.675, 116.28, " in message


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("shufflenet_v1", "of shufflenet_v1 there are none: Megvii's lie in a folder that no program"),
        ("tiny", "of tiny there are none: there are some of ghostnet, mobilenet_v1, mobilenet_v2, "),
        ("{mobilenet_v2: {alpha: 0.6}}", "of mobilenet_v2 there are none with alpha 0.6 variant keras."),
        ("{shufflenet_v2: {variant: paper}}", "of shufflenet_v2 there are none with alpha 1.0 variant paper."),
    ],
)  # fmt: skip
def test_what_nobody_publishes_is_refused_with_the_recipe(
    model: str, problem: str, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(f"model: {model}\nweights: imagenet\nclasses: 1000\n")
    assert problem in complaint(call("check", "mine.yaml"))


def test_a_size_that_was_not_published_is_refused(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(IMPORT.replace("imagenet", "{imagenet: {size: 96}}"))
    message = complaint(call("check", "mine.yaml"))
    assert "squeezenet with version 1.0 bypass none was not published at 96." in message
    assert message.endswith("hint: Choose among 224.\n")
