"""Biases in the steps of what they are added to, where several operators share one."""

import numpy as np

from tflite_light.tflite.editing import Editor

_PLACES = {  # input, kernel and bias among an operator's inputs
    "CONV_2D": (0, 1, 2),
    "DEPTHWISE_CONV_2D": (0, 1, 2),
    "FULLY_CONNECTED": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
}
_NEAR = 1e-4  # of a scale, that float32 rounds


def apart(content: bytes) -> bytes:
    """A file in which each operator's bias has its own steps, input's times kernel's.

    The converter keeps equal constants once, as it does the bias of a layer that is used twice, and
    for int16 activations in the steps of the first operator, by which the kernels of all others
    read it too large or too small (seen: 54 % of the largest logit).
    """
    editor = Editor(content)
    for one in editor.operators:
        place = _PLACES.get(editor.kind(one))
        if not place or max(place) >= len(one.inputs):
            continue
        fed, kernel, bias = (int(one.inputs[at]) for at in place)
        held = None if bias < 0 else editor.values(bias)
        if held is None or not (len(editor.scales(fed)) and len(editor.scales(bias))):
            continue
        steps, right = editor.scales(bias), editor.scales(fed) * editor.scales(kernel)
        if np.allclose(steps, right, rtol=_NEAR, atol=0):
            continue
        none = np.zeros(held.shape)  # of a channel without weights, whose kernel has scale 0
        moved = np.divide(held * steps, right, out=none, where=right > 0)
        editor.set_weight(one, place[2], np.rint(moved).astype(held.dtype))
        editor.set_scales(int(one.inputs[place[2]]), right)
    return editor.write() if editor.changed else content
