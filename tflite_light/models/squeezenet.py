"""SqueezeNet: AlexNet's accuracy with fifty times fewer weights, by fire modules."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tflite_light.models import Architecture, Names, Published
from tflite_light.stack import keras

Version = Literal["1.0", "1.1"]
STEM = {"1.0": (96, 7), "1.1": (64, 3)}  # filters, kernel
FIRES = (  # fire2 to fire9: squeeze, each expand
    (16, 64),
    (16, 64),
    (32, 128),
    (32, 128),
    (48, 192),
    (48, 192),
    (64, 256),
    (64, 256),
)
POOL_BEFORE = {"1.0": (2, 5, 9), "1.1": (2, 4, 6)}  # number of the fire module that follows

TOP1: tuple[tuple[Version, str, int, float | None, str], ...] = (
    ("1.0", "none", 224, 0.58092, "torchvision 0.28"),
    ("1.1", "none", 224, 0.58178, "torchvision 0.28"),
    ("1.0", "simple", 227, 0.604, "Iandola 2016, section 6"),
    ("1.0", "complex", 227, 0.588, "Iandola 2016, section 6"),
    ("1.1", "simple", 224, 0.5991, "pytorchcv 0.0.74, SqueezeResNet v1.1"),
    ("1.1", "complex", 224, None, ""),
)

# Trained parameters and multiply-adds by size: torchvision, and bypasses around its fire modules
COUNTS: dict[tuple[Version, str], tuple[int, dict[int, int]]] = {
    ("1.0", "none"): (1_248_424, {224: 818_924_576, 227: 832_667_936}),
    ("1.0", "simple"): (1_248_424, {224: 818_924_576}),
    ("1.0", "complex"): (1_589_672, {224: 1_165_298_720, 227: 1_183_953_184}),
    ("1.1", "none"): (1_235_496, {224: 349_151_936, 227: 387_747_520}),
}


class SqueezeNet(Architecture):
    """Iandola et al. 2016, arXiv 1602.07360, table 1, and version 1.1 of the authors' repository.

    As in torchvision: no padding of the first convolution or of conv10, pools that keep a last
    partial window, a ReLU after conv10, and no batch norm. `simple` bypass adds the input of fire
    3, 5, 7 and 9 to their output; `complex` also convolves those of the others (section 6). Without
    the dropout before conv10.
    """

    version: Annotated[Version, BeforeValidator(str)] = Field(
        "1.1", description="1.1 costs 2.4 times less at equal accuracy"
    )
    bypass: Literal["none", "simple", "complex"] = Field(
        "none", description="shortcuts around fire modules"
    )

    def logits(self, image: Any, classes: int) -> Any:
        filters, kernel = STEM[self.version]
        x = _conv(image, filters, kernel, "stem", strides=2, padding="valid")
        for number, (squeeze, expand) in enumerate(FIRES, start=2):
            if number in POOL_BEFORE[self.version]:
                x = _pool(x, f"fire{number}")
            x = self._bypass(x, _fire(x, f"fire{number}", squeeze, expand), number)
        x = _conv(x, classes, 1, "logits", **_open_relu())
        return keras.layers.GlobalAveragePooling2D(name="pool")(x)

    def _bypass(self, x: Any, fire: Any, number: int) -> Any:
        if self.bypass == "none" or (self.bypass == "simple" and number % 2 == 0):
            return fire
        if number % 2 == 0:
            x = keras.layers.Conv2D(fire.shape[-1], 1, name=f"fire{number}_bypass_conv")(x)
        return keras.layers.Add(name=f"fire{number}_add")([x, fire])

    @classmethod
    def published(cls) -> list[Published]:
        return [
            Published(
                {"version": version, "bypass": bypass},
                size,
                top1,
                source,
                *COUNTS.get((version, bypass), ()),
            )
            for version, bypass, size, top1, source in TOP1
        ]

    def references(self) -> dict[str, Names]:
        pools = POOL_BEFORE[self.version]
        names = {"stem_conv": "features.0", "logits_conv": "classifier.1"}
        for number in range(2, 10):
            place = number + sum(pool <= number for pool in pools)  # torchvision counts pools too
            for own, theirs in (
                ("squeeze", "squeeze"),
                ("left", "expand1x1"),
                ("right", "expand3x3"),
            ):
                names[f"fire{number}_{own}_conv"] = f"features.{place}.{theirs}"
        return {"torchvision": names} if self.bypass != "complex" else {}


def _open_relu() -> dict[str, Any]:
    """Initial weights that leave the ReLU behind conv10 open; a shut one never learns.

    The authors' N(0, 0.01) alone can shut a class for every picture, by chance: over 12 seeds, 6 of
    36 logits began at 0; with a bias of 1, 1 did. All classes share it, so a softmax ignores it.
    """
    return {
        "kernel_initializer": keras.initializers.RandomNormal(stddev=0.01),
        "bias_initializer": keras.initializers.Ones(),
    }


def _conv(x: Any, filters: int, kernel: int, name: str, **fields: Any) -> Any:
    """He's initial weights, as in torchvision: without batch norm, Keras' own fade out."""
    start = {"padding": "same", "kernel_initializer": "he_uniform"}
    conv = keras.layers.Conv2D(
        filters, kernel, activation="relu", name=f"{name}_conv", **start | fields
    )
    return conv(x)


def _fire(x: Any, name: str, squeeze: int, expand: int) -> Any:
    x = _conv(x, squeeze, 1, f"{name}_squeeze")
    sides = [_conv(x, expand, 1, f"{name}_left"), _conv(x, expand, 3, f"{name}_right")]
    return keras.layers.Concatenate(name=f"{name}_concat")(sides)


def _pool(x: Any, name: str) -> Any:
    """3x3 at stride 2 with a partial window at the end where there is one (ceil mode)."""
    rule = "valid" if x.shape[1] % 2 else "same"
    return keras.layers.MaxPooling2D(3, 2, rule, name=f"{name}_pool")(x)
