"""Made-up pictures that need no files: for trying a recipe out, and for tests."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field

from tflite_light.data import Given, Scan, Source
from tflite_light.pipeline.pictures import Pictures

if TYPE_CHECKING:
    import numpy as np


class Synthetic(Source):
    """Noise around one smooth pattern a class; the classes can be learnt in seconds."""

    count: int = Field(
        200, ge=20, le=1_000_000, description="pictures in all, 70/10/20 in train, val and test"
    )
    number_of_classes: int = Field(4, ge=2, le=1000, description="classes, equally frequent")
    side: int = Field(64, ge=8, le=1024, description="side of the pictures, pixels")
    seed: int = Field(0, ge=0, description="other seeds, other pictures")

    @classmethod
    def example(cls, folder: Path) -> Self:
        return cls(count=60, number_of_classes=3)

    def scan(self) -> Scan:
        classes = [f"pattern{label}" for label in range(self.number_of_classes)]
        bounds: dict[Given, tuple[float, float]] = {
            "train": (0, 0.7),
            "val": (0.7, 0.8),
            "test": (0.8, 1),
        }
        parts = {name: self._pictures(*bound) for name, bound in bounds.items()}
        return classes, parts

    def _pictures(self, first: float, last: float) -> Pictures:
        numbers = range(round(first * self.count), round(last * self.count))
        labels = [number % self.number_of_classes for number in numbers]
        names = [f"synthetic picture {number}" for number in numbers]
        return Pictures(names, labels, lambda index: self._draw(numbers[index], labels[index]))

    def _draw(self, number: int, label: int) -> "np.ndarray[Any, Any]":
        import numpy as np

        pattern = np.random.default_rng([self.seed, 1, label]).uniform(0, 255, (4, 4, 3))
        smooth = np.kron(pattern, np.ones((-(-self.side // 4), -(-self.side // 4), 1)))[
            : self.side, : self.side
        ]
        noise = np.random.default_rng([self.seed, 2, number]).normal(0, 40, smooth.shape)
        return (smooth + noise).clip(0, 255).astype(np.uint8)
