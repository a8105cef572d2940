"""Files that somebody changed, through `inspect`, `predict` and `verify`: an answer or a message, no crash."""

import gzip
import io
import json
import select
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

from tflite_light import contract

pytestmark = pytest.mark.slow
MUTATIONS = 5000
SECONDS = 60  # for one file, and for the process to start
BATCH = 250  # files a process


def test_mutated_files_are_answered_or_refused(sources: Path) -> None:
    """Those with a contract are refused by its digest; those without come to LiteRT."""
    outcomes = Counter(" / ".join(one) for one in _outcomes(sources))
    print(dict(outcomes.most_common()))
    assert sum(outcomes.values()) == MUTATIONS
    usual = {"ok / ok / refused", "ok / refused / refused", "refused / refused / refused"}
    assert {word for one in outcomes for word in one.split(" / ")} == {"ok", "refused"}
    assert min(outcomes[one] for one in usual) > MUTATIONS // 20


@pytest.fixture(scope="module")
def sources(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with delivered files, the same without their contract, and one that Google hosts."""
    folder = tmp_path_factory.mktemp("sources")
    shutil.copytree(home / "app", folder, dirs_exist_ok=True)
    for mode in ("int8", "float32"):
        content = (folder / f"signs_{mode}.tflite").read_bytes()
        (folder / f"{mode}_foreign.tflite").write_bytes(_without_contract(content))
    hosted = ROOT / "tests" / "hosted" / "mobilenet_v1_0.25_128_quant.tflite.gz"
    (folder / "hosted.tflite").write_bytes(gzip.decompress(hosted.read_bytes()))
    return folder


def _without_contract(content: bytes) -> bytes:
    network = io.BytesIO(content[: content.index(b"PK\x03\x04")])
    with zipfile.ZipFile(network, "a") as into, zipfile.ZipFile(io.BytesIO(content)) as old:
        into.writestr(zipfile.ZipInfo(contract.LABELS), old.read(contract.LABELS))
    return network.getvalue()


def _outcomes(sources: Path) -> Iterator[list[str]]:
    done = 0
    while done < MUTATIONS:
        for outcome in _process(sources, done, min(done + BATCH, MUTATIONS)):
            if set(outcome) - {"ok", "refused"}:
                print(f"mutation {done}: {outcome}")
            done += 1
            yield outcome


def _process(sources: Path, start: int, end: int) -> Iterator[list[str]]:
    """Outcomes, to the first that the process does not survive."""
    script = str(ROOT / "tests" / "mutations.py")
    command = [sys.executable, script, str(sources), str(start), str(end)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    ) as process:
        assert process.stdout
        while select.select([process.stdout], [], [], SECONDS)[0]:
            if not (line := process.stdout.readline()):
                break
            start += 1
            yield json.loads(line)
        else:
            process.kill()
    if start < end:
        yield [f"ended with {process.returncode}"]
