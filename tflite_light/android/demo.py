"""The demo app with a model in it.

In the APK, and in the folder of a phone that models are pushed to, lie `NAME.tflite`, its contract
`NAME.json`, and the golden pictures that this names, in `NAME_golden/`: the app runs them before it
trusts an accelerator.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from tflite_light import contract
from tflite_light.android import apk, key, manifest, shell
from tflite_light.android.signing import sign
from tflite_light.errors import UserError
from tflite_light.progress import say

ASSETS = "assets/models"
LABEL_CHARACTERS = 30  # launchers show fewer
ID_CHARACTERS = 223  # Android's FrameworkParsingPackageUtils: ids are names of folders
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")


@dataclass(frozen=True)
class Model:
    """A file and what the app wants beside it, by the names that they have there."""

    path: Path
    name: str
    files: dict[str, bytes]

    @property
    def content(self) -> bytes:
        return self.files[f"{self.name}.tflite"]

    @property
    def verdict(self) -> str:
        """Of its golden pictures on this computer, which `of` has run; by the app's words."""
        golden = any(name.startswith(f"{self.name}_golden/") for name in self.files)
        return "right" if golden else "unchecked"

    @classmethod
    def of(cls, path: Path) -> "Model":
        """Raises UserError where the file has no contract, is damaged, or does not answer its
        golden pictures as it did.
        """
        agreed, name = _checked(path), name_of(path)
        found: dict[str, bytes] = {}
        goldens = []
        for number, one in enumerate(agreed.golden):
            picture = path.parent / one.picture
            if not picture.is_file():
                say(f"warning: {picture} is missing: the app checks by the other golden pictures")
                continue
            inside = f"{name}_golden/{number}{picture.suffix}"
            found[inside] = picture.read_bytes()
            goldens.append(one.model_copy(update={"picture": inside}))
        if not goldens:
            say(f"warning: {path} has no golden pictures: the app cannot check accelerators by it")
        content, agreed = _known_to_the_app(path.read_bytes(), agreed)
        found[f"{name}.tflite"] = content
        found[f"{name}.json"] = contract.to_json(agreed.with_golden(goldens)).encode()
        return cls(path, name, found)


def app(
    model: Model,
    signer: key.Key,
    application_id: str,
    label: str | None = None,
    abi: str = shell.ABIS[0],
) -> bytes:
    """A signed APK: the shell with the model; equal input, equal bytes.

    Raises UserError where the shell is missing, or the id or label cannot be one.
    """
    values = {}
    if application_id != shell.APPLICATION_ID:
        values[manifest.PACKAGE] = _checked_id(application_id)
    if label is not None:
        values[manifest.LABEL] = _checked_label(label)
    entries = apk.read(shell.find(abi))
    if values:
        compiled = entries[apk.MANIFEST].content()
        entries[apk.MANIFEST] = apk.Entry.stored(manifest.changed(compiled, values))
    stored = {f"{ASSETS}/{name}": apk.Entry.stored(one) for name, one in model.files.items()}
    return sign(apk.write(entries | stored), signer)


def require_named(path: Path) -> None:
    """Raises UserError where an app's file is not named as Android asks."""
    if path.suffix != ".apk":
        named = path.with_suffix(".apk") if path.name else "demo.apk"
        raise UserError(f"{path} does not end in .apk.", f"Write `-o {named}`.")


def name_of(path: Path) -> str:
    """`int8.tflite` of a run is named after the run, too; letters, digits, _, - and dots alone.

    Where others are replaced, digits tell it from those that would be named so, too.
    """
    whole = path.resolve()
    run = f"{whole.parents[1].name}_" if whole.parent.name == "exports" else ""
    wanted = f"{run}{whole.stem}"
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", wanted).strip(".-")
    if name == wanted:
        return name
    digits = contract.sha256(wanted.encode(errors="surrogateescape"))[:6]
    return f"{name or 'model'}_{digits}"


def _known_to_the_app(content: bytes, agreed: contract.Contract) -> tuple[bytes, contract.Contract]:
    """The app knows a network by its bytes alone, which other writers of metadata change: where
    they have, it gets their flatbuffer, and a contract of its own with it."""
    own = agreed.flatbuffer
    if own is None or own.begins(content):
        return content, agreed
    bare = contract.without_archive(content)
    anew = contract.Flatbuffer.of(bare, own.network_sha256)
    agreed = agreed.model_copy(update={"flatbuffer": anew})
    return contract.embed(bare, agreed), agreed


def _checked(path: Path) -> contract.Contract:
    from tflite_light.measure import goldens, predict  # and LiteRT

    model, agreed = predict.opened(path)
    for finding in goldens.check(agreed, model, path.parent):
        raise UserError(
            f"{path} does not answer as when it was exported, {finding.picture}: {finding.text}.",
            "Export it again.",
        )
    return agreed


def _checked_id(value: str) -> str:
    if not _ID.fullmatch(value) or len(value) > ID_CHARACTERS:
        raise UserError(
            f"{value!r} cannot be an application id.",
            "Give two or more words with dots between, such as `org.example.signs`: letters, "
            f"digits and _, a letter first, at most {ID_CHARACTERS} characters.",
        )
    return value


def _checked_label(value: str) -> str:
    if not value.strip() or not value.isprintable() or len(value) > LABEL_CHARACTERS:
        raise UserError(
            f"{value!r} cannot be an app's name.",
            f"Give 1 to {LABEL_CHARACTERS} printable characters.",
        )
    return value
