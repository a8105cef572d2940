"""The whole plug-in mechanism: a socket is a folder, a part is a file in it, its name is its key.

A part's file holds one public class derived from the socket's base, which derives from
`tflite_light.parts.Part`. There is no registry: `names("models")` lists the folder and
`load("models", "tiny")` imports a file.
"""

import importlib
import pkgutil
from pathlib import Path
from typing import Any

SOCKETS = ("models", "weights", "data", "compress", "export")


def names(socket: str) -> list[str]:
    """Keys of the parts of a socket, sorted; without an import, which would load pydantic."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent / socket)])
    return sorted(module.name for module in modules if not module.name.startswith("_"))


def load(socket: str, name: str) -> type[Any]:
    """The class of one part."""
    module = importlib.import_module(f"tflite_light.{socket}.{name}")
    (part,) = (
        value
        for key, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
        if not key.startswith("_")
    )
    return part
