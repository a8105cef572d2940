"""Two networks of the same layers, computed abreast, layer by layer."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from tflite_light.graph.tracing import kind, sources
from tflite_light.pipeline.preprocess import Floats
from tflite_light.stack import tf

Pair = tuple[Any, Any]  # of tensors, in the one network and in the other


def abreast(model: Any, other: Any, batches: Iterable[Floats]) -> Iterator[tuple[Any, list[Pair]]]:
    """Each layer of `other` that reads one tensor, and what it reads for each batch: as it is in
    `model`, and in `other`, whose earlier layers have the weights that they were given meanwhile.

    All pictures' outputs that are still to be read are in memory, for both networks.
    """
    unread = Counter(name for layer in model.layers for name in sources(layer))
    outputs: dict[str, list[Pair]] = {}
    for layer in model.layers:
        twin, names = other.get_layer(layer.name), sources(layer)
        if kind(layer) == "InputLayer":
            outputs[layer.name] = [(batch, batch) for batch in map(tf.constant, batches)]
            continue
        inputs = list(zip(*(outputs[name] for name in names), strict=True))
        if len(names) == 1:
            yield twin, [pairs[0] for pairs in inputs]
        unread.subtract(names)
        for name in names:
            if not unread[name]:
                outputs.pop(name, None)
        outputs[layer.name] = [
            (_answer(layer, [own for own, _ in pairs]), _answer(twin, [own for _, own in pairs]))
            for pairs in inputs
        ]


def _answer(layer: Any, inputs: list[Any]) -> Any:
    return layer(inputs if len(inputs) > 1 else inputs[0])
