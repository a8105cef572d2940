"""A PNG's transparent colour, as its tRNS chunk names it in the file's own bits.

Pillow compares it with samples that it has made 8 bits, so that it misses it, or finds it where it
is not, in files of 2, 4 and 16 bits. Programs that make PNG files small write such ones.
"""

import io
from typing import Any

import numpy as np
from PIL import Image as Pillow

_DEPTH, _COLOUR = 24, 25  # places in a PNG's header
_GREY, _RGB = 0, 2  # kinds of colour for which one colour is transparent

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def where_clear(content: bytes, picture: Pillow.Image) -> Mask | None:
    """Where a loaded picture of 16 bits a sample is transparent, [height, width]; it then counts as
    opaque. None for others, whose colour Pillow finds after this.
    """
    key = picture.info.get("transparency")
    if picture.format != "PNG" or key is None or content[_COLOUR] not in (_GREY, _RGB):
        return None
    depth = content[_DEPTH]
    if depth < 16:
        if depth < 8:
            picture.info["transparency"] = key * (255 // (2**depth - 1))
        return None
    del picture.info["transparency"]
    if content[_COLOUR] == _GREY:
        return np.asarray(np.asarray(picture) == key)
    found = _low_bytes(content).astype(np.uint16) + (np.asarray(picture).astype(np.uint16) << 8)
    return np.asarray((found == np.array(key, np.uint16)).all(axis=2))


def _low_bytes(content: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Of each sample: Pillow gives the high ones, and these where it takes the bytes for turned."""
    with Pillow.open(io.BytesIO(content), formats=["PNG"]) as picture:
        picture.tile = [one._replace(args="RGB;16L") for one in picture.tile]
        return np.asarray(picture)
