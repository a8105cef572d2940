"""The Android demo with a model in it: what is in the APK, its signature, and bringing it to a phone."""

import io
import json
import os
import random
import re
import shutil
import stat
import struct
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, Call, as_json, complaint

from tflite_light import contract
from tflite_light.android import key, manifest
from tflite_light.android.apk import MANIFEST, alignment, read
from tflite_light.android.demo import name_of
from tflite_light.android.shell import ABIS, APPLICATION_ID, find
from tflite_light.errors import UserError
from tflite_light.tflite.editing import Editor

AAPT2 = ROOT / "android_demo" / "build" / "aapt2"
APKSIG = sorted(Path.home().glob(".m2/repository/com/android/tools/build/apksig/*/apksig-*.jar"))
BUILT = [(ROOT / "tflite_light" / "android" / "shell.apk").exists(), AAPT2.exists(), *APKSIG]
pytestmark = pytest.mark.skipif(
    not all(BUILT[:2]) or not APKSIG, reason="the app's shell was not built: make apk"
)


@pytest.fixture(autouse=True)
def settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of whoever runs the tests is neither made nor used."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "settings"))


@pytest.fixture
def apk(home: Path, model: Path, call: Call) -> Path:
    as_json(call("android", model, "-o", "signs.apk", "--key", home / "key.pem", "--json"))
    return Path("signs.apk")


def verified(*apks: Path) -> list[str]:
    java = ["java", "-cp", str(APKSIG[-1]), str(ROOT / "tests" / "android" / "Verify.java")]
    done = subprocess.run([*java, *map(str, apks)], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def badging(apk: Path) -> str:
    command = [str(AAPT2), "dump", "badging", str(apk)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_app_holds_the_shell_and_the_model_s_files(apk: Path, model: Path) -> None:
    with zipfile.ZipFile(apk) as app, zipfile.ZipFile(find()) as shell:
        for name in shell.namelist():
            assert app.read(name) == shell.read(name)
        models = "assets/models"
        assert app.read(f"{models}/signs_int8.tflite") == model.read_bytes()
        inside = contract.Contract.model_validate_json(app.read(f"{models}/signs_int8.json"))
        agreed = contract.read(model)
        assert inside.bare() == agreed.bare()
        assert len(inside.golden) == 8
        for one, other in zip(inside.golden, agreed.golden, strict=True):
            assert (
                app.read(f"{models}/{one.picture}") == (model.parent / other.picture).read_bytes()
            )
            assert (one.output, one.input_sha256) == (other.output, other.input_sha256)
        assert len(app.namelist()) == len(shell.namelist()) + 10


def test_what_android_maps_is_stored_and_aligned(apk: Path) -> None:
    content, seen = apk.read_bytes(), set()
    with zipfile.ZipFile(apk) as app:
        for one in app.infolist():
            if one.compress_type == zipfile.ZIP_STORED:
                name, extra = struct.unpack_from("<HH", content, one.header_offset + 26)
                place = one.header_offset + 30 + name + extra
                assert place % alignment(one.filename) == 0, one.filename
                seen.add(alignment(one.filename))
            assert not one.filename.endswith((".so", ".tflite", ".arsc")) or not one.compress_type
    assert seen == {4, 4096, 16384}
    zipalign = shutil.which("zipalign")
    if zipalign:
        subprocess.run([zipalign, "-c", "4", str(apk)], check=True)


def test_the_same_key_gives_the_same_bytes(apk: Path, home: Path, model: Path, call: Call) -> None:
    call("android", model, "-o", "again.apk", "--key", home / "key.pem")
    assert Path("again.apk").read_bytes() == apk.read_bytes()


def test_android_s_own_verifier_accepts_it_by_v2_and_v3(
    apk: Path, home: Path, model: Path, call: Call
) -> None:
    openssl = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=me "
        "-keyout ec.pem -out ec.pem"
    )
    subprocess.run(openssl.split(), check=True, capture_output=True)
    as_json(call("android", model, "-o", "ec.apk", "--key", "ec.pem", "--json"))
    as_json(call("android", model, "-o", "x86.apk", "--abi", "x86_64", "--json"))
    assert verified(apk, Path("ec.apk"), Path("x86.apk")) == ["true v2=true v3=true warnings=0"] * 3


def test_a_flipped_byte_anywhere_is_rejected(apk: Path) -> None:
    content, places = apk.read_bytes(), random.Random(0)
    block = content.rindex(b"APK Sig Block 42")
    signed = [places.randrange(len(content)) for _ in range(12)] + [len(content) - 30]
    spoilt = []
    for number, place in enumerate([*signed, block]):
        changed = bytearray(content)
        changed[place] ^= 1
        spoilt.append(Path(f"{number}.apk"))
        spoilt[-1].write_bytes(changed)
    assert {line.split()[0] for line in verified(*spoilt)} == {"false"}


def test_an_app_that_lost_its_newer_signature_is_rejected(apk: Path) -> None:
    content, newer = bytearray(apk.read_bytes()), struct.pack("<I", 0xF05368C0)  # v3's id
    block = content.rindex(b"APK Sig Block 42")
    content[content.rindex(newer, 0, block)] ^= 0xFF
    Path("stripped.apk").write_bytes(content)
    assert verified(Path("stripped.apk")) == ["false v2=false v3=false warnings=0"]


def test_a_damaged_shell_is_not_signed(tmp_path: Path) -> None:
    content = bytearray(find().read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "shell.apk").write_bytes(content)
    with pytest.raises(UserError, match=r"lib\S+ is damaged.\nhint: Make it again: `make apk`"):
        read(tmp_path / "shell.apk")
    (tmp_path / "shell.apk").write_bytes(content[:-100])
    with pytest.raises(UserError, match=r"cannot be read: File is not a zip file"):
        read(tmp_path / "shell.apk")


def test_id_and_label_are_changed_and_nothing_else(
    apk: Path, home: Path, model: Path, call: Call
) -> None:
    names = ("--id", "org.example.my_signs", "--label", "Zeichen \u2713 \U0001f590")
    as_json(call("android", model, "-o", "mine.apk", "--key", home / "key.pem", *names, "--json"))
    before, after = badging(apk), badging(Path("mine.apk"))
    assert "package: name='org.example.my_signs'" in after
    assert "application-label:'Zeichen \u2713 \U0001f590'" in after
    changed = set(after.splitlines()) - set(before.splitlines())
    assert {line.split(":")[0] for line in changed} <= {
        "package", "application-label", "application", "launchable-activity",
    }  # fmt: skip
    xml = zipfile.ZipFile("mine.apk").read(MANIFEST)
    assert manifest.value(xml, manifest.LABEL) == "Zeichen \u2713 \U0001f590"
    assert verified(Path("mine.apk")) == ["true v2=true v3=true warnings=0"]


def test_the_id_stands_in_one_place_of_the_manifest() -> None:
    command = [str(AAPT2), "dump", "xmltree", "--file", MANIFEST, str(find())]
    tree = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    named = [
        line.split("=")[0].split(":")[-1] for line in tree.splitlines() if APPLICATION_ID in line
    ]
    assert named[0].strip() == "package"
    assert {name.split("(")[0] for name in named[1:]} == {"name"}  # classes, whatever the id
    elements = {line.split()[1] for line in tree.splitlines() if line.strip().startswith("E:")}
    assert not elements & {"provider", "permission", "permission-group", "instrumentation"}


@pytest.mark.parametrize("abi", ABIS)
def test_the_app_asks_for_the_camera_alone(abi: str) -> None:
    told = badging(find(abi))
    assert f"native-code: '{abi}'" in told
    assert [line for line in told.splitlines() if line.startswith("uses-permission:")] == [
        "uses-permission: name='android.permission.CAMERA'"
    ]
    assert "minSdkVersion:'26'" in told
    assert "uses-native-library-not-required:'libOpenCL.so'" in told


def test_neither_tensorflow_nor_java_is_needed(home: Path, model: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from tflite_light.cli import main\n"
        f"main(['android', {str(model)!r}, '-o', 'x.apk', '--key', {str(home / 'key.pem')!r}],"
        " standalone_mode=False)\n"
        "print(sorted({'tensorflow', 'tf_keras'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={name: os.environ[name] for name in ("HOME", "PYTHONPATH") if name in os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ["x.apk", "[]"], done.stderr


def test_another_app_is_written_over_by_force_alone(apk: Path, model: Path, call: Call) -> None:
    before = apk.read_bytes()
    key_file = ("--key", model.parents[1] / "key.pem")
    as_json(call("android", model, "-o", apk, *key_file, "--json"))  # the same bytes
    other = ("android", model, "-o", apk, *key_file, "--label", "Signs")
    assert complaint(call(*other)).startswith("signs.apk exists already.")
    assert apk.read_bytes() == before
    as_json(call(*other, "--force", "--json"))
    assert apk.read_bytes() != before


def test_a_user_s_key_is_made_once_for_him_alone(tmp_path: Path) -> None:
    path, made = tmp_path / "settings" / "key.pem", []
    threads = [threading.Thread(target=lambda: made.append(key.own(path).public)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert len(set(made)) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["key.pem"]


@pytest.mark.parametrize("settings", [None, "", "relative"])
def test_a_user_s_key_is_kept_in_his_settings(
    settings: str | None, model: Path, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    if settings is not None:
        monkeypatch.setenv("XDG_CONFIG_HOME", settings)
    as_json(call("android", model, "-o", "x.apk", "--json"))
    kept = tmp_path / "me" / ".config" / "tflite-light" / "android-key.pem"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert sorted(path.name for path in Path().iterdir()) == ["me", "x.apk"]


def test_a_user_without_a_home_is_asked_for_a_key(model: Path, tmp_path: Path) -> None:
    """One kept in /tmp would be lost, or another's."""
    command = [sys.executable, "-m", "tflite_light", "android", str(model), "-o", "x.apk"]
    away = {"HOME": "~", "PYTHONPATH": str(ROOT)}
    kept = {key: value for key, value in os.environ.items() if key != "XDG_CONFIG_HOME"}
    done = subprocess.run(
        command, env=kept | away, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no home folder in which the key that signs the app could be kept.\n" in done.stderr
    assert not (tmp_path / "x.apk").exists()


def test_a_disk_that_refuses_a_key_keeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # as FAT answers

    monkeypatch.setattr(os, "link", refused)
    with pytest.raises(UserError, match=r"cannot make the key .*: Operation not permitted"):
        key.own(tmp_path / "key.pem")
    assert list(tmp_path.iterdir()) == []


KEYS = [
    ("", "does not exist.\nhint: Make one: `openssl req"),
    ("no key", "cannot be used"),
    ("private alone", "cannot be used"),
    ("two halves", "its certificate is another key's"),
    ("password", "has a password"),
    ("edwards", "its private key is neither RSA nor elliptic"),
    ("p384", "its curve is not P-256"),
    ("bitcoin", "its curve is not P-256"),
    ("keystore", "Of a keystore: `keytool -importkeystore -srckeystore"),
]


@pytest.mark.parametrize(("kind", "problem"), KEYS)
def test_a_key_that_cannot_be_used_says_why(
    kind: str, problem: str, home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bad.pem"
    content = bad_key(kind, (home / "key.pem").read_text(), tmp_path)
    if content:
        path.write_text(content)
    with pytest.raises(UserError) as error:
        key.load(path)
    assert problem in str(error.value)


def bad_key(kind: str, good: str, folder: Path) -> str:
    private, _, _ = good.partition("-----BEGIN CERTIFICATE-----")
    if kind == "two halves":
        return _halves(private, folder)
    lines = {
        "password": f"openssl pkcs8 -topk8 -in {folder}/in.pem -passout pass:x",
        "edwards": "openssl genpkey -algorithm ed25519",
        "p384": "openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-384",
        "bitcoin": "openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:secp256k1",
    }
    if kind in lines:
        (folder / "in.pem").write_text(private)
        words = lines[kind].split()
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return {"": "", "no key": "hello", "keystore": "\x30", "private alone": private}[kind]


def _halves(private: str, folder: Path) -> str:
    key.own(folder / "other.pem")
    _, begin, certificate = (folder / "other.pem").read_text().partition("-----BEGIN CERTIFICATE")
    return private + begin + certificate


BAD_CALLS: list[tuple[tuple[str, ...], str]] = [
    ((), "there is nothing to do.\nhint: Add `-o NAME.apk`"),
    (("-o", "x.apk"), "missing argument RUN or FILE.tflite"),
    (("MODEL", "-o", "x.zip"), "x.zip does not end in .apk.\nhint: Write `-o x.apk`"),
    (("MODEL", "-o", "."), ". does not end in .apk.\nhint: Write `-o demo.apk`"),
    (("MODEL", "--push", "--label", "x"), "`--label` and `--key` are for an app that is made."),
    (("MODEL", "-o", "x.apk", "--id", "signs"), "'signs' cannot be an application id"),
    (("MODEL", "-o", "x.apk", "--id", "org.1st"), "'org.1st' cannot be an application id"),
    (("MODEL", "-o", "x.apk", "--id", f"org.{'a' * 220}"), "cannot be an application id"),
    (("MODEL", "-o", "x.apk", "--label", "a\nb"), "'a\\nb' cannot be an app's name"),
    (("MODEL", "-o", "x.apk", "--label", "x" * 31), "cannot be an app's name"),
    (("MODEL", "-o", "x.apk", "--label", ""), "'' cannot be an app's name"),
    (("MODEL", "-o", "no/such/x.apk", "--key", "none.pem"), "the key none.pem does not exist"),
    (("none.tflite", "-o", "x.apk"), "none.tflite cannot be read"),
    (("MODEL", "--install", "--push"), "`--install` brings the model already"),
]


@pytest.mark.parametrize(("words", "problem"), BAD_CALLS)
def test_bad_calls_are_refused_and_leave_nothing(
    words: tuple[str, ...], problem: str, model: Path, call: Call
) -> None:
    message = complaint(call("android", *(str(model) if w == "MODEL" else w for w in words)))
    assert problem in message
    assert list(Path().iterdir()) == []


def test_a_file_that_is_not_its_own_any_more_is_refused(model: Path, call: Call) -> None:
    shutil.copytree(model.parent, "app")
    golden = Path("app") / contract.read(model).golden[2].picture
    shutil.copy(golden.with_name("0.png"), golden)
    message = complaint(call("android", "app/signs_int8.tflite", "-o", "x.apk"))
    assert "does not answer as when it was exported, signs_int8_golden/2.png: the input" in message
    assert not Path("x.apk").exists()


def test_a_name_without_letters_becomes_one_that_the_app_lists(
    model: Path, home: Path, call: Call
) -> None:
    shutil.copy(model, "-.tflite")
    call("android", Path("-.tflite").resolve(), "-o", "x.apk", "--key", home / "key.pem")
    (name,) = [one for one in zipfile.ZipFile("x.apk").namelist() if one.endswith(".tflite")]
    assert re.fullmatch(r"assets/models/model_[0-9a-f]{6}\.tflite", name)


def test_names_that_lose_letters_stay_different(tmp_path: Path) -> None:
    files = ["\u732b.tflite", "\u72ac.tflite", "a b.tflite", "a_b.tflite", "-.tflite", "..tflite"]
    runs = [f"runs/{run}/exports/int8.tflite" for run in ("\u732b", "\u72ac", "a")]
    names = [name_of(tmp_path / one) for one in (*files, *runs)]
    assert len(set(names)) == len(names)
    assert names[3] == "a_b"
    assert names[-1] == "a_int8"
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) for name in names)


def test_a_file_that_was_arranged_anew_is_the_app_s_own(
    model: Path, home: Path, call: Call
) -> None:
    """As other writers of metadata leave it; the app knows a network by its bytes."""
    shutil.copytree(model.parent, "app")
    anew, agreed = Editor(model.read_bytes()).packed(), contract.read(model)
    assert agreed.flatbuffer
    assert not agreed.flatbuffer.begins(anew)
    members = contract.members_of(model.read_bytes(), "", [contract.CONTRACT, contract.LABELS])
    kept = io.BytesIO(anew)
    with zipfile.ZipFile(kept, "a") as archive:  # the contract of the bytes that were
        for name, member in members.items():
            archive.writestr(name, member)
    for content in (anew, kept.getvalue()):
        Path("app/signs_int8.tflite").write_bytes(content)
        call("android", "app/signs_int8.tflite", "-o", "x.apk", "--key", home / "key.pem")
        with zipfile.ZipFile("x.apk") as app:
            inside = app.read("assets/models/signs_int8.tflite")
            beside = json.loads(app.read("assets/models/signs_int8.json"))
        assert contract.without_archive(inside) == anew
        assert contract.Flatbuffer.model_validate(beside["flatbuffer"]).begins(inside)
        within = contract.read_inside(inside, "x")
        assert within
        assert json.loads(contract.to_json(within)) == beside | {"golden": []}


def test_a_file_without_golden_pictures_is_warned_of(model: Path, home: Path, call: Call) -> None:
    shutil.copy(model, "alone.tflite")
    result = call("android", "alone.tflite", "-o", "x.apk", "--key", home / "key.pem")
    assert "warning: alone.tflite has no golden pictures" in result.stderr
    with zipfile.ZipFile("x.apk") as app:
        assert json.loads(app.read("assets/models/alone.json"))["golden"] == []
