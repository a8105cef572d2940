"""The four practical guidelines of ShuffleNet v2 (Ma et al. 2018, arXiv 1807.11164, section 2).

Each is computed for one network, with the layers that it points at. Memory access is counted in
elements, without biases, as in the paper's proofs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from math import sqrt
from operator import and_, or_

from tflite_light.cost.network import FREE, Network, Operator

COPIES = ("concat", "slice", "transpose", "pad")
ELEMENTWISE = ("add", "multiply", "activation", "norm", "cast")


@dataclass(frozen=True)
class Finding:
    """A layer that a guideline points at; `figure` in the guideline's own terms."""

    layer: str
    figure: float
    why: str


@dataclass(frozen=True)
class Guideline:
    name: str
    title: str
    rule: str
    figure: float
    meaning: str  # of the figure, in one line
    findings: tuple[Finding, ...]  # worst first


GUIDELINES = ("G1", "G2", "G3", "G4")


def guidelines(network: Network) -> list[Guideline]:
    """G1 to G4; none of a network whose sizes are open."""
    checks = () if network.is_open else (_widths, _groups, _fragments, _elementwise)
    return [check(network) for check in checks]


def _widths(network: Network) -> Guideline:
    """Access of hw (c1 + c2) + c1 c2 / g against its least for equal work, at c1 = c2."""

    def least(row: Operator) -> float:
        channels = row.input_channels * row.output.shape[-1]
        return 2 * _places(row) * sqrt(channels) + row.weights

    rows = [row for row in network.operators if row.kernel == (1, 1) and _keeps_size(row)]
    ratio, findings = _against(rows, least, _channels)
    return Guideline(
        "G1",
        "channel widths",
        "equal channel widths cost least memory access",
        ratio,
        f"memory access of the {len(rows)} 1x1 convolutions, times its lower bound",
        findings,
    )


def _groups(network: Network) -> Guideline:
    """Access of grouped convolutions against ungrouped ones of equal input and equal work."""

    def ungrouped(row: Operator) -> float:
        return row.inputs[0].elements + row.output.elements / row.groups + row.weights

    rows = [row for row in network.operators if row.kind == "conv" and row.groups > 1]
    ratio, findings = _against(
        rows, ungrouped, lambda row: f"{row.groups} groups, {_channels(row)}"
    )
    return Guideline(
        "G2",
        "groups",
        "many groups cost memory access",
        ratio,
        f"memory access of the {len(rows)} grouped convolutions, times that of ungrouped ones of "
        "equal work"
        if rows
        else "no grouped convolution",
        findings,
    )


def _fragments(network: Network) -> Guideline:
    rows = [row for row in network.operators if row.kind != FREE]
    before = _before(network)
    longest = sum(_longest(graph) for graph in network.graphs.values()) or 1
    findings = []
    for row in rows:
        branches = _branches(row, before)
        if len(branches) > 1:
            why = f"joins branches of {' and '.join(map(str, branches))} operators"
            findings.append(Finding(row.name, sum(branches), why))
    return Guideline(
        "G3",
        "fragments",
        "fragments hold back parallel processors",
        len(rows) / longest,
        f"{len(rows)} operators over the {longest} of the longest path; 1 is a plain chain",
        _worst_first(findings),
    )


def _longest(graph: Network) -> int:
    """Operators on the longest path."""
    depth: dict[int, int] = {}  # tensor -> operators in sequence up to it
    longest = 0
    for row in graph.operators:
        steps = max((depth.get(tensor.number, 0) for tensor in row.inputs), default=0)
        steps += row.kind != FREE
        depth |= {output.number: steps for output in row.outputs}
        longest = max(longest, steps)
    return longest


def _before(network: Network) -> dict[int, int]:
    """Tensor -> the operators that it needs, as a set: bit i is operator i."""
    found: dict[int, int] = {}
    for number, row in enumerate(network.operators):
        needed = reduce(or_, (found.get(tensor.number, 0) for tensor in row.inputs), 0)
        own = needed if row.kind == FREE else needed | 1 << number
        found |= {output.number: own for output in row.outputs}
    return found


def _branches(row: Operator, before: dict[int, int]) -> list[int]:
    """Operators in each branch that `row` joins, a bare shortcut left out."""
    sides = [before.get(tensor.number, 0) for tensor in row.inputs]
    if len(sides) < 2:
        return []
    shared = reduce(and_, sides)
    return [(side & ~shared).bit_count() for side in sides if side & ~shared]


def _elementwise(network: Network) -> Guideline:
    total = network.int8_bytes or 1

    def share(kinds: tuple[str, ...]) -> float:
        return sum(row.int8_bytes for row in network.operators if row.kind in kinds) / total

    findings = [
        Finding(row.name, row.int8_bytes / total, f"{row.kind}, {row.int8_bytes:,} bytes as int8")
        for row in network.operators
        if row.kind in (*ELEMENTWISE, *COPIES)
    ]
    return Guideline(
        "G4",
        "element-wise work",
        "element-wise operators are not free",
        share((*ELEMENTWISE, *COPIES)),
        f"share of memory access: {share(ELEMENTWISE):.3f} element-wise and {share(COPIES):.3f} "
        f"copies; the paper also counts depthwise convolutions, {share(('depthwise',)):.3f}",
        _worst_first(findings),
    )


def _against(
    rows: list[Operator], least: Callable[[Operator], float], why: Callable[[Operator], str]
) -> tuple[float, tuple[Finding, ...]]:
    """Access of all rows over the least, and the rows by what they cost above it."""
    if not rows:
        return 1.0, ()
    costs = [(row.activations + row.weights, least(row), row) for row in rows]
    above = [cost for cost in costs if cost[0] > cost[1] * 1.0001 > 0]
    above.sort(key=lambda cost: cost[1] - cost[0])
    findings = tuple(Finding(row.name, access / low, why(row)) for access, low, row in above)
    total = sum(low for _, low, _ in costs)
    return (sum(access for access, _, _ in costs) / total if total else 1.0), findings


def _worst_first(findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: -finding.figure))


def _places(row: Operator) -> int:
    return row.output.elements // (row.output.shape[-1] or 1)


def _keeps_size(row: Operator) -> bool:
    return row.kind == "conv" and row.inputs[0].shape[:-1] == row.output.shape[:-1]


def _channels(row: Operator) -> str:
    height, width = row.output.shape[1:3]
    return f"{row.input_channels} to {row.output.shape[-1]} channels at {height}x{width}"
