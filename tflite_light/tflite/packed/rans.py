"""Interleaved range asymmetric numeral systems: numbers by given frequencies, in few bits.

rANS (Duda 2013, arXiv 1311.2540) with a lane a state, as Giesen interleaves them (2014, arXiv
1402.3392): all lanes take a step at once, which numpy does fast. States are of 32 bits, words of
16, frequencies of 14. Writer and reader have the same face, so that a model is written once, for
both directions: `stage(contexts, alphabet)` is a source of symbols, each with the frequencies of
its context, and `stage.code(contexts, symbols)` is those symbols, known to the writer alone.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from tflite_light.tflite.flatbuffer import Array, Damage

_BITS = 14  # of a frequency
_LOWEST = 1 << 16  # state; a lane below it takes a word
# What a byte of a table stands for: 0, and then eight numbers an octave.
_OCTAVE = 8
WEIGHTS = np.array([0, *(8 + step % 8 << step // 8 for step in range(240))], np.int64)


class Stage(Protocol):
    def code(self, contexts: Array, symbols: Array | None) -> Array: ...


class Coder(Protocol):
    def stage(self, contexts: int, alphabet: int) -> Stage: ...


def frequencies(weights: Array) -> Array:
    """Shares of 2^14 for each context, a row each: at least 1 where the weight is not 0.

    What rounding leaves over goes to the first of the largest; all of it where no symbol is used.
    """
    used = weights > 0
    room = (1 << _BITS) - used.sum(1, keepdims=True)
    sums = weights.sum(1, keepdims=True)
    shares = np.where(used, 1 + weights * room // np.maximum(sums, 1), 0)
    shares[np.arange(len(shares)), shares.argmax(1)] += (1 << _BITS) - shares.sum(1)
    return shares


class _Table:
    """Of each context and symbol, in one row: its share, and where it starts."""

    def __init__(self, levels: Array):
        """`levels` are bytes of shape (contexts, alphabet)."""
        if levels.max(initial=0) >= len(WEIGHTS):
            raise Damage("a table of frequencies is out of range")
        shares = frequencies(WEIGHTS[levels])
        self.alphabet = levels.shape[1]
        self.starts = (np.cumsum(shares, 1) - shares).ravel()
        self.shares = shares.ravel()

    @cached_property
    def certain(self) -> Array:
        """Of each context its symbol where it has but one, else -1."""
        whole = self.shares.reshape(-1, self.alphabet) == 1 << _BITS
        return np.where(whole.any(1), whole.argmax(1), -1).astype(np.int16)

    @cached_property
    def _places(self) -> Array:
        """Which symbol each of the 2^14 numbers of each context stands for."""
        return np.repeat(np.arange(self.shares.size, dtype=np.int32), self.shares)

    def find(self, contexts: Array, numbers: Array) -> Array:
        """Places in the row. Bits have many contexts, and are compared instead of looked up."""
        if self.alphabet == 2:
            places: Array = 2 * contexts + (numbers >= self.shares[2 * contexts])
        else:
            places = self._places[(contexts << _BITS) | numbers]
        return places


def levels_of(counts: Array) -> Array:
    """A table for counts of shape (contexts, alphabet), coarser where they are few.

    Shares that are off by a step of d octaves cost 0.029 d^2 bits a symbol, and a table of K
    symbols takes K log2(1/d) bits: their sum is least where d^2 = 25 K / n.
    """
    used, total = np.count_nonzero(counts), counts.sum()
    octaves = np.sqrt(25 * used / max(total, 1))
    step = 1 << int(np.clip(np.round(np.log2(octaves * _OCTAVE + 1e-9)), 0, 4))
    exact = _OCTAVE * np.log2(np.maximum(counts, 1))
    levels = 1 + step * np.round(exact / step)
    return np.where(counts, np.minimum(levels, len(WEIGHTS) - 1), 0).astype(np.uint8)


@dataclass
class _Written:
    """A source of symbols whose frequencies are known when all have come."""

    encoder: "Encoder"
    contexts: int
    alphabet: int
    places: list[Array] = field(default_factory=list)

    def code(self, contexts: Array, symbols: Array | None) -> Array:
        assert symbols is not None
        place = np.asarray(contexts, np.int64) * self.alphabet + symbols
        self.places.append(place)
        self.encoder.order.append((self, len(self.places) - 1))
        return symbols

    def levels(self) -> Array:
        size = self.contexts * self.alphabet
        counts = np.zeros(size, np.int64)
        for place in self.places:
            counts += np.bincount(place, minlength=size)
        return levels_of(counts.reshape(self.contexts, self.alphabet))


@dataclass
class Encoder:
    order: list[tuple[_Written, int]] = field(default_factory=list)
    stages: list[_Written] = field(default_factory=list)

    def stage(self, contexts: int, alphabet: int) -> _Written:
        self.stages.append(_Written(self, contexts, alphabet))
        return self.stages[-1]

    def tables(self) -> Array:
        """Of all stages in their order, uint8."""
        empty = np.empty(0, np.uint8)
        return np.concatenate([empty, *(stage.levels().ravel() for stage in self.stages)])

    def size_bytes(self) -> float:
        """About what symbols and tables will take."""
        total = 0.0
        for stage in self.stages:
            levels = stage.levels()
            shares = _Table(levels).shares
            bits = _BITS - np.log2(np.maximum(shares, 1))
            total += sum(bits[place].sum() for place in stage.places) / 8
            total += np.count_nonzero(levels) / 2
        return total

    def symbols(self) -> int:
        return sum(len(place) for stage in self.stages for place in stage.places)

    def words(self, lanes: int) -> Array:
        """The states that a reader begins with, two words each, and the words it takes."""
        tables = {id(stage): _Table(stage.levels()) for stage in self.stages}
        states, words = np.full(lanes, _LOWEST, np.int64), list[Array]()
        for stage, number in reversed(self.order):
            place, table = stage.places[number], tables[id(stage)]
            place = place[table.shares[place] < 1 << _BITS]
            for at in reversed(range(0, len(place), lanes)):
                here = place[at : at + lanes]
                share, start = table.shares[here], table.starts[here]
                state = states[: len(here)]
                full = state >= share << (32 - _BITS)
                words.append(state[full].astype("<u2"))
                state[full] >>= 16
                rounds, left = np.divmod(state, share)
                state[:] = (rounds << _BITS) + left + start
        return np.concatenate([states.astype("<u4").view("<u2"), *reversed(words)])


@dataclass
class _Read:
    decoder: "Decoder"
    table: _Table

    def code(self, contexts: Array, symbols: Array | None = None) -> Array:
        found: Array = self.table.certain[contexts]
        unknown = np.flatnonzero(found < 0)
        lanes = len(self.decoder.states)
        for at in range(0, len(unknown), lanes):
            here = unknown[at : at + lanes]
            context = contexts[here].astype(np.int64)
            place = self.decoder.step(self.table, context)
            found[here] = place - context * self.table.alphabet
        return found


class Decoder:
    """Raises Damage where tables or words end early, or something is left of the words."""

    def __init__(self, tables: Array, words: Array, lanes: int):
        if len(words) < 2 * lanes or not lanes:
            raise Damage("it has no states to begin with")
        self.states = words[: 2 * lanes].view("<u4").astype(np.int64)
        self._words, self._at = words[2 * lanes :].astype(np.int64), 0
        self._tables = tables

    def stage(self, contexts: int, alphabet: int) -> _Read:
        size = contexts * alphabet
        if size > len(self._tables):
            raise Damage("a table of frequencies is missing")
        levels, self._tables = self._tables[:size], self._tables[size:]
        return _Read(self, _Table(levels.reshape(contexts, alphabet)))

    def step(self, table: _Table, contexts: Array) -> Array:
        """The place in the table's row of one symbol of each lane, as many as contexts."""
        state = self.states[: len(contexts)]
        number = state & ((1 << _BITS) - 1)
        place = table.find(contexts, number)
        state >>= _BITS
        state *= table.shares[place]
        state += number - table.starts[place]
        empty = np.flatnonzero(state < _LOWEST)
        words = self._words[self._at : self._at + len(empty)]
        if len(words) < len(empty):
            raise Damage("its symbols end early")
        state[empty] = (state[empty] << 16) | words
        self._at += len(empty)
        return place

    def finish(self) -> None:
        if self._at < len(self._words) or len(self._tables) or (self.states != _LOWEST).any():
            raise Damage("something is left over behind its last symbol")
