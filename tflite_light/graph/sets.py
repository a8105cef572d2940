"""Disjoint sets of numbers (union-find): what has to be treated alike."""


class Sets:
    """The smallest member stands for a set; each number is one of its own until it is joined."""

    def __init__(self, count: int):
        self._parents = list(range(count))

    def __len__(self) -> int:
        return len(self._parents)

    def add(self, count: int) -> range:
        """More numbers, above all others."""
        new = range(len(self), len(self) + count)
        self._parents += new
        return new

    def find(self, one: int) -> int:
        while (parent := self._parents[one]) != one:
            self._parents[one] = one = self._parents[parent]
        return one

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self.find(one), self.find(other)))
        self._parents[second] = first
