"""PyTorch's checkpoint files, read without PyTorch and without executing anything in them.

A `.pth` is a zip archive: `*/data.pkl` describes tensors, `*/data/N` holds their bytes. A pickle is
a program that may call any function; this reader lets it call only those in `find_class`, none
of which does more than build a tensor's description.
"""

import collections
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tflite_light.errors import UserError

DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bf16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


def read(path: Path) -> dict[str, Any]:
    """The state dict of a checkpoint. Raises UserError when it holds anything but tensors."""
    if not zipfile.is_zipfile(path):
        raise UserError(
            f"weights {path}: not a checkpoint of PyTorch 1.6 or later. Save it again with "
            "torch.save, or as .safetensors."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            (description,) = (n for n in archive.namelist() if n.endswith("data.pkl"))
            folder = description.removesuffix("data.pkl")
            _require_little_endian(archive, folder)
            return _state(path, _Reader(archive, folder, archive.read(description)).load())
    except pickle.UnpicklingError as error:
        raise UserError(
            f"weights {path} hold more than tensors ({error}). They are not read, since a pickle "
            "can run code. Save model.state_dict() alone, or as .safetensors."
        ) from error
    except UserError:
        raise
    except Exception as error:  # a damaged pickle fails in any way it likes
        raise UserError(
            f"weights {path} are damaged ({type(error).__name__}: {error}). Fetch them again."
        ) from error


class _Reader(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, folder: str, description: bytes):
        super().__init__(io.BytesIO(description))
        self._archive, self._folder = archive, folder

    def find_class(self, module: str, name: str) -> Any:
        if module == "collections" and name == "OrderedDict":
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, key: Any) -> Any:
        kind, dtype, name, _, count = key
        if kind != "storage" or not isinstance(dtype, str):
            raise pickle.UnpicklingError("it asks for something that is no storage")
        content = self._archive.read(f"{self._folder}data/{name}")
        if dtype == "bf16":
            halves = np.frombuffer(content, "<u2").astype("<u4") << 16
            return halves.view("<f4")[: int(count)]
        return np.frombuffer(content, dtype)[: int(count)]


def _tensor(storage: Any, offset: int, shape: Any, strides: Any, *_: Any) -> Any:
    """A view of a storage. Its bounds are checked: a pickle may claim any."""
    last = offset + sum((side - 1) * step for side, step in zip(shape, strides, strict=True))
    fits = min([offset, *shape, *strides], default=0) >= 0 and last < len(storage)
    if not isinstance(storage, np.ndarray) or (0 not in shape and not fits):
        raise pickle.UnpicklingError("a tensor reaches beyond its storage")
    if 0 in shape:
        return np.zeros(shape, storage.dtype)
    width = storage.itemsize
    steps = [step * width for step in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps).copy()


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


def _require_little_endian(archive: zipfile.ZipFile, folder: str) -> None:
    order = f"{folder}byteorder"
    if order in archive.namelist() and archive.read(order) != b"little":
        raise pickle.UnpicklingError("its bytes are big-endian")


def _state(path: Path, value: Any) -> dict[str, Any]:
    """The mapping of names to tensors, also below the usual keys of a training checkpoint."""
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    if not isinstance(value, dict):
        raise UserError(f"weights {path} hold a {type(value).__name__}, not a state dict.")
    strange = [str(name) for name, one in value.items() if not isinstance(one, np.ndarray)]
    if strange or not value:
        raise UserError(
            f"weights {path}: {strange[0] if strange else 'nothing'} is no tensor. "
            "Save model.state_dict() alone."
        )
    return {str(name).removeprefix("module."): one for name, one in value.items()}
