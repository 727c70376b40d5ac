r"""Are two expressions equal?

Rational values are compared exactly. Everything else is compared at points: each symbol is set to a few long
rational numbers, both trees are evaluated to 30 digits, and a match is confirmed to 110 digits at one more point.
Two different analytic expressions agree at such a point only by a coincidence of a hundred digits, and unlike
simplification the cost is bounded (Schwartz 1980, Zippel 1979 for polynomials). Conventions: symbols are real, and a
point at which either side leaves the reals is passed over; where floors, factorials or binomials occur, symbols are
non-negative integers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from octolab.verify.trees import Tree, operations_of, symbols_of
from octolab.verify.values import Irrational, Undefined, context, exact, numeric

DIGITS = 30
CONFIRMING_DIGITS = 110
LOST = 10  # digits that rounding may spoil, beyond its estimate to first order
POINTS = 4
ENOUGH = 3  # points at which both sides must have been defined
INTEGER_POINTS = 24  # floors of different expressions agree often, so more points are needed
_INTEGER_OPERATIONS = {"floor", "ceil", "!", "binom"}


def same_value(a: Tree, b: Tree) -> bool:
    """Whether two trees have the same value, for all real values of their symbols.

    False where too few points are defined to tell. Raises Costly (see `values`), Undefined for constants without
    a value.
    """
    if a == b:
        return True
    symbols = sorted(symbols_of(a) | symbols_of(b))
    if not symbols:
        try:
            return exact(a) == exact(b)
        except Irrational:
            return _same_at(a, b, DIGITS, {}) and _same_at(a, b, CONFIRMING_DIGITS, {})
    return _always(lambda digits, at: _same_at(a, b, digits, at), symbols, operations_of(a) | operations_of(b))


def proportional(a: Tree, b: Tree, *, positive: bool = False) -> bool:
    """Whether a = c b for one constant c that is not zero (and above zero, if `positive`). Raises as `same_value`."""
    symbols = sorted(symbols_of(a) | symbols_of(b))
    if not symbols or symbols_of(a) != symbols_of(b):
        return False
    ratio: list[Tree] = []

    def agrees(digits: int, at: dict[str, Fraction]) -> bool:
        if not ratio:
            x, y = _values(a, b, digits, at)[:2]
            if x == 0 or y == 0 or (positive and x / y < 0):
                return False
            ratio.append(("/", _fixed(a, at), _fixed(b, at)))
        return _same_at(a, ("*", ratio[0], b), digits, at)

    return _always(agrees, symbols, operations_of(a) | operations_of(b))


def _fixed(tree: Tree, at: dict[str, Fraction]) -> Tree:
    """The tree with numbers for its symbols."""
    if tree[0] == "s":
        return ("n", at[tree[1]])
    return (tree[0], *(_fixed(part, at) if isinstance(part, tuple) else part for part in tree[1:]))


def _always(agrees: Callable[[int, dict[str, Fraction]], bool], symbols: list[str], operations: set[str]) -> bool:
    """Whether two expressions agree at enough points, the last one with more digits."""
    integers = bool(_INTEGER_OPERATIONS & operations)
    defined = 0
    for number, at in enumerate(_points(symbols, integers)):
        try:
            if not agrees(DIGITS if number else CONFIRMING_DIGITS, at):
                return False
            defined += 1
        except Undefined:
            continue
        if defined == POINTS and not integers:
            break
    return defined >= ENOUGH


def _points(symbols: list[str], integers: bool) -> Iterator[dict[str, Fraction]]:
    """Values for the symbols, the same in every process: all positive at every other point, else of both signs."""
    if integers:
        for number in range(INTEGER_POINTS):
            yield {name: Fraction(_noise(name, number) % (12 * (1 + number // 6)) + 1) for name in symbols}
        return
    for number in range(4 * POINTS):
        yield {
            name: Fraction(_noise(name, number) % 10**34 + 10**32, 4 * 10**33)
            * (-1 if number % 2 and (place + number // 2) % 2 == 0 else 1)
            for place, name in enumerate(symbols)
        }


def _noise(name: str, number: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{name} {number}".encode(), digest_size=16).digest(), "big")


def _same_at(a: Tree, b: Tree, digits: int, at: dict[str, Fraction]) -> bool:
    x, y, error = _values(a, b, digits, at)
    return abs(x - y) <= context(digits).mpf(10) ** (error - digits + LOST)


def _values(a: Tree, b: Tree, digits: int, at: dict[str, Fraction]) -> tuple[Any, Any, float]:
    """Both values and the larger error (see `numeric`). Raises Undefined where the point is to be passed over."""
    mp = context(digits)
    (x, error_x), (y, error_y) = numeric(a, digits, at), numeric(b, digits, at)
    if at and (mp.im(x) != 0 or mp.im(y) != 0) and "i" not in operations_of(a) | operations_of(b):
        raise Undefined("not real")
    return x, y, max(error_x, error_y)
