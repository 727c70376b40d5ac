"""Word problems of the small world: somebody has things, and moves happen to them.

A story is a start and some moves (find, lose, double); its level is the number of moves. Its canonical form is the
numbers and moves without names and things, so that two stories which differ in names alone are one problem.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

NAMES = ("Ann", "Ben", "Dan", "Eve", "Mia", "Sam", "Tom", "Zoe")
THINGS = ("cups", "eggs", "keys", "nuts", "pens", "pins")
GAINS = ("finds", "gets", "buys")
LOSSES = ("loses", "sells", "gives")

STORY_LEVELS = range(1, 9)
_START = range(2, 30)
_CHANGE = range(2, 13)
_HELD = range(1, 80)
"""Every value on the way stays in here."""


@dataclass(frozen=True, slots=True)
class Move:
    """One step of a story: `verb` and `sign` ("+", "-" or "*") with its number (2 where things are doubled)."""

    verb: str
    sign: str
    number: int

    def apply(self, held: int) -> int:
        """What is held after the move."""
        if self.sign == "*":
            return held * self.number
        return held + self.number if self.sign == "+" else held - self.number


@dataclass(frozen=True, slots=True)
class Story:
    """Somebody has `start` things and `moves` happen to them."""

    name: str
    thing: str
    start: int
    moves: tuple[Move, ...]
    family = "story"
    unit = "moves"

    @property
    def level(self) -> int:
        """Number of moves."""
        return len(self.moves)

    @property
    def canonical(self) -> str:
        """Numbers and structure, without name, thing and verbs: `7+5-3`."""
        return str(self.start) + "".join(f"{move.sign}{move.number}" for move in self.moves)

    @property
    def question(self) -> str:
        """The question as it is asked."""
        told = [f"{self.name} has {self.start} {self.thing}"]
        told += [move.verb if move.sign == "*" else f"{move.verb} {move.number}" for move in self.moves]
        return ", ".join(told) + ". How many?"

    def equations(self) -> list[tuple[int, Move, int]]:
        """(held before, move, held after) of each move."""
        lines, held = [], self.start
        for move in self.moves:
            lines.append((held, move, move.apply(held)))
            held = lines[-1][2]
        return lines

    @property
    def answer(self) -> str:
        """What is held in the end."""
        return str(self.equations()[-1][2])


def draw_story(rng: random.Random, level: int) -> Story:
    """A story of `level` moves with every value on the way between 1 and 79."""
    while True:
        held = start = rng.choice(_START)
        moves: list[Move] = []
        for _ in range(level):
            sign = rng.choice("++--*")
            if sign == "*":
                move = Move("doubles", "*", 2)
            else:
                move = Move(rng.choice(GAINS if sign == "+" else LOSSES), sign, rng.choice(_CHANGE))
            moves.append(move)
            held = move.apply(held)
            if held not in _HELD:
                break
        else:
            return Story(rng.choice(NAMES), rng.choice(THINGS), start, tuple(moves))
