"""What a file must hold, as values: a stage promises, and delivery looks into the file.

A promise is a frozen value with a `name`, a `figure` and `shortfall(file)`. Another kind is another
class here; it inherits nothing, it only has these three. One that finds kernels by their shapes has
`followed(file)` as well, by which `moved.py` follows them into others: the names of those kernels,
each with a function that counts its offences.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tflite_light.tflite.file import File
    from tflite_light.tflite.graph import Weight

    Offences = Callable[[Weight, bool], int]  # of a kernel; the bool says that 0 is no value
    _Shapes = defaultdict[tuple[int, ...], list[Weight]]


class Promise(Protocol):
    """A figure that a file must reach."""

    @property
    def name(self) -> str:
        """What is promised, in a word, such as `zeros`."""

    @property
    def figure(self) -> float:
        """How much of it."""

    def shortfall(self, file: "File") -> "Shortfall | None":
        """What the file lacks; None where the promise is kept."""


@dataclass(frozen=True)
class Shortfall:
    """A broken promise: what is wrong with the file, and what to do about it."""

    problem: str  # to be read after the file's name: `has ...`
    hint: str


@dataclass(frozen=True)
class Zeros:
    """At least this share of all weights that multiply, biases aside, is exactly zero.

    `place` is where the recipe says so, in the form that `--set` takes.
    """

    share: float
    place: str  # such as compress.0.prune.sparsity

    @property
    def name(self) -> str:
        return "zeros"

    @property
    def figure(self) -> float:
        return self.share

    def shortfall(self, file: "File") -> Shortfall | None:
        found = file.zeros()
        if found >= self.share:
            return None
        reached = int(100 * found) / 100
        lower = f"Lower `{self.place}` to {reached} (`--set {self.place}={reached}`), or give"
        return Shortfall(
            f"has {found:.4f} zeros among its weights, fewer than the promised {self.share:g}"
            f"{self._densest(file)}.",
            f"{lower} the stage more epochs."
            if reached
            else f"Give the stage of `{self.place}` more epochs.",
        )

    def _densest(self, file: "File") -> str:
        """The tensor that lacks most zeros, in words."""
        lacks = [(self.share * one.values.size - one.zeros, one) for one in file.weights()]
        if not lacks:
            return ""
        _, weight = max(lacks, key=lambda pair: pair[0])
        return f": most are missing in {weight.name} ({weight.zeros} of {weight.values.size} are 0)"


@dataclass(frozen=True)
class Clusters:
    """At most `count` different values in each output channel of these kernels; in a kernel as a
    whole where it is marked so and stored as floats: integers are scaled by channel.

    `kernels` are their shapes as Keras has them, output channels last, each with its mark. A file's
    kernels are found by their shapes, since its tensors have other names. `place` as in `Zeros`.
    """

    count: int
    kernels: tuple[tuple[tuple[int, ...], bool], ...]
    place: str

    @property
    def name(self) -> str:
        return "clusters"

    @property
    def figure(self) -> float:
        return self.count

    def shortfall(self, file: "File") -> Shortfall | None:
        for shape, number, whole, kernels in self._stored(file):
            if len(kernels) < number:
                return Shortfall(
                    f"holds {len(kernels)} of the {number} clustered kernels of shape "
                    f"{list(shape)}.",
                    f"Export another mode, or leave out the stage of `{self.place}`.",
                )
            values, name = max((self._values(one, whole), one.name) for one in kernels[:number])
            if values > self.count:
                return Shortfall(
                    f"has {values} different values in {name}, more than the promised "
                    f"{self.count}.",
                    f"Raise `{self.place}` (`--set {self.place}={values}`), or exclude that layer.",
                )
        return None

    def followed(self, file: "File") -> "dict[str, Offences]":
        return {
            one.name: partial(self._offends, whole)
            for _, number, whole, kernels in self._stored(file)
            for one in kernels[:number]
        }

    def _offends(self, whole: bool, kernel: "Weight", filled: bool) -> int:
        return int(self._values(kernel, whole, filled) > self.count)

    def _stored(self, file: "File") -> "Iterator[tuple[tuple[int, ...], int, bool, list[Weight]]]":
        """Of each shape how many are promised, whether as a whole, and a file's, the fewest values
        first: others of the shape may be excluded."""
        stored = _Kernels(file)
        for shape, number in Counter(_form(shape) for shape, _ in self.kernels).items():
            whole = all(mark for other, mark in self.kernels if _form(other) == shape)
            kernels = stored.of(shape, number)
            yield shape, number, whole, sorted(kernels, key=lambda one: self._values(one, whole))

    def _values(self, weight: "Weight", whole: bool, filled: bool = False) -> int:
        whole = whole and weight.values.dtype.kind == "f"
        if filled:
            return weight.not_zero(whole)
        return weight.distinct if whole else weight.distinct_by_channel


@dataclass(frozen=True)
class Groups:
    """So many groups of `outputs` x `inputs` channels have at most `most` weights that are not 0.

    2:4 sparsity is all groups of 1 x 4 with at most 2, block sparsity some of 4 x 1 with none.
    `kernels` are shapes as Keras has them, output channels last, each with its number of groups.
    `place` as in `Zeros`.
    """

    outputs: int
    inputs: int
    most: int
    kernels: tuple[tuple[tuple[int, ...], int], ...]
    place: str

    @property
    def name(self) -> str:
        return "groups"

    @property
    def figure(self) -> float:
        return sum(groups for _, groups in self.kernels)

    def shortfall(self, file: "File") -> Shortfall | None:
        for shape, groups, number, kernels in self._stored(file):
            if len(kernels) < number:
                return Shortfall(
                    f"holds {len(kernels)} of the {number} pruned kernels of shape {list(shape)}.",
                    f"Export another mode, or leave out the stage of `{self.place}`.",
                )
            most, name = min((self._groups(one), one.name) for one in kernels[:number])
            if most < groups:
                what = f"at most {self.most} weights" if self.most else "no weight"
                return Shortfall(
                    f"has {most} groups of {self.outputs}x{self.inputs} channels with {what} in "
                    f"{name}, fewer than the promised {groups}.",
                    "Exclude that layer, or let any weight go "
                    f"(`--set {self.place}=unstructured`).",
                )
        return None

    def followed(self, file: "File") -> "dict[str, Offences]":
        return {
            one.name: self._full
            for *_, number, kernels in self._stored(file)
            for one in kernels[:number]
        }

    def _full(self, kernel: "Weight", filled: bool) -> int:
        """Groups of more weights; zeros that fill up are none anyway."""
        return int((kernel.kept(self.outputs, self.inputs) > self.most).sum())

    def _stored(self, file: "File") -> "Iterator[tuple[tuple[int, ...], int, int, list[Weight]]]":
        """Of each shape with so many promised groups how many are, and a file's, the most such
        groups first: others of the shape may be excluded."""
        stored = _Kernels(file)
        kernels = Counter((_form(shape), groups) for shape, groups in self.kernels)
        for (shape, groups), number in kernels.items():
            found = sorted(stored.of(shape, number), key=lambda one: -self._groups(one))
            yield shape, groups, number, found

    def _groups(self, weight: "Weight") -> int:
        return int((weight.kept(self.outputs, self.inputs) <= self.most).sum())


@dataclass(frozen=True)
class _Kernels:
    """A file's weights by the form of the shape that Keras gives them: output channels last."""

    file: "File"

    def of(self, shape: tuple[int, ...], number: int) -> list["Weight"]:
        """Those of a shape; where they are not so many, each as often as it is used, since the
        converter keeps equal ones once."""
        return found if len(found := self._once[shape]) >= number else self._each_use[shape]

    @cached_property
    def _once(self) -> "_Shapes":
        return _by_shape(self.file.weights())

    @cached_property
    def _each_use(self) -> "_Shapes":
        return _by_shape(self.file.weights(each_use=True))


def _by_shape(weights: Iterable["Weight"]) -> "_Shapes":
    found: _Shapes = defaultdict(list)
    for weight in weights:
        shape = weight.values.shape
        found[_form(shape[1:] + shape[:1])].append(weight)
    return found


def _form(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of 1x1 convolutions as of the dense layers that they may have been."""
    return shape[2:] if len(shape) == 4 and shape[:2] == (1, 1) else shape
