"""Pictures of nothing, drawn by numbers: outliers where there are no others, or few."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageDraw

from tflite_light.pipeline.decode import Pixels

MADE = 1 << 16  # different pictures; a training of 24 epochs of 1400 pictures sees 8000
_MOST = 100  # shapes
_Random = np.random.Generator


class Outliers(Protocol):
    """Pictures of no class, by number."""

    def __len__(self) -> int: ...

    def pixels(self, indices: Any) -> Pixels:
        """Some of them, uint8 [count, size, size, 3]."""
        ...


@dataclass(frozen=True)
class Made:
    """Dead leaves (Lee et al. 2001) with textures: shapes that hide one another, each of a colour
    and roughness of its own.

    They have the edges, sizes and spectra that photographs have, from which even networks that name
    photographs can be trained (Baradad et al. 2021, arXiv 2106.05963), and show nothing.
    """

    size: int

    def __len__(self) -> int:
        return MADE

    def pixels(self, indices: Any) -> Pixels:
        """Some of them, uint8 [count, size, size, 3]; each is the same whenever it is asked for."""
        return np.stack([_picture(np.random.default_rng(int(one)), self.size) for one in indices])


@dataclass(frozen=True)
class Both:
    """Outliers of two kinds, equally often however many there are of each: by turns."""

    one: Outliers
    other: Outliers

    def __len__(self) -> int:
        return 2 * max(len(self.one), len(self.other))

    def pixels(self, indices: Any) -> Pixels:
        kinds = self.one, self.other
        return np.concatenate([self._kind(kinds[at % 2], at // 2) for at in map(int, indices)])

    @staticmethod
    def _kind(kind: Outliers, number: int) -> Pixels:
        return kind.pixels([number % len(kind)])


def _picture(random: _Random, size: int) -> Pixels:
    shapes = _leaves(random, size)
    colours = random.uniform(0, 255, 3) + random.normal(0, random.uniform(10, 90), (_MOST + 1, 3))
    roughness = random.uniform(0, random.uniform(0, 60), (_MOST + 1, 1))
    pixels = colours[shapes] + roughness[shapes] * _clouds(random, size)
    grey = random.uniform() ** 0.5  # photographs are rarely as colourful as colours drawn evenly
    pixels += grey * (pixels.mean(axis=2, keepdims=True) - pixels)
    found: Pixels = pixels.clip(0, 255).astype(np.uint8)
    return found


def _leaves(random: _Random, size: int) -> Pixels:
    """The number of the shape that is seen at each place, 0 where there is none."""
    image = Image.new("L", (size, size))
    draw = ImageDraw.Draw(image)
    smallest = random.uniform(0.02, 0.2) * size
    for number in range(1, int(_MOST ** random.uniform(0.2, 1)) + 1):
        # Areas fall as those of things that stand at all distances: their look has no scale.
        reach = min(size / 2, smallest / random.uniform() ** 0.5) * random.uniform(0.3, 1, 2)
        corners = random.integers(2, 8)
        angles = np.sort(random.uniform(0, 2 * np.pi, corners))
        places = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        places *= random.uniform(0.5, 1, (corners, 1))
        centre = random.uniform(0, size, 2)
        if corners == 2:
            draw.ellipse([*(centre - reach), *(centre + reach)], fill=number)
        else:
            draw.polygon([*map(tuple, centre + reach * places)], fill=number)
    return np.asarray(image)


def _clouds(random: _Random, size: int) -> Any:
    """Noise [size, size, 3] of mean 0 and deviation 1, whose amplitude falls as 1 / frequency^n."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    frequency[0, 0] = np.inf
    real, imaginary = random.normal(size=(2, 3, *frequency.shape))
    noise = (real + 1j * imaginary) / frequency ** random.uniform(0, 2)
    found = np.moveaxis(np.fft.irfft2(noise, (size, size)), 0, 2)
    return found / found.std(axis=(0, 1))
