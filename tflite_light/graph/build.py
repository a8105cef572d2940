"""A network as an architecture describes it, with weights drawn from a seed."""

from typing import Any

import numpy as np

from tflite_light.errors import UserError
from tflite_light.graph import checkpoint
from tflite_light.graph.flattening import flattened
from tflite_light.graph.fusing import fused
from tflite_light.models import Architecture, activation, squashing
from tflite_light.stack import keras


def build(architecture: Architecture, size: int, classes: int, seed: int) -> Any:
    """A Keras model, float32 [batch, size, size, 3] -> logits [batch, classes]."""
    keras.utils.set_random_seed(seed)
    keras.backend.reset_uids()  # TF-MOT's own layers are numbered by process; checkpoints name them
    model = flattened(architecture.build((size, size, 3), classes))
    if damaged := architecture.brings_weights and checkpoint.non_finite(
        checkpoint.weights_of(model)
    ):
        raise UserError(
            f"{architecture.where}: its weights have NaN or infinity, as in {damaged[0]}.",
            "Save it before its training diverged.",
        )
    if model.output_shape != (None, classes):
        raise UserError(
            f"{architecture.where}: its logits are {model.output_shape}, not one for each of the "
            f"{classes} classes of a picture.",
            "Let `logits` end in keras.layers.Dense(classes).",
        )
    if (last := squashing(model)) is not None:
        raise UserError(
            f"{architecture.where}: its layer {last.layer.name} makes probabilities of the logits "
            f"({activation(last.layer).removesuffix('_v2')}).",
            "Let it end in its logits: training and files make probabilities of these.",
        )
    if (architecture.file or architecture.brings_weights) and _adds_up_to_one(model, size):
        raise UserError(
            f"{architecture.where}: its answers are probabilities: they add up to 1.",
            "Let it end in its logits: training and files make probabilities of these.",
        )
    model = fused(model)
    if twice := checkpoint.names_twice(model):
        raise UserError(
            f"{architecture.where}: several of its variables are called {twice[0]}.",
            "Give them names of their own, or make them by `self.add_weight` in the layer's "
            "`build`: a checkpoint knows them by their names.",
        )
    return model


def _adds_up_to_one(model: Any, size: int) -> bool:
    """Whether it gives probabilities in a way that `squashing` does not know."""
    noise = np.random.default_rng(0).normal(size=(2, size, size, 3)).astype(np.float32)
    answers = np.asarray(model(noise, training=False))
    return bool(answers.min() >= 0 and np.abs(answers.sum(axis=1) - 1).max() < 1e-3)
