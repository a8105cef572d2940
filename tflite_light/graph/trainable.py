"""Which layers are trained, for a while."""

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def as_before(model: Any) -> Iterator[None]:
    """Set each layer's `trainable` back at the end, so that what a network holds, such as by an
    architecture's `trainable=False`, stays held, also in a resumed run."""
    before = [(layer, layer.trainable) for layer in model._flatten_layers()]
    try:
        yield
    finally:
        for layer, was in before:  # outer ones first, which set all that is inside
            layer.trainable = was
