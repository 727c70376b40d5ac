"""The arithmetic stories of the small world: what a problem is, how it is drawn, which split owns it.

A problem is a start and one to three moves (find, lose, double). Its canonical form is the numbers and moves
without names and things; a keyed hash of that form assigns it to one split, so train, RL and evaluation share no
problem even when the names differ. Questions are short on purpose: at most 12 words and numbers, fewer than the 13
of a decontamination n-gram, so decontamination matches whole questions and never the frame they share.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from octolab.errors import UserError

SPLITS = ("train", "rl", "eval")
MAX_LEVEL = 3  # moves; a fourth would make the question longer than 12 words and numbers

NAMES = ("Ann", "Ben", "Dan", "Eve", "Mia", "Sam", "Tom", "Zoe")
THINGS = ("cups", "eggs", "keys", "nuts", "pens", "pins")
GAINS = ("finds", "gets", "buys")
LOSSES = ("loses", "sells", "gives")

_START = range(2, 20)
_CHANGE = range(2, 10)
_HELD = range(1, 60)  # every value on the way stays in here
_SHARES = (80, 10, 10)  # percent of canonical forms in train, rl, eval
_PATIENCE = 2000  # draws in a row without a new question before the world counts as used up


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
    def answer(self) -> int:
        """What is held in the end."""
        return self.equations()[-1][2]

    @property
    def family(self) -> str:
        """`double` where something is doubled, else `add`."""
        return "double" if any(move.sign == "*" for move in self.moves) else "add"


def split_of(canonical: str) -> str:
    """The one split that owns a canonical form: 80 / 10 / 10 percent by keyed hash."""
    digest = hashlib.blake2b(canonical.encode(), digest_size=8, key=b"octolab.lab.split").digest()
    place = int.from_bytes(digest, "big") % sum(_SHARES)
    for split, share in zip(SPLITS, _SHARES, strict=True):
        if place < share:
            return split
        place -= share
    raise AssertionError("shares do not cover the range")


def draw(rng: random.Random, level: int) -> Story:
    """A story of `level` moves with every value on the way between 1 and 59, from any split."""
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


def stories(key: str, split: str, levels: Sequence[int]) -> Iterator[Story]:
    """Endless stories of one split, levels in turn at random; no question is asked twice.

    The order is a pure function of the arguments, so the first k of a long draw are the k of a short one.

    Raises:
        UserError: unknown split or level, or every question of the world has been asked.
    """
    if split not in SPLITS:
        raise UserError(f"lab: unknown split {split!r}; choose one of {', '.join(SPLITS)}")
    if not levels or any(level not in range(1, MAX_LEVEL + 1) for level in levels):
        raise UserError(f"lab: levels={list(levels)} must be numbers of moves from 1 to {MAX_LEVEL}")
    rng = random.Random(f"octolab.lab/stories/{split}/{','.join(map(str, levels))}/{key}")
    asked: set[str] = set()
    misses = 0
    while misses < _PATIENCE:
        story = draw(rng, rng.choice(levels))
        if split_of(story.canonical) != split or story.question in asked:
            misses += 1
            continue
        misses = 0
        asked.add(story.question)
        yield story
    raise UserError(
        f"lab: split {split!r} with levels {list(levels)} has no more than {len(asked)} questions; ask for fewer"
    )
