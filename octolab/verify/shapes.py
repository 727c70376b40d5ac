r"""Two answers of whatever shape: are they the same?

In go a gold and an answer as read by `answers`, out comes how they are the same, or None. Each shape has one rule:
scalars by value, sets of reals by their normal form, tuples in order, lists as a bijection, matrices cell by cell,
equations up to a factor, named values by value.
"""

from __future__ import annotations

import re
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


def same_answer(gold: Answer, answer: Answer, tolerance: Fraction | None = None) -> str | None:
    """How two answers are the same, or None. Raises Costly, Undefined."""
    if gold.text == answer.text != "" and gold.kind == answer.kind and gold.unit == answer.unit:
        return "text"
    gold, answer = _spread(gold), _spread(answer)
    if gold.kind == "set" and len(gold.items) == 1 and answer.kind not in ("set", "union", "difference"):
        gold = gold.items[0]  # {5} is 5
    elif answer.kind == "set" and len(answer.items) == 1 and gold.kind in (*_SCALARS, "tuple", "text"):
        answer = answer.items[0]
    if gold.kind == "equation":
        return _equation(gold, answer, tolerance)
    if gold.kind in _SCALARS:
        return scalars.same_scalar(gold, value_of(answer), tolerance)
    if gold.kind == "text":
        return "value" if gold.tree and answer.tree and same_value(gold.tree, answer.tree) else None
    if gold.kind in ("interval", "inequality", "union", "difference", "reals") or answer.kind == "inequality":
        return _set(gold, value_of(answer))
    if gold.kind == "list" and any(item.kind == "inequality" for item in gold.items):
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
        return _time(gold, answer)
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
        if name is not None:
            value = _chain_value(answer, answer.items[1:])
            itself = value.tree is not None and name.replace(" ", "").strip("\\") in symbols_of(value.tree)
            return None if value is answer or itself else (name, value)
    return None


def _spread(answer: Answer) -> Answer:
    """`(x, y) = (1, 2)` and `a = b = 1` as lists of equations, one a name."""
    if answer.kind != "equation" or set(answer.mark.split(" ")) != {"="}:
        return answer
    *names, last = answer.items
    pairs: list[tuple[Answer, Answer]] = []
    if len(names) == 1 and names[0].kind == last.kind == "tuple" and len(names[0].items) == len(last.items):
        pairs = list(zip(names[0].items, last.items, strict=True))
    elif len(names) > 1 and all(re.fullmatch("[a-z]", name.text) for name in names):
        pairs = [(name, last) for name in names]
    if not pairs or any(name_of(name) is None for name, _ in pairs):
        return answer
    items = tuple(Answer("equation", f"{n.text} = {v.text}", items=(n, v), mark="=") for n, v in pairs)
    return Answer("list", answer.text, items=items, mark=",")


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
            return same_answer(value, answer, tolerance)
        if other and _same_name(name, other[0]):
            ours, theirs = arguments_of(name), arguments_of(other[0])
            if ours and theirs:
                return same_answer(_renamed(value, ours), _renamed(other[1], theirs), tolerance)
            same = same_answer(value, other[1], tolerance)
            if same:
                return same
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
    """Whether two names may stand for one thing.

    The same letters do; functions of as many arguments, with the same primes; y and f(x); capital letters, which name
    areas and sums as one likes; a letter with and without a subscript. x and y do not, nor do AB and CD.
    """
    ours, theirs = (re.sub(r"\\(?:text|triangle|mathrm)|[\\{} |]", "", name) for name in (gold, answer))
    if ours == theirs:
        return True
    our_arguments, their_arguments = arguments_of(gold), arguments_of(answer)
    if our_arguments and their_arguments:
        return len(our_arguments) == len(their_arguments) and _marks(gold) == _marks(answer)
    if our_arguments or their_arguments:
        bare, function = (theirs, gold) if our_arguments else (ours, answer)
        return len(bare) == 1 and bare not in our_arguments + their_arguments and not _marks(function)
    if len(ours) == len(theirs) == 1:
        return ours.isupper() and theirs.isupper()
    short, long = sorted((ours, theirs), key=len)
    return len(short) == 1 and long.startswith(f"{short}_")


def _marks(function: str) -> str:
    """The primes and the inverse mark of a function's name."""
    return re.sub(r"[^'^-]", "", function.partition("(")[0])


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
    if gold.kind == answer.kind == "set" and not gold.items + answer.items:
        return "set"
    vector = answer.kind == "matrix" and gold.kind == "tuple" and answer.mark in ("1", str(len(answer.items)))
    if not (answer.kind in ("tuple", "list", "set") or vector) or not gold.items:
        return None
    ours, theirs = _named_parts(gold), _named_parts(answer)
    distinct = [len({name for name, _ in parts if name}) == len(parts) > 1 for parts in (ours, theirs)]
    if all(distinct):
        if {name for name, _ in ours} != {name for name, _ in theirs}:
            functions = any(name and arguments_of(name) for name, _ in ours)
            return gold.kind if functions and _matched(gold.items, answer.items) else None
        by_name = dict(theirs)
        theirs = [(name, by_name[name]) for name, _ in ours]
    elif any(distinct):
        if "set" in (gold.kind, answer.kind):
            return None
        theirs = _by_name(theirs) if distinct[1] else theirs  # (1, 2) is x = 1, y = 2 in whatever order
    our_values, their_values = [value for _, value in ours], [value for _, value in theirs]
    if not any(distinct):
        if "tuple" not in (gold.kind, answer.kind):
            return gold.kind if _matched(our_values, their_values) else None
        if "set" in (gold.kind, answer.kind) or (gold.kind == answer.kind and gold.mark != answer.mark):
            return None
    return gold.kind if _in_order(our_values, their_values) else None


def _by_name(parts: list[tuple[str | None, Answer]]) -> list[tuple[str | None, Answer]]:
    """Parts sorted by their names, if all are single letters; as they are, if not."""
    letters = all(name is not None and re.fullmatch("[A-Za-z]", name) for name, _ in parts)
    return sorted(parts, key=lambda part: part[0] or "") if letters else parts


def _named_parts(answer: Answer) -> list[tuple[str | None, Answer]]:
    """(name, value) of each part, the name None where it has none; `x = \\pm 2` is two parts."""
    parts: list[tuple[str | None, Answer]] = []
    for item in answer.items:
        name, value = _assigned(item) or (None, item)
        values = value.items if name is not None and value.mark == "\\pm" else (value,)
        parts += [(name, one) for one in values]
    return parts


def _time(gold: Answer, answer: Answer) -> str | None:
    """Clock times; `3:10` without a.m. or p.m. may also be a ratio and equal a fraction."""
    if answer.kind != "time":
        hours, minutes, _ = (Fraction(item.text) for item in gold.items)
        if gold.mark or not minutes:
            return None
        ratio = tuple(Answer("integer", "", tree=("n", number)) for number in (hours, minutes))
        return scalars.same_ratio(Answer("ratio", "", items=ratio), answer)
    ours, theirs = _clock(gold), _clock(answer)
    if None not in (ours[0], theirs[0]):
        return "time" if ours == theirs else None
    if ours[0] is None and theirs[0] is None:
        return "time" if gold.items == answer.items else None
    return "time" if ours[1:] == theirs[1:] else None


def _clock(time: Answer) -> tuple[int | None, int, int, int]:
    """(hour of the day, or None where it may be morning or afternoon; hour modulo 12; minutes; seconds)."""
    hours, minutes, seconds = (int(item.text) for item in time.items)
    day = hours + 12 if time.mark == "p" and hours < 12 else 0 if time.mark == "a" and hours == 12 else hours
    return day if time.mark or hours > 12 or hours == 0 else None, hours % 12, minutes, seconds


def _in_order(gold: Sequence[Answer], answer: Sequence[Answer]) -> bool:
    return len(gold) == len(answer) and all(same_answer(a, b) for a, b in zip(gold, answer, strict=True))


def _matched(gold: Sequence[Answer], answer: Sequence[Answer]) -> bool:
    """Whether a bijection pairs equal parts. Equality is transitive, so the first match is as good as any."""
    left = list(answer)
    for item in gold:
        place = next((i for i, other in enumerate(left) if same_answer(item, other)), None)
        if place is None:
            return False
        left.pop(place)
    return not left
