"""Which layers are trained, for a while."""

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def as_before(model: Any) -> Iterator[None]:
    """What a block lets be trained, or holds, is so for its time: a network's own choice, such as
    an architecture's `trainable=False`, is that of a run that goes on as well."""
    before = [(layer, layer.trainable) for layer in model._flatten_layers()]
    try:
        yield
    finally:
        for layer, was in before:  # outer ones first, which set all that is inside
            layer.trainable = was
