"""Sizes of a packed file and of what other ways would take, for a person."""

from collections.abc import Mapping

ROWS = {
    "size_bytes": "file",
    "packed_bytes": "packed",
    "huffman_bytes": "Huffman codes, as Deep Compression",
    "zlib_bytes": "zlib",
    "xz_bytes": "xz",
}


def show(sizes: Mapping[str, int]) -> None:
    """Print a line for each on stdout: bytes, and how many times smaller than the file."""
    for key, title in ROWS.items():
        ratio = sizes["size_bytes"] / sizes[key]
        print(f"{title:<36}{sizes[key]:>12,} bytes{ratio:>8.2f} times smaller".rstrip())
