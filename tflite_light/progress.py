"""What is said on stderr while something runs; stdout has the result alone."""

import sys


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
