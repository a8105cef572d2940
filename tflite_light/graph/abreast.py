"""Two networks of the same layers, computed abreast, layer by layer."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from tflite_light.graph.uses import called, shared, uses
from tflite_light.pipeline.preprocess import Floats
from tflite_light.stack import tf

Pair = tuple[Any, Any]  # of tensors, in the one network and in the other


def abreast(model: Any, other: Any, batches: Iterable[Floats]) -> Iterator[tuple[Any, list[Pair]]]:
    """Each layer of `other` that reads one tensor and is used once, and what it reads for each
    batch: as it is in `model`, and in `other`, whose earlier layers have the weights that they were
    given meanwhile.

    All pictures' outputs that are still to be read are in memory, for both networks.
    """
    nodes, several = uses(model), shared(model)
    unread = Counter(tensor for node in nodes for tensor in node.flat_input_ids)
    outputs: dict[str, list[Pair]] = {}
    for node in nodes:
        if node.is_input:
            outputs[node.flat_output_ids[0]] = [(one, one) for one in map(tf.constant, batches)]
            continue
        read, layer, twin = node.flat_input_ids, node.layer, other.get_layer(node.layer.name)
        inputs = list(zip(*(outputs[tensor] for tensor in read), strict=True))
        if len(read) == 1 and layer.name not in several:
            yield twin, [pairs[0] for pairs in inputs]
        unread.subtract(read)
        for tensor in read:
            if not unread[tensor]:
                outputs.pop(tensor, None)
        answers = [
            tuple(
                called(node, one, side, in_use=True)
                for one, side in zip((layer, twin), zip(*pairs, strict=True), strict=True)
            )
            for pairs in inputs
        ]
        for place, tensor in enumerate(node.flat_output_ids):
            outputs[tensor] = [(own[place], their[place]) for own, their in answers]
