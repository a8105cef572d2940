"""A commented recipe for photographs that were looked at, with the reason of each choice."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from tflite_light.measure.balance import Balance
from tflite_light.measure.confidence import FEWEST
from tflite_light.models import Architecture
from tflite_light.recipe import yaml
from tflite_light.runs.surveying import Survey
from tflite_light.sockets import load, names
from tflite_light.weights import Weights
from tflite_light.wording import count

STEPS = 1_100  # of a fit, as the main recipe's: 24 epochs of 45 steps reach 0.987 on the hand signs
EPOCHS = (10, 60)  # fewest and most: large sets need some, and small ones gain no more
FINE_TUNING = 10  # epochs from weights that know pictures already
BATCHES = (8, 16, 32)  # pictures a step; batch norm of fewer is too noisy
FEWEST_STEPS = 10  # an epoch
MANY = 10_000  # pictures, of which a wider network makes something
AUGMENTED = "translate: 0.1, rotate: 15, zoom: 0.1, contrast: 0.2, brightness: 0.1"
WIDTHS = (0.35, 0.5, 0.75, 1.0)  # of MobileNetV2, whose weights are looked for


def propose(survey: Survey, path: Path) -> str:
    """A recipe as text, to be written to `path`; it trains as it stands."""
    network, weights = _start(survey)
    return "\n".join(
        [
            *_head(survey, path),
            *_network(survey, network, weights),
            *_data(survey),
            *_pixels(survey, weights),
            *_augmentation(survey),
            *_fit(survey, weights),
            "# compress: [{prune: {sparsity: 0.5}}, {qat: {}}]  # smaller, in longer training",
            "export: [float32, int8]  # int8 is for the phone; float32 shows what int8 loses",
            "",
        ]
    )


def _head(survey: Survey, path: Path) -> Iterator[str]:
    parts = ", ".join(f"{counts.total()} {name}" for name, counts in survey.counts.items())
    classes = count(len(survey.totals), "class", "classes")
    yield f"# {count(len(survey.seen), 'picture')} of {classes}: {parts}."
    name = _comment(shlex.quote(str(path)))
    yield f"#   tflite-light show {name}     # what training will see"
    yield f"#   tflite-light train {name}"


def _network(survey: Survey, network: Architecture, weights: Weights | None) -> Iterator[str]:
    why = "narrow: fast on any phone, and few pictures do not fill a wider one"
    if survey.counts["train"].total() >= MANY:
        why = f"wider than the narrowest, since there are {MANY:,} pictures or more"
    if weights:
        why = "the narrowest whose weights are on this machine"
    yield f"model: {{{network.key}: {{alpha: {getattr(network, 'alpha', 1.0):g}}}}}  # {why}"
    if weights:
        size = getattr(weights, "size", None)
        yield f"weights: {{{weights.key}: {{size: {size}}}}}  # they know pictures already"


def _data(survey: Survey) -> Iterator[str]:
    source: Any = survey.source
    yield f"data:\n  {source.key}:\n    path: {_text(source.path)}"
    if getattr(source, "skip_strangers", False):
        yield "    skip_strangers: true  # other files lie among the pictures; training names them"
    if survey.left_out:
        yield "    leave_out:"
        width = min(40, max(len(_text(name)) for name in survey.left_out))
        for name, why in survey.left_out.items():
            yield f"      - {_text(name):{width}}  # {_comment(why)}"
    if survey.copies:
        number = count(survey.copies, "picture equals", "pictures equal")
        yield f"    # {number} another of the same class and part, which does no harm"
    if source.key == "directory":
        yield "    # group: '^([^_]+)_'  # where names such as anna_1.jpg say whom pictures show"
    elif "group" in type(source).model_fields:
        yield "    # group: patient  # where a column of that name says whom pictures show"


def _pixels(survey: Survey, weights: Weights | None) -> Iterator[str]:
    side, size = int(median(survey.shorter_sides)), survey.image.size
    why = f"half of the pictures are {side} px or more on their shorter side"
    if side < size:
        why = f"pictures of {side} px are enlarged, since the network halves their sides five times"
    elif side > size:
        why += "; larger inputs see more and cost more"
    spread = ", mean: 127.5, std: 127.5" if weights else ""
    yield f"image: {{size: {size}{spread}}}  # {why}"


def _augmentation(survey: Survey) -> Iterator[str]:
    colours, why = ", saturation: 0.2", "places, light and colours vary"
    if survey.grey == 1:
        colours, why = "", "places and light vary; the pictures are grey"
    yield f"augment: {{{AUGMENTED}{colours}}}  # {why}"
    yield "# flip: horizontal, too, where a mirrored picture shows the same: no letters, no signs"


def _fit(survey: Survey, weights: Weights | None) -> Iterator[str]:
    number = survey.counts["train"].total()
    batch = max([BATCHES[0], *(size for size in BATCHES if size * FEWEST_STEPS <= number)])
    steps = max(1, number // batch)
    epochs = FINE_TUNING if weights else min(max(EPOCHS[0], -(-STEPS // steps)), EPOCHS[1])
    yield f"train:\n  epochs: {epochs}  # {epochs * steps:,} steps on {count(number, 'picture')}"
    yield f"  batch_size: {batch}  # {count(steps, 'step')} an epoch"
    if survey.counts["val"].total() >= FEWEST and survey.grey < 1:
        yield "  made_outliers: true  # pictures of nothing, so that other things get no label"
    if weights:
        yield "  learning_rate: 0.001  # small, since the weights are good already"
        yield "  warmup_epochs: 0.5"
        yield "  freeze: {epochs: 1}  # the new classifier alone first"
    balance = Balance(survey.totals)
    if balance.uneven:
        most, least = balance.most, balance.least
        why = f"{most} has {balance.pictures[most]} pictures, {least} {balance.pictures[least]}"
        yield f"  class_weights: true  # {_comment(why)}"


def _start(survey: Survey) -> tuple[Architecture, Weights | None]:
    """The network, and weights of it that lie on this machine, if there are any."""
    network = load("models", "mobilenet_v2")
    for alpha in WIDTHS:
        built = network(alpha=alpha)
        for kind in names("weights"):
            if found := load("weights", kind).at_hand(built):
                return built, found
    many = survey.counts["train"].total() >= MANY
    return network(alpha=WIDTHS[1] if many else WIDTHS[0]), None


def _text(text: str) -> str:
    """A text as one line of YAML."""
    return yaml.dump(text).removesuffix("...\n").strip()


def _comment(text: str) -> str:
    """A text as it may stand in a comment, which ends with the line."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
