r"""Two answers of whatever shape: are they the same?

In go a gold and an answer as read by `answers`, out comes how they are the same, or None. Each shape has one rule:
scalars by value, sets of reals by their normal form, tuples in order, lists as a bijection, matrices cell by cell,
equations up to a factor, named values by value.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from octolab.verify import scalars
from octolab.verify.answers import Answer
from octolab.verify.equal import proportional, same_value
from octolab.verify.names import arguments_of, name_of
from octolab.verify.sets import as_set, same_set
from octolab.verify.trees import rename, symbols_of

NUMBERS = frozenset(["integer", "decimal", "fraction"])
_SCALARS = NUMBERS | {"expression", "infinity"}
_COORDINATES = frozenset("xyztr")


def same_answer(gold: Answer, answer: Answer, tolerance: Fraction | None = None) -> str | None:
    """How two answers are the same, or None. Raises Costly, Undefined."""
    if gold.text == answer.text != "" and gold.kind == answer.kind and gold.unit == answer.unit:
        return "text"
    if gold.kind == "equation":
        return _equation(gold, answer, tolerance)
    if gold.kind in _SCALARS:
        return scalars.same_scalar(gold, value_of(answer), tolerance)
    if gold.kind == "text":
        return "value" if gold.tree and answer.tree and same_value(gold.tree, answer.tree) else None
    if gold.kind in ("interval", "inequality", "union", "difference", "reals") or answer.kind == "inequality":
        return _set(gold, value_of(answer))
    if gold.kind == "list" and all(item.kind == "inequality" for item in gold.items):
        return _set(gold, answer)
    answer = value_of(answer)
    if gold.kind in ("tuple", "list", "set"):
        return _parts(gold, answer)
    if gold.kind == "matrix":
        same_shape = answer.kind in ("matrix", "tuple") and len(gold.items) == len(answer.items)
        vector = gold.mark in ("1", str(len(gold.items)))
        if not same_shape or not (gold.mark == answer.mark or (answer.kind == "tuple" and vector)):
            return None
        return "matrix" if _in_order(gold.items, answer.items) else None
    if gold.kind == "time":
        if answer.kind != "time" or (gold.mark and answer.mark and gold.mark != answer.mark):
            return None
        return "time" if gold.items == answer.items else None
    if gold.kind == "ratio":
        return scalars.same_ratio(gold, answer)
    if gold.kind == "base":
        return "base" if answer.kind == "base" and gold.mark == answer.mark else None
    return None


# ---- relations ----


def _assigned(answer: Answer) -> tuple[str, Answer] | None:
    """(name, value) of `x = 5`, the value being the last side of a chain; None for other equations."""
    if answer.kind == "equation":
        name = name_of(answer.items[0])
        if name is not None and not (len(answer.items) == 2 and name_of(answer.items[1]) == name):
            return name, _chain_value(answer, answer.items[1:])
    return None


def _chain_value(equation: Answer, sides: Sequence[Answer]) -> Answer:
    """What a chain such as `3 + 2 = 5` comes to, or the equation itself where its sides contradict each other.

    After an approximation sign nothing is read; sides with symbols may stand before a side without.
    """
    operators = equation.mark.split(" ")[len(equation.items) - len(sides) :]
    exact_sides = list(sides[: 1 + next((i for i, op in enumerate(operators) if op != "="), len(sides))])
    last = exact_sides[-1]
    for side in exact_sides[:-1]:
        if side.tree is None or last.tree is None or symbols_of(side.tree) != symbols_of(last.tree):
            continue
        if not same_value(side.tree, last.tree):
            return equation
    return last


def value_of(answer: Answer) -> Answer:
    """The value where an answer is `name = value` or a chain of equal values; else the answer."""
    if answer.kind != "equation":
        return answer
    assigned = _assigned(answer)
    if assigned:
        return assigned[1]
    trees = [side.tree for side in answer.items]
    if all(tree is not None and not symbols_of(tree) for tree in trees):
        return _chain_value(answer, answer.items)
    return answer


def _equation(gold: Answer, answer: Answer, tolerance: Fraction | None) -> str | None:
    """A gold with an equals sign: a named value, which the answer may give bare, or a relation between symbols."""
    named = _assigned(gold)
    other = _assigned(answer) if answer.kind == "equation" else None
    if named:
        name, value = named
        if answer.kind != "equation":
            return same_answer(value, answer, tolerance) or (
                scalars.same_scalar(value, answer, tolerance) if value.kind in _SCALARS else None
            )
        if other and _same_name(name, other[0]):
            ours, theirs = arguments_of(name), arguments_of(other[0])
            if ours and theirs and len(ours) == len(theirs):
                return same_answer(_renamed(value, ours), _renamed(other[1], theirs), tolerance)
            return same_answer(value, other[1], tolerance)
        if other is None and not symbols_of(("+", *(s.tree for s in gold.items if s.tree))):
            return same_answer(value, value_of(answer), tolerance)
    if answer.kind != "equation" or len(gold.items) != 2 or len(answer.items) != 2:
        return None
    sides = [side.tree for side in (*gold.items, *answer.items)]
    if any(side is None for side in sides):
        return None
    a, b, c, d = sides
    return "equation" if proportional(("+", a, ("neg", b)), ("+", c, ("neg", d))) else None


def _same_name(gold: str, answer: str) -> bool:
    """Whether two names may stand for one thing: coordinates must agree, and so must names with subscripts."""
    if gold == answer or arguments_of(gold) or arguments_of(answer):
        return True
    return not (gold in _COORDINATES and answer in _COORDINATES) and "_" not in gold + answer


def _renamed(value: Answer, arguments: Sequence[str]) -> Answer:
    """A function's value with its arguments named by their places."""
    names = {name.replace("\\", "").replace(" ", ""): f"#{place}" for place, name in enumerate(arguments)}
    if value.tree is None:
        return value
    return Answer("expression", "", tree=rename(value.tree, names), unit=value.unit)


def _set(gold: Answer, answer: Answer) -> str | None:
    """Sets of reals by their normal form; where an end has symbols, ends and brackets part by part."""
    ours, theirs = as_set(gold), as_set(answer)
    if ours is not None and theirs is not None:
        if gold.kind == answer.kind == "inequality" and not _same_variable(gold, answer):
            return None
        return gold.kind if same_set(ours, theirs) else None
    if ours is not None:  # 2x + 3 < 5 restates x < 1
        return None
    if gold.kind != answer.kind or len(gold.items) != len(answer.items):
        return None
    if gold.kind == "inequality":
        return "inequality" if _same_inequality(gold, answer) else None
    if gold.kind == "union":
        return "union" if _matched(gold.items, answer.items) else None
    return gold.kind if gold.mark == answer.mark and _in_order(gold.items, answer.items) else None


def _same_variable(gold: Answer, answer: Answer) -> bool:
    names = [{name for side in one.items if side.tree for name in symbols_of(side.tree)} for one in (gold, answer)]
    return names[0] == names[1]


def _same_inequality(gold: Answer, answer: Answer) -> bool:
    """Chains side by side, read forwards or backwards; two sides also up to a positive factor."""
    flip = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}
    ours, theirs = gold.mark.split(" "), answer.mark.split(" ")
    backwards = [flip.get(operator, operator) for operator in reversed(theirs)]
    if (ours == theirs and _in_order(gold.items, answer.items)) or (
        ours == backwards and _in_order(gold.items, answer.items[::-1])
    ):
        return True
    sides = [side.tree for side in (*gold.items, *answer.items)]
    if len(gold.items) != 2 or any(side is None for side in sides):
        return False
    a, b, c, d = sides
    if ours != theirs:
        c, d, theirs = d, c, backwards
    return ours == theirs and proportional(
        ("+", a, ("neg", b)), ("+", c, ("neg", d)), positive=ours[0] not in ("\\ne", "\\equiv")
    )


# ---- parts ----


def _parts(gold: Answer, answer: Answer) -> str | None:
    """Tuples in order, lists and sets as a bijection; parts with names of their own by name."""
    vector = answer.kind == "matrix" and gold.kind == "tuple" and answer.mark in ("1", str(len(answer.items)))
    if not (answer.kind in ("tuple", "list", "set") or vector) or not gold.items:
        return None
    ours, theirs = _named_parts(gold), _named_parts(answer)
    our_values, their_values = [value for _, value in ours], [value for _, value in theirs]
    distinct = [len({name for name, _ in parts if name}) == len(parts) > 1 for parts in (ours, theirs)]
    if all(distinct):
        by_name = dict(theirs)
        if set(by_name) == {name for name, _ in ours}:
            their_values = [by_name[name] for name, _ in ours]
        elif any(name and arguments_of(name) for name, _ in ours):
            return gold.kind if _matched(gold.items, answer.items) else None
    elif any(distinct):
        if "set" in (gold.kind, answer.kind):
            return None
    elif "tuple" not in (gold.kind, answer.kind):
        return gold.kind if _matched(our_values, their_values) else None
    elif "set" in (gold.kind, answer.kind) or (gold.kind == answer.kind and gold.mark != answer.mark):
        return None
    return gold.kind if _in_order(our_values, their_values) else None


def _named_parts(answer: Answer) -> list[tuple[str | None, Answer]]:
    """(name, value) of each part, the name None where it has none."""
    assigned = [(_assigned(item), item) for item in answer.items]
    return [(None, item) if named is None else named for named, item in assigned]


def _in_order(gold: Sequence[Answer], answer: Sequence[Answer]) -> bool:
    return len(gold) == len(answer) and all(same_answer(a, b) for a, b in zip(gold, answer, strict=True))


def _matched(gold: Sequence[Answer], answer: Sequence[Answer]) -> bool:
    """Whether a bijection pairs equal parts; a part that the answer says twice counts once.

    Equality is transitive, so the first match is as good as any.
    """
    left = list(answer)
    for item in gold:
        place = next((i for i, other in enumerate(left) if same_answer(item, other)), None)
        if place is None:
            return False
        left.pop(place)
    return len(left) <= len(gold) and all(any(same_answer(item, other) for item in gold) for other in left)
