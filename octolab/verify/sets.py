r"""Sets of real numbers in one normal form: `x > 2`, `(2, \infty)` and `\mathbb{R} \setminus (-\infty, 2]` are one set.

In goes an `Answer`, out comes a sorted tuple of disjoint intervals, or None where the answer is no such set. Only
solved inequalities are read, with a bare variable between constants: `x^2 < 4` is the question, not its answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from octolab.verify.answers import Answer
from octolab.verify.equal import DIGITS, same_value
from octolab.verify.names import name_of
from octolab.verify.trees import Tree, symbols_of
from octolab.verify.values import numeric

Value = Any  # an mpmath real, or +-inf as a float


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`: each a real number, the expression it came from, and whether it belongs to the set."""

    low: Value
    high: Value
    low_tree: Tree | None
    high_tree: Tree | None
    low_in: bool
    high_in: bool


RealSet = tuple[Interval, ...]
_INF = float("inf")
REALS: RealSet = (Interval(-_INF, _INF, None, None, False, False),)
_NOT_NEGATIVE: RealSet = (Interval(0, _INF, ("n", Fraction(0)), None, True, False),)
_FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "\\ne": "\\ne"}


def as_set(answer: Answer) -> RealSet | None:
    """The set of real numbers that an answer names, or None. Raises Costly, Undefined."""
    found = _as_set(answer)
    return None if found is None else _merged(found)


def same_set(a: RealSet, b: RealSet) -> bool:
    """Whether two normal forms are the same set. Raises Costly, Undefined."""
    return len(a) == len(b) and all(
        (x.low_in, x.high_in) == (y.low_in, y.high_in)
        and _same_end(x.low_tree, y.low_tree, x.low, y.low)
        and _same_end(x.high_tree, y.high_tree, x.high, y.high)
        for x, y in zip(a, b, strict=True)
    )


def _same_end(a: Tree | None, b: Tree | None, x: Value, y: Value) -> bool:
    return x == y if a is None or b is None else same_value(a, b)


def _as_set(answer: Answer) -> RealSet | None:
    if answer.kind == "reals":
        return REALS
    if answer.kind in ("interval", "tuple") and len(answer.items) == 2 and len(answer.mark) == 2:
        low, high = (_end(item) for item in answer.items)
        if low is None or high is None or low[0] > high[0]:
            return None
        return (Interval(low[0], high[0], low[1], high[1], answer.mark[0] == "[", answer.mark[1] == "]"),)
    if answer.kind == "set":
        ends = [_end(item) for item in answer.items]
        if any(end is None or end[1] is None for end in ends):
            return None
        return tuple(Interval(end[0], end[0], end[1], end[1], True, True) for end in ends if end)
    if answer.kind == "inequality":
        return _solved(answer)
    if answer.kind == "equation" and len(answer.items) == 2 and name_of(answer.items[0]):
        end = _end(answer.items[1])
        return (Interval(end[0], end[0], end[1], end[1], True, True),) if end and end[1] is not None else None
    parts = [_as_set(item) for item in answer.items]
    if not parts or any(part is None for part in parts):
        return None
    if answer.kind == "union":
        return tuple(interval for part in parts if part for interval in part)
    if answer.kind == "difference" and len(parts) == 2 and parts[0] and parts[1]:
        return intersection(_merged(parts[0]), complement(_merged(parts[1])))
    if answer.kind == "list" and all(item.kind in ("inequality", "equation") for item in answer.items):
        if len({name_of(_variable(item)) for item in answer.items}) != 1:
            return None
        joined = REALS
        for part in parts:
            joined = intersection(joined, _merged(part or ()))
        # "x < 1, x > 3" can only mean either; "x > 1, x < 3" means both.
        if answer.mark == "or" or (answer.mark == "," and not joined):
            return tuple(interval for part in parts if part for interval in part)
        return joined
    return None


def _end(item: Answer) -> tuple[Value, Tree | None] | None:
    """An end point: its value and expression; None where it is not a real constant."""
    if item.kind == "infinity":
        return (-_INF if item.text == "-" else _INF), None
    if item.tree is None or symbols_of(item.tree):
        return None
    value, _ = numeric(item.tree, DIGITS, {})
    return (value.real, item.tree) if value.imag == 0 else None


def _variable(inequality: Answer) -> Answer:
    """The side that holds the variable: the middle of a chain, or either side of a single inequality."""
    sides = inequality.items
    return sides[1] if len(sides) == 3 or (sides[0].tree is not None and not symbols_of(sides[0].tree)) else sides[0]


def _solved(answer: Answer) -> RealSet | None:
    """The set of a solved inequality: `x < 3`, `3 > x`, `-x > -3`, `1 < x <= 2`, `x != 0`, `|x| < 2`."""
    size = _variable(answer)
    if size.tree is not None and size.tree[0] == "abs" and size.tree[1][0] == "s":
        inner = Answer("expression", size.tree[1][1], tree=size.tree[1])
        found = _solved(replace(answer, items=tuple(inner if side is size else side for side in answer.items)))
        if found is None:
            return None
        positive = intersection(_merged(found), _NOT_NEGATIVE)
        return (*positive, *(_mirrored(x) for x in positive))
    sides, operators = list(answer.items), answer.mark.split(" ")
    if len(sides) == 3:
        if name_of(sides[1]) is None or not (set(operators) <= {"<", "\\le"} or set(operators) <= {">", "\\ge"}):
            return None
        lower, upper = _ray(_FLIPPED[operators[0]], sides[0]), _ray(operators[1], sides[2])
        return intersection(lower, upper) if lower and upper else None
    if len(sides) != 2 or operators[0] not in _FLIPPED:
        return None
    readings = [(sides[0], sides[1], operators[0]), (sides[1], sides[0], _FLIPPED[operators[0]])]
    for left, right, operator in readings:
        if name_of(left) is not None:
            return _ray(operator, right)
        if left.tree is not None and left.tree[0] == "neg" and left.tree[1][0] == "s" and right.tree is not None:
            return _ray(_FLIPPED[operator], replace(right, tree=("neg", right.tree)))
    return None


def _ray(operator: str, bound: Answer) -> RealSet | None:
    end = _end(bound)
    if end is None:
        return None
    value, tree = end
    below = Interval(-_INF, value, None, tree, False, operator == "\\le")
    above = Interval(value, _INF, tree, None, operator == "\\ge", False)
    return {"<": (below,), "\\le": (below,), ">": (above,), "\\ge": (above,)}.get(operator, (below, above))


def _mirrored(x: Interval) -> Interval:
    low, high = (None if tree is None else ("neg", tree) for tree in (x.high_tree, x.low_tree))
    return Interval(-x.high, -x.low, low, high, x.high_in, x.low_in)


def _merged(intervals: RealSet) -> RealSet:
    """Sorted, overlapping and touching intervals joined, empty ones left out."""
    filled = [x for x in intervals if x.low < x.high or (x.low == x.high and x.low_in and x.high_in)]
    merged: list[Interval] = []
    for x in sorted(filled, key=lambda x: (x.low, not x.low_in)):
        last = merged[-1] if merged else None
        if last is None or x.low > last.high or (x.low == last.high and not (x.low_in or last.high_in)):
            merged.append(x)
        elif (x.high, x.high_in) > (last.high, last.high_in):
            merged[-1] = Interval(last.low, x.high, last.low_tree, x.high_tree, last.low_in, x.high_in)
    return tuple(merged)


def complement(merged: RealSet) -> RealSet:
    """All real numbers that are not in the set."""
    found, low, low_tree, low_in = [], -_INF, None, False
    for x in merged:
        found.append(Interval(low, x.low, low_tree, x.low_tree, low_in, not x.low_in and x.low_tree is not None))
        low, low_tree, low_in = x.high, x.high_tree, not x.high_in and x.high_tree is not None
    return _merged((*found, Interval(low, _INF, low_tree, None, low_in, False)))


def intersection(a: RealSet, b: RealSet) -> RealSet:
    """The numbers in both sets: what is not in either complement."""
    return complement(_merged((*complement(a), *complement(b))))
