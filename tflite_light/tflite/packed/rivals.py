"""What other ways of packing a file would take, to compare with."""

import heapq
import lzma
import zlib

import numpy as np

from tflite_light.tflite.file import File
from tflite_light.tflite.flatbuffer import Array
from tflite_light.tflite.packed.constants import constants

_GAP = 16  # places; Deep Compression fills a longer one with a zero
_MOST = 256  # values that a codebook has


def rivals(file: File) -> dict[str, int]:
    """Sizes in bytes: of Huffman codes, and of the whole file by zlib and xz at their best."""
    return {
        "huffman_bytes": huffman_bytes(file),
        "zlib_bytes": len(zlib.compress(file.content, 9)),
        "xz_bytes": len(lzma.compress(file.content, preset=9)),
    }


def huffman_bytes(file: File) -> int:
    """As Deep Compression would store it (Han et al. 2016, arXiv 1510.00149).

    Huffman codes of the places in the codebook, of all weights or of the non-zero ones with those
    of the gaps between them, whichever is less; codebooks and all else as they are. Tables of the
    codes count nothing, as in the paper.
    """
    total = len(file.content)
    for one in constants(file):
        values, symbols = np.unique(one.words(file.content), return_inverse=True)
        size = one.end - one.start
        if len(values) <= _MOST:
            codebook = values.nbytes if values.itemsize > 1 else 0
            total -= max(size - codebook - _bits(values, symbols) // 8, 0)
    return total


def _bits(values: Array, symbols: Array) -> int:
    every = code_bits(np.bincount(symbols))
    filled = np.flatnonzero(values[symbols])
    gaps = np.diff(filled, prepend=-1) - 1
    fillers = int((gaps // _GAP).sum())
    places = np.bincount(gaps % _GAP, minlength=_GAP)
    places[_GAP - 1] += fillers
    counts = np.append(np.bincount(symbols[filled], minlength=1), fillers)
    return min(every, code_bits(places) + code_bits(counts))


def code_bits(counts: Array) -> int:
    """Of so many symbols of each kind by Huffman's codes: the sum of all inner nodes."""
    heap = [int(count) for count in counts if count]
    heapq.heapify(heap)
    bits = 0 if len(heap) > 1 else sum(heap)
    while len(heap) > 1:
        node = heapq.heappop(heap) + heapq.heappop(heap)
        bits += node
        heapq.heappush(heap, node)
    return bits
