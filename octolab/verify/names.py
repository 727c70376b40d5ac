r"""What the left side of `x = 5` names.

In goes a side of a relation, out comes its name, or None where it is a formula. `f(x)`, `|AB|`, `\angle ABC`,
`S_{ABC}` and words are names; `2x + y`, `xy` and `7` are not, so that `7 = 11a + c` is an equation and not an answer.
"""

from __future__ import annotations

import re

from octolab.verify.answers import Answer
from octolab.verify.formula import GREEK

_GREEK = rf"\\(?:{'|'.join(sorted(GREEK))})"
_SUBSCRIPT = r"(?:_ (?:\{[^{}]*\}|\S+))?"
_LETTER = rf"(?:[A-Za-z]|{_GREEK})(?: {_SUBSCRIPT})?(?: ')*"
_RUN = r"[A-Z](?: [A-Z0-9'])+"  # a segment, triangle or area by its corners
_NAME = re.compile(
    rf"{_LETTER}"
    rf"|{_LETTER}(?: \^ \{{ - 1 \}})? \( (?:{_LETTER}|[0-9]+)(?: , (?:{_LETTER}|[0-9]+))* \)"
    rf"|\| {_RUN} \||\| {_LETTER} \||(?:\\angle |\\triangle |\\overline )?(?:\{{ )?{_RUN}(?: \}})?"
    rf"|\\frac \{{ {_RUN} \}} \{{ {_RUN} \}}|{_RUN} / {_RUN}|\\angle [A-Z]"
    rf"|\\frac \{{ {_LETTER} \}} \{{ {_LETTER} \}}"
    r"|[A-Za-z](?: [A-Za-z]){3,}"  # a word: "speed = 5"
)
_FUNCTION = re.compile(rf"{_LETTER}(?: \^ \{{ - 1 \}})? \( ({_LETTER}(?: , {_LETTER})*) \)")


def name_of(side: Answer) -> str | None:
    """The name that a side of a relation is, in normal form, or None."""
    if side.kind == "tuple":
        names = [name_of(item) for item in side.items]
        return None if None in names else ", ".join(name or "" for name in names)
    if side.kind == "ratio":
        names = [name_of(item) for item in side.items]
        return None if None in names else " : ".join(name or "" for name in names)
    return side.text if _NAME.fullmatch(side.text) and not side.text.lower().startswith("n o t ") else None


def arguments_of(name: str) -> list[str]:
    """The arguments of a function's name: ["x", "y"] for `f ( x , y )`, else none."""
    found = _FUNCTION.fullmatch(name)
    return found[1].split(" , ") if found else []
