"""Networks that are layers of another, as in transfer learning, replaced by their own layers: then
stages, counts and TF-MOT see all there are.
"""

from typing import Any

from tflite_light.graph.uses import called, uses
from tflite_light.stack import keras


def flattened(model: Any) -> Any:
    """The same layers with the same weights, in one network.

    Of layers with equal names the inner one gets that of its network before it. Whether an inner
    network was called for training or not is left to the training.
    """
    if not _inner(model):
        return model
    _rename(model, set())
    flat = keras.Model(model.inputs, _called(model, model.inputs), name=model.name)
    result = keras.models.clone_model(flat)  # whose weights are named as their layers are
    result.set_weights(flat.get_weights())
    return result


def _inner(model: Any) -> list[Any]:
    return [layer for layer in model.layers if _is_network(layer)]


def _is_network(layer: Any) -> bool:
    """Subclassed ones are Python code, no graph of layers."""
    return isinstance(layer, keras.Model) and bool(layer._is_graph_network)


def _rename(model: Any, taken: set[str]) -> None:
    inner = _inner(model)
    taken |= {layer.name for layer in model.layers if layer not in inner}
    for network in inner:
        for layer in network.layers:
            if layer.name in taken:
                layer._name = f"{network.name}_{layer.name}"
        _rename(network, taken)


def _called(model: Any, inputs: list[Any]) -> list[Any]:
    """The outputs of a network, each of its layers called anew."""
    values = {str(id(own)): given for own, given in zip(model.inputs, inputs, strict=True)}
    for node in uses(model):
        if node.is_input:
            continue
        given = [values[tensor] for tensor in node.flat_input_ids]
        if _is_network(node.layer):
            answers = _called(node.layer, given)
        else:
            answers = called(node, node.layer, given)
        values.update(zip(node.flat_output_ids, answers, strict=True))
    return [values[str(id(one))] for one in model.outputs]
