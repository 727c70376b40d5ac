r"""What kind of answer a text is, and its parts.

In goes the text inside a box or a gold column, out comes an `Answer`: a number, an expression, a tuple, a list, an
interval, an equation, a matrix, a word. Only shape is decided here. Nothing is computed, and whatever fits no shape
is text, which matches nothing but itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from octolab.verify.brackets import RELATIONS, SCAN, closes_at_end, split, split_relation
from octolab.verify.formula import Unreadable, parse_formula
from octolab.verify.numerals import Numeral, parse_numeral
from octolab.verify.tidy import normal_form, tidy
from octolab.verify.trees import Tree, signs_chosen
from octolab.verify.units import split_unit

MAX_PARTS = 64  # of a list; longer ones are text
MAX_LEVELS = 4  # lists of tuples of intervals ...

_OPERATORS = {
    "\\leqslant": "\\le", "\\leq": "\\le", "\\leqq": "\\le", "\\geqslant": "\\ge", "\\geq": "\\ge", "\\geqq": "\\ge",
    "\\lt": "<", "\\gt": ">", "\\neq": "\\ne", "<=": "\\le", ">=": "\\ge", "!=": "\\ne", "==": "=", "≈": "\\approx",
    "\\not=": "\\ne", "\\simeq": "\\approx", "\\doteq": "\\approx", "\\colon": ":", "\\mid": "|", "\\vert": "|",
    "\\lbrace": "\\{", "\\rbrace": "\\}", "\\lbrack": "[", "\\rbrack": "]", "\\land": " and ", "\\lor": " or ",
    "\\wedge": " and ", "\\vee": " or ", "\\langle": "(", "\\rangle": ")", "\\backslash": "\\setminus",
    "\\emptyset": "\\varnothing", "\\R": "\\mathbb{R}", "\\lvert": "|", "\\rvert": "|",
    "\\quad": " ", "\\dots": "\\ldots", "\\cdots": "\\ldots", "\\limits": "",
}  # fmt: skip
_OPERATOR = re.compile(r"\\not=|[<>!=]=|≈|\\[A-Za-z]+")
_WORDS = re.compile(r"[^\W\d_]+(?:[ '.\-]+[^\W\d_]+)*\.?")
_TIME = re.compile(r"([0-9]{1,2}):([0-5][0-9])(?::([0-5][0-9]))?\s*(?:([AaPp])\.?\s?[Mm]\.?)?")
_CLOCK = re.compile(r"([0-9]{1,2})()()\s*([AaPp])\.?\s?[Mm]\.?")
_BASE = re.compile(r"(-?[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)?)\s*_\s*(?:\{\s*([0-9]{1,2})\s*\}|([0-9]{1,2}))")
_MATRIX = re.compile(r"[(\[]?\s*\\begin\{([pbB]?matrix|smallmatrix|array)\}(.*)\\end\{\1\}\s*[)\]]?", re.DOTALL)
_PERCENT = re.compile(r"(?<=[0-9}\s)])\s*(?:per\s?cent|pct|percentage)\.?$", re.IGNORECASE)
# "for all real x", "where k is an integer": what leaves the answer the same. Not "for all odd n".
_FOR_ALL = re.compile(
    r"(?<=\S),?\s+(?:for (?:all|any|every|each)|\\forall)\s+"
    r"(?:(?:real|positive|integers?|natural|numbers?|values? of|\$?[A-Za-z](?![A-Za-z])\$?|\\in|\\mathbb\{[RNZ]\}"
    r"|>\s*0)[\s.]*)+$"
)
_WHERE = re.compile(
    r"(?<=\S)[,;]?\s*(?:where|for|with)?\s*\(?\s*(?:where\s+)?[a-z]\s*"
    r"(?:\\in\s*\\mathbb\s*\{?\s*Z\s*\}?|is an(?:y| arbitrary)? integer)\s*\)?\.?$"
)
_VARIABLE = re.compile(r"[A-Za-z](?:_\{?\w+\}?)?|\\[a-z]+|\(\s*[A-Za-z](?:\s*,\s*[A-Za-z])*\s*\)")
_CONDITION = re.compile(r"\s*[A-Za-z]\s*(?:\\in\s*\\mathbb\s*\{?\s*R\s*\}?\s*)?(?:\||:)(.*)", re.DOTALL)
_MODULO = re.compile(r"\(?\s*(?:\\[pb]?mod(?![a-z])|(?<![A-Za-z\\])mod(?![a-z]))\s*\{?\s*(\w+)\s*\}?\s*\)?")
_SPACED_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(?: [0-9]{3})+(?:\.[0-9]+)?")
_NOTHING = frozenset(
    ["\\varnothing", "no solution", "no solutions", "none", "empty set", "no real solution", "no real solutions"]
)
_NOWHERE = frozenset(["dne", "does not exist"])
_EVERYTHING = frozenset(["\\mathbb{R}", "all real numbers", "all reals", "real numbers", "all real number"])


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's shape.

    kind: `empty`, a number (`integer`, `decimal`, `fraction`), `expression`, `infinity`, `time`, `ratio`, `base`,
    `tuple`, `interval`, `list`, `set`, `union`, `difference`, `reals`, `equation`, `inequality`, `matrix` or `text`.
    text: the normal form. numeral: of a number. tree: of a number or expression, `multiple` applied. unit: "" if
    there is none. items: the parts of a compound; the sides of a relation; the cells of a matrix, row by row.
    mark: the brackets of a tuple or interval, the operators of a relation (one space apart), "and", "or" or "," of a
    list, the number of columns of a matrix, digits and base of a number, "a" or "p" of a time.
    """

    kind: str
    text: str
    numeral: Numeral | None = None
    tree: Tree | None = None
    unit: str = ""
    items: tuple[Answer, ...] = ()
    mark: str = ""


def read(text: str, letters: bool = True) -> Answer:
    """The shape of an answer's text. `letters`: see `split_unit`. Never raises, whatever the text."""
    return _read(canonical(tidy(text)), letters, MAX_LEVELS)


def canonical(tidied: str) -> str:
    r"""One spelling for operators and brackets; a `$` inside goes, since it only opens or closes maths."""
    if "\\" in tidied or "=" in tidied or "≈" in tidied:
        tidied = _OPERATOR.sub(lambda found: _OPERATORS.get(found[0], found[0]), tidied)
    if "$" in tidied[1:]:
        tidied = re.sub(r"(?<=[^\\])\$", " ", tidied)
    tidied = " ".join(tidied.split())
    if "mod" in tidied:
        tidied = _MODULO.sub(r" \\bmod \1", tidied)
    return _PERCENT.sub("%", _FOR_ALL.sub("", _WHERE.sub("", tidied)))


def _read(text: str, letters: bool, levels: int) -> Answer:
    text = text.strip().rstrip(",;").rstrip()
    if _SPACED_THOUSANDS.fullmatch(text):
        text = text.replace(" ", "")
    numeral = parse_numeral(text)
    if numeral is not None and not text.startswith(("$", "\\$", "£", "€")):
        return Answer(numeral.kind, normal_form(text), numeral, ("n", numeral.exact))
    if not text:
        return Answer("empty", "")
    shape = _simple(text) or (_compound(text, letters, levels) if levels else None) or _quantity(text, letters)
    return shape or Answer("text", normal_form(text))


def _simple(text: str) -> Answer | None:
    """Times, numbers in a base, and the names of the empty set and of all numbers."""
    form = normal_form(text)
    lowered = text.lower().rstrip(".")
    if lowered in _NOTHING or form == "\\{ \\}":
        return Answer("set", "\\varnothing")
    if lowered in _NOWHERE:
        return Answer("text", "DNE")
    if text in _EVERYTHING or lowered in _EVERYTHING:
        return Answer("reals", form)
    found = _TIME.fullmatch(text) or _CLOCK.fullmatch(text)
    if found:
        parts = [int(part or 0) for part in found.groups()[:3]]
        items = tuple(Answer("integer", str(part), tree=("n", part)) for part in parts)
        return Answer("time", form, items=items, mark=(found[4] or "").lower())
    found = _BASE.fullmatch(text)
    if found and _are_digits(found[1], int(found[2] or found[3])):
        return Answer("base", form, mark=f"{found[1].lstrip('0')}_{found[2] or found[3]}")
    return None


def _are_digits(text: str, base: int) -> bool:
    """Whether each character is a digit of this base: 0 to 9, then A, B, ..."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:base]
    return base > 1 and text[:1] != "_" and set(text.lstrip("-").replace(".", "")) <= set(digits)


def _compound(text: str, letters: bool, levels: int) -> Answer | None:
    """Lists, sets, relations, tuples, intervals, matrices: whatever has parts."""

    def parts_of(parts: list[str]) -> tuple[Answer, ...]:
        return _both_signs(_read(part, letters, levels - 1) for part in parts)

    form = normal_form(text)
    found = _MATRIX.fullmatch(text)
    if found:
        return _matrix(found, form, parts_of)
    for separator in (";", "or", "and", ","):
        parts = split(text, separator)
        if len(parts) > 1:
            if separator == "and" or (separator == "or" and "=" not in text):  # 1, 2 and 3
                parts = [piece for part in parts for piece in split(part, ",")]
            if len(parts) > MAX_PARTS or not all(part.strip() for part in parts):
                return None
            if separator == "," and _is_prose(text):
                return None
            return Answer("list", form, items=parts_of(parts), mark=separator)
    for operator, kind in (("\\cup", "union"), ("\\setminus", "difference")):
        parts = split(text, operator)
        if len(parts) > 1 and not any(token in RELATIONS for token in SCAN.findall(text)):
            return Answer(kind, form, items=parts_of(parts))
    sides, operators = split_relation(text)
    if operators:
        if not all(side.strip() for side in sides) or len(sides) > 12:
            return None
        if operators == ["\\in"]:
            return _member(sides[0], _read(sides[1], letters, levels - 1))
        kind = "equation" if set(operators) <= {"=", "\\approx", "\\sim"} else "inequality"
        items = tuple(_read(side, letters, levels - 1) for side in sides)
        return Answer(kind, form, items=items, mark=" ".join(operators))
    if text.count(":") in (1, 2) and not text.startswith("\\{"):
        parts = split(text, ":")
        if len(parts) > 1:
            items = parts_of(parts)
            if all(item.tree is not None for item in items):
                return Answer("ratio", form, items=items)
    return _bracketed(text, form, letters, levels)


def _both_signs(items: Iterable[Answer]) -> tuple[Answer, ...]:
    r"""The parts of a list, where `1 \pm \sqrt 5` is two of them."""
    return tuple(part for item in items for part in (item.items if item.mark == "\\pm" else (item,)))


def _member(element: str, of: Answer) -> Answer | None:
    """`x \\in S` is S; `x^2 \\in S` and `x \\in 5` are not."""
    sets = ("interval", "set", "union", "difference", "reals", "tuple")
    return of if _VARIABLE.fullmatch(element.strip()) and of.kind in sets else None


def _bracketed(text: str, form: str, letters: bool, levels: int) -> Answer | None:
    """A tuple, an interval, a set in braces, or one answer in brackets."""
    found = re.fullmatch(r"(\(|\[|\\\{|\{)(.*)(\)|\]|\\\}|(?<!\\)\})", text, re.DOTALL)
    if not found or not closes_at_end(text):
        return None
    opening, content, closing = found.groups()
    parts = split(content, ";")
    if len(parts) == 1:
        parts = split(content, ",")
    brackets = opening.lstrip("\\") + closing.lstrip("\\")
    if brackets == "{}":
        condition = _CONDITION.fullmatch(content) if len(parts) == 1 else None
        if condition:
            return _read(condition[1], letters, levels - 1)
        items = _both_signs(_read(part, letters, levels - 1) for part in parts)
        return Answer("set", form, items=items) if all(part.strip() for part in parts) else None
    if brackets not in ("()", "[)", "(]", "[]") or len(parts) > MAX_PARTS or not all(part.strip() for part in parts):
        return None
    if len(parts) == 1:
        return _read(content, letters, levels - 1) if brackets == "()" else None
    items = tuple(_read(part, letters, levels - 1) for part in parts)
    kind = "interval" if len(items) == 2 and (brackets != "()" or _endless(items)) else "tuple"
    return Answer(kind, form, items=items, mark=brackets)


def _endless(items: tuple[Answer, ...]) -> bool:
    return any(item.kind == "infinity" for item in items)


def _matrix(found: re.Match[str], form: str, parts_of: Callable[[list[str]], tuple[Answer, ...]]) -> Answer | None:
    body = re.sub(r"^\s*\{[lcr|\s]*\}", "", found[2]) if found[1] == "array" else found[2]
    rows = [split(row, "&") for row in split(body, "\\\\") if row.strip()]
    if not rows or len({len(row) for row in rows}) != 1 or len(rows) * len(rows[0]) > MAX_PARTS:
        return None
    items = parts_of([cell for row in rows for cell in row])
    return Answer("matrix", form, items=items, mark=str(len(rows[0])))


def _quantity(text: str, letters: bool) -> Answer | None:
    """A number or expression, with its unit."""
    bare, unit, multiple = split_unit(text, letters)
    if bare != text or multiple > 1:
        numeral = parse_numeral(bare)
        if numeral is not None and multiple > 1:
            numeral = replace(numeral, value=numeral.value * multiple, places=0)
        if numeral is not None:
            return Answer(numeral.kind, normal_form(text), numeral, ("n", numeral.exact), unit)
    try:
        tree = parse_formula(bare)
    except (Unreadable, RecursionError):
        if bare != text:
            return _quantity_of(text, text, "", 1)
        return None
    return _quantity_of(text, bare, unit, multiple, tree)


def _quantity_of(text: str, bare: str, unit: str, multiple: int, tree: Tree | None = None) -> Answer | None:
    try:
        tree = parse_formula(bare) if tree is None else tree
        if tree in (("inf",), ("neg", ("inf",))):
            return Answer("infinity", "+" if tree[0] == "inf" else "-")
        if multiple > 1:
            tree = ("*", tree, ("n", multiple))
        choices = signs_chosen(tree)
    except (Unreadable, RecursionError):
        return None
    form = normal_form(text)
    if len(choices) > 1:
        items = tuple(Answer("expression", form, tree=choice, unit=unit) for choice in choices)
        return Answer("list", form, items=items, mark="\\pm")
    return Answer("expression", form, tree=tree, unit=unit)


def _is_prose(text: str) -> bool:
    """Whether a text with commas is a sentence rather than a list: words of language on both sides of none."""
    return len(re.findall(r"(?<![\\A-Za-z])[A-Za-z]{3,}", text)) > 6
