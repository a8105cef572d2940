"""Sharing out pictures that belong together: of one person, one patient, one video."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from tflite_light.pipeline.pictures import Split

if TYPE_CHECKING:
    import numpy as np

GroupColumn = Annotated[
    str | None,
    Field(
        min_length=1,
        description="a column that names whom a picture shows: one person, patient or video lies "
        "in one part alone",
    ),
]
PASSES = 20  # over all groups, each of which may move again; 2 to 5 are enough in practice
PLACED = 500  # groups in all further orders together: 71 orders of 7 groups found the best shares
LACK = 1e6  # what a class without train or test costs, in chi-squared


def joined(groups: Sequence[str], digests: Sequence[bytes]) -> list[str]:
    """Of each picture, a name for the group and all groups that share a picture with it."""
    above: dict[str | bytes, str | bytes] = {}

    def top(one: str | bytes) -> str | bytes:
        while above.setdefault(one, one) != one:
            above[one] = one = above[above[one]]
        return one

    for group, digest in zip(groups, digests, strict=True):
        above[top(digest)] = top(group)
    return [str(top(group)) for group in groups]


def share_out(
    groups: Sequence[str], labels: Sequence[int], shares: dict[Split, float]
) -> dict[str, Split]:
    """The part of each group, so that each class has its shares as evenly as groups allow.

    Evenness is chi-squared: the squared distance of each class's share in each part from the wanted
    one, over the wanted one. Above it goes that no class lacks train or test, and that val is not
    empty. Groups are placed one by one, large ones first, each where it serves that best; then each
    anew among all others, until none moves. A few groups are placed in other orders, too, drawn
    from a fixed seed, and the best is taken.
    """
    import numpy as np  # here, since instant commands need none of it

    _, classes = np.unique(labels, return_inverse=True)  # as indices: outliers' label is negative
    held: dict[str, Counter[int]] = defaultdict(Counter)
    for group, label in zip(groups, classes.tolist(), strict=True):
        held[group][label] += 1
    order = sorted(held, key=lambda group: (-sum(held[group].values()), group))
    numbers = np.random.default_rng(0)
    others = [numbers.permutation(len(order)) for _ in range(PLACED // len(order))]
    orders = [order, *([order[index] for index in other] for other in others)]
    totals = np.bincount(classes)
    found = min((_Placing(held, totals, shares, one) for one in orders), key=_Placing.cost)
    return {group: found.names[part] for group, part in found.parts.items()}


class _Placing:
    """Groups in parts: each is placed in `order`, and again until none moves.

    `held` has each group's pictures of each class, `totals` how many each class has.
    """

    def __init__(
        self,
        held: dict[str, Counter[int]],
        totals: "np.ndarray[Any, Any]",
        shares: dict[Split, float],
        order: Sequence[str],
    ) -> None:
        import numpy as np

        self.held, self.totals, self.names = held, totals, list(shares)
        self.shares = np.array([shares[name] for name in self.names])[:, None]
        self.counts = np.zeros((len(self.names), len(totals)), np.int64)
        self.parts: dict[str, int] = {}
        for _ in range(PASSES):
            before = dict(self.parts)
            for group in order:
                self._place(group)
            if self.parts == before:
                return

    def cost(self) -> float:
        wanted = self.shares * self.totals
        uneven = ((self.counts - wanted) ** 2 / (wanted * self.totals)).sum()
        return float(uneven + LACK * self._lacks(range(len(self.totals))).sum())

    def _place(self, group: str) -> None:
        """Put a group, which may have a part already, into the part that it serves best."""
        classes = list(self.held[group])
        counts = [*self.held[group].values()]
        if group in self.parts:
            self.counts[self.parts[group], classes] -= counts
        there, totals = self.counts[:, classes], self.totals[classes]
        growth = (counts * (2 * there + counts) / totals**2 / self.shares).sum(axis=1)
        part = int((growth - LACK * self._lacks(classes)).argmin())
        self.counts[part, classes] += counts
        self.parts[group] = part

    def _lacks(self, classes: Sequence[int]) -> "np.ndarray[Any, Any]":
        """Of each part how many of the classes it has no picture of; val needs any one."""
        lacks: np.ndarray[Any, Any] = (self.counts[:, classes] == 0).sum(axis=1)
        val = self.names.index("val")
        lacks[val] = not self.counts[val].any()
        return lacks
