"""The zip archive behind a flatbuffer, in which a contract and its labels travel with the file."""

import io
import zipfile
from collections import Counter
from collections.abc import Collection

from tflite_light.contract.values import Contract, to_json
from tflite_light.errors import UserError

CONTRACT = "contract.json"
LABELS = "contract_labels.txt"  # tflite-support's writers add a `labels.txt`, and refuse a second
OLD_LABELS = "labels.txt"  # before minor 2
LIMIT_BYTES = 16 << 20  # of a contract; 200,000 labels of 30 characters take 8 MB
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # those whose unpacked size can be bounded


def embed(content: bytes, contract: Contract) -> bytes:
    """The file's bytes with the contract and its labels appended as a zip archive."""
    archive = io.BytesIO(content)
    with zipfile.ZipFile(archive, "a") as members:
        for name, text in (
            (CONTRACT, to_json(contract.bare())),
            (LABELS, labels_text(contract)),
        ):  # ZipInfo's fixed date: equal runs, equal bytes
            members.writestr(zipfile.ZipInfo(name), text)
    return archive.getvalue()


def without_archive(content: bytes) -> bytes:
    """The flatbuffer alone."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        starts = [one.header_offset for one in archive.infolist()]
        return content[: min(starts, default=archive.start_dir)]


def labels_text(contract: Contract) -> str:
    return "\n".join(contract.labels) + "\n"


def members_of(content: bytes, where: str, names: Collection[str]) -> dict[str, bytes]:
    """Of the named members of the archive inside a file, those that are there.

    Raises UserError where the archive is damaged, or a member larger than 16 MiB.
    """
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = [one for one in archive.infolist() if one.filename in names]
            counts = Counter(one.filename for one in found)
            if twice := [name for name, count in counts.items() if count > 1]:
                raise ValueError(f"it holds {twice[0]} twice")
            return {one.filename: _unpack(archive, one) for one in found}
    except Exception as error:  # zipfile trusts its input: damage raises nearly anything
        raise UserError(
            f"the archive inside {where} cannot be read: {error or type(error).__name__}.",
            "Copy the file again, or export the model again.",
        ) from error


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.compress_type not in _METHODS:
        raise ValueError(f"{member.filename} is compressed in a way that is not known")
    with archive.open(member) as opened:
        content = opened.read(LIMIT_BYTES + 1)  # whatever size the archive claims
    if len(content) > LIMIT_BYTES:
        raise ValueError(f"{member.filename} is larger than {LIMIT_BYTES >> 20} MiB")
    return content
