"""Two numbers or expressions: are they one value?

In go two scalar `Answer`s (a number, an expression, an infinity, a ratio of two numbers), out comes how they are
equal or None. The conventions on rounding, percent, units and unfinished calculations are here.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from octolab.verify.answers import Answer
from octolab.verify.equal import CONFIRMING_DIGITS, same_value
from octolab.verify.numerals import Numeral
from octolab.verify.trees import Tree, operations_of, symbols_of
from octolab.verify.units import conversion
from octolab.verify.values import Irrational, exact, numeric

ROUNDING_DIGITS = 10
DOUBLE_DIGITS = 15  # a decimal of more digits may carry the error of double precision
_FINISHED = frozenset(["n", "neg", "*", "/", "^"])


def same_number(gold: Numeral, answer: Numeral, tolerance: Fraction | None = None) -> str | None:
    """How two numbers are equal (`exact`, `rounded`, `percent` or `tolerance`), or None where they are not."""
    if gold.exact == answer.exact:
        return "exact"
    if tolerance is not None and abs(gold.exact - answer.exact) <= tolerance * abs(gold.exact):
        return "tolerance"
    if gold.percent != answer.percent:
        bare = answer if gold.percent else gold
        return "percent" if abs(bare.value) > 1 and gold.value == answer.value else None
    for decimal, fraction in ((answer, gold), (gold, answer)):
        if decimal.kind == "decimal" and fraction.kind == "fraction" and decimal.digits >= ROUNDING_DIGITS:
            unit = Fraction(10) ** -decimal.places
            if abs(decimal.value - fraction.value) * 2 <= unit:
                return "rounded"
    return None


def same_scalar(gold: Answer, answer: Answer, tolerance: Fraction | None = None) -> str | None:
    """How two scalars are equal, or None. Raises Costly, Undefined."""
    if "infinity" in (gold.kind, answer.kind):
        return "value" if gold.kind == answer.kind and gold.text == answer.text else None
    if answer.kind == "ratio" and gold.numeral is not None and len(answer.items) == 2:
        answer = replace(answer, tree=("/", *(item.tree for item in answer.items)))
    if gold.tree is None or answer.tree is None:
        return None
    factor = conversion(gold.unit, answer.unit)
    if factor is None or not symbols_of(answer.tree) <= symbols_of(gold.tree):
        return None
    if gold.numeral and answer.numeral:
        numeral = answer.numeral if factor == 1 else replace(answer.numeral, value=answer.numeral.value * factor)
        return same_number(gold.numeral, numeral, tolerance)
    theirs: Tree = answer.tree if factor == 1 else ("*", answer.tree, ("n", factor))
    if _rounds(answer.numeral, gold.tree) or _rounds(gold.numeral, theirs):
        return "rounded"
    if {gold.unit, answer.unit} == {"degree", ""} and "pi" in operations_of(gold.tree) | operations_of(theirs):
        ours = ("deg", gold.tree) if gold.unit else gold.tree
        if same_value(ours, ("deg", theirs) if answer.unit else theirs):
            return "value"
    if gold.numeral is not None and not is_finished(answer.tree, gold.numeral):
        return None
    return "value" if same_value(gold.tree, theirs) else None


def same_ratio(gold: Answer, answer: Answer) -> str | None:
    """`3:1` equals `6:2` and, with two terms, the number 3. Raises Costly, Undefined."""
    ours = [item.tree for item in gold.items]
    theirs = [item.tree for item in answer.items] if answer.kind == "ratio" else [answer.tree, ("n", Fraction(1))]
    if len(ours) != len(theirs) or None in ours or None in theirs:
        return None
    pairs = zip(ours[:-1], ours[1:], theirs[:-1], theirs[1:], strict=True)
    return "ratio" if all(same_value(("*", a, d), ("*", b, c)) for a, b, c, d in pairs) else None


def is_finished(tree: Tree, gold: Numeral) -> bool:
    """Whether an answer to a question with a rational answer has been worked out.

    Numbers, products, fractions and powers are; sums, roots, functions, factorials and the like are not, except
    that a gold beyond a million may be written with factorials and binomials, as nobody writes out 30!. A mixed
    number, the one sum that is a way of writing, never gets here as a tree.
    """
    extra = {"!", "binom"} if abs(gold.value) > 10**6 else set()
    return operations_of(tree) <= _FINISHED | extra


def _rounds(decimal: Numeral | None, tree: Tree) -> bool:
    """Whether a decimal of ten or more digits is a value that is not rational, correctly rounded.

    Where it has more than 15 digits, an error in the 15th is let pass: it comes from double precision.
    """
    if decimal is None or decimal.kind != "decimal" or decimal.digits < ROUNDING_DIGITS or decimal.percent:
        return False
    if symbols_of(tree):
        return False
    try:
        exact(tree)
        return False  # rational: compared as such
    except Irrational:
        value, _ = numeric(tree, CONFIRMING_DIGITS, {})
    unit = Fraction(10) ** (max(0, decimal.digits - DOUBLE_DIGITS) - decimal.places)
    if getattr(value, "imag", 0) != 0:
        return False
    return abs(value - decimal.value.numerator / (value * 0 + decimal.value.denominator)) * 2 <= (
        (value * 0 + unit.numerator) / unit.denominator
    )
