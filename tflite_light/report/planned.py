"""What the stages of a recipe work on, for a person."""

from collections.abc import Sequence

from tflite_light.runs.planning import Row
from tflite_light.wording import some


def show(rows: Sequence[Row]) -> None:
    """Print a line for each stage on stdout, and the layers that it leaves alone."""
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        share = row.weights / (row.of_weights or 1)
        cost = "" if row.multiply_adds is None else f", {row.multiply_adds:,} multiply-adds"
        print(
            f"{row.name:<{width}}  {row.layers} of {row.of_layers} layers, "
            f"{row.weights:,} of {row.of_weights:,} weights ({share:.1%}){cost}"
        )
        if row.left:
            print(f"{'':<{width}}  without {some(row.left)}")
    print("Nothing that a stage promises is lost by the next." if rows else "No stages.")
