"""Channels that go until a file is as fast as it has to be, on this computer."""

import statistics
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tflite_light.compress import Plan
from tflite_light.compress._selection import selected
from tflite_light.errors import UserError
from tflite_light.graph.convert import convert, converter_for
from tflite_light.graph.thinner import thin
from tflite_light.stack import quiet

if TYPE_CHECKING:
    from tflite_light.compress.channels import Channels
    from tflite_light.pipeline.examples import Data

RUNS, WARM_UP = 60, 5  # of each file
TRIES = 5
NEAR = 0.03  # of the whole network's time: a plan so little below the budget is good enough


def within(stage: "Channels", model: Any, data: "Data") -> Plan:
    """The plan of `Channels` whose float32 file takes at most `keep` of the time, one thread.

    Its figure is the multiply-adds, again and again, by what the last one was off: time falls more
    slowly than they do. Raises UserError where no plan is fast enough.
    """
    whole = convert(converter_for(model))
    plans: dict[float, Plan] = {}  # share of the time -> plan
    keep = stage.keep
    while len(plans) < TRIES:
        try:
            plan = selected(stage.model_copy(update={"keep": keep}), model, data)
        except UserError:
            break
        before, after = medians_ms([whole, convert(converter_for(thin(model, plan["channels"])))])
        plans[after / before] = plan | {"latency_ms": [round(before, 3), round(after, 3)]}
        if stage.keep - NEAR <= after / before <= stage.keep:
            break
        keep = min(0.99, keep * (stage.keep - NEAR / 2) * before / after)
    return _slowest_within(stage, plans)


def _slowest_within(stage: "Channels", plans: dict[float, Plan]) -> Plan:
    fast = [share for share in plans if share <= stage.keep]
    if fast:
        return plans[max(fast)]
    nearest = f": {min(plans):.3f} is the least that was found" if plans else ""
    raise UserError(
        f"compress.channels.keep: {stage.keep} of the latency cannot be reached{nearest}.",
        f"Raise it, such as `--set compress.channels.keep={min(plans) + 0.01:.2f}`."
        if plans
        else "Raise it, or choose a wider network.",
    )


def medians_ms(contents: Sequence[bytes]) -> list[float]:
    """Of each file, one thread; in turn, so that a busy moment meets all."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet():  # it announces XNNPACK
        files = [Interpreter(model_content=content, num_threads=1) for content in contents]
        for file in files:
            file.allocate_tensors()
    for file in files:
        (end,) = file.get_input_details()
        file.set_tensor(end["index"], np.zeros(end["shape"], end["dtype"]))
    times = [[_timed_ms(file) for file in files] for _ in range(WARM_UP + RUNS)]
    return [statistics.median(column) for column in zip(*times[WARM_UP:], strict=True)]


def _timed_ms(file: Any) -> float:
    start = time.perf_counter()
    file.invoke()
    return 1000 * (time.perf_counter() - start)
