r"""Spellings that do not change what an answer says: wrappers, fonts, spaces, look-alike signs.

In goes the text of an answer, out comes a shorter text of the same meaning. `tidy` is what numbers are read
from; `normal_form` goes on to a string in which two spellings of one LaTeX formula are equal, blind to white
space and to braces around a single token. Nothing is computed and no algebra is done.
"""

from __future__ import annotations

import re

# Minus signs, hyphens and special spaces that models write for the plain ones.
_PLAIN = str.maketrans(
    dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\ufe63\uff0d", "-") | dict.fromkeys("\u00a0\u2002\u2003\u3000", " ")
)
# Signs of mathematics outside ASCII, as LaTeX.
_SIGNS = str.maketrans({
    "π": "\\pi ", "√": "\\sqrt ", "×": "\\times ", "·": "\\cdot ", "⋅": "\\cdot ", "÷": "/", "∞": "\\infty ",
    "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "≈": "\\approx ", "∪": "\\cup ", "∩": "\\cap ", "∈": "\\in ",
    "±": "\\pm ",
    "°": "^\\circ ", "ℝ": "\\mathbb{R}", "⌊": "\\lfloor ", "⌋": "\\rfloor ", "⌈": "\\lceil ", "⌉": "\\rceil ",
    "∅": "\\varnothing ", "⟨": "\\langle ", "⟩": "\\rangle ", "∠": "\\angle ", "…": "\\ldots ", "′": "'",
    "¹": "^{1}", "²": "^{2}", "³": "^{3}", "⁴": "^{4}", "½": "\\frac{1}{2}", "⅓": "\\frac{1}{3}", "⅔": "\\frac{2}{3}",
    "¼": "\\frac{1}{4}", "¾": "\\frac{3}{4}",
    **{chr(code): f"\\{name} " for name, code in (
        ("alpha", 0x3B1), ("beta", 0x3B2), ("gamma", 0x3B3), ("delta", 0x3B4), ("theta", 0x3B8), ("lambda", 0x3BB),
        ("mu", 0x3BC), ("rho", 0x3C1), ("sigma", 0x3C3), ("tau", 0x3C4), ("phi", 0x3C6), ("omega", 0x3C9),
    )},
})  # fmt: skip
_WRAPPER = re.compile(r"\$+((?:\\.|[^$\\])*)\$+|\\\((.*)\\\)|\\\[(.*)\\\]", re.DOTALL)
_THOUSANDS = re.compile(r"(?<=[0-9])(?:\{,\}|\s?,?\s?\\!\s?|,?\\,|[\u2009\u202f])(?=[0-9]{3}(?![0-9]))")
_SPACE = re.compile(r"(\\\\)|\\(?:[,;:> ]|q?quad(?![A-Za-z])|displaystyle(?![A-Za-z]))|[~\s\u2009\u202f]")
_FONT = re.compile(  # its argument may hold groups, as in \text{\frac{1}{2}}
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:rm|bf|it|sf|tt)|mbox|operatorname)\s*"
    r"\{((?:[^{}]++|\{[^{}]*+\})*+)\}"
)
_SIZE = re.compile(r"\\(?:left|right)\s*\.|\\(?:left|right)(?![A-Za-z])")
_LOOKS = re.compile(  # colour, size, an aligned formula of one line
    r"\\(?:text)?color\s*\{[^{}]*\}|\\(?:large|Large|LARGE|huge|small|bf|rm|it|displaystyle|textstyle|bigl|bigr|Bigl|Bigr|big|Big)"
    r"(?![A-Za-z])|\\(?:begin|end)\{(?:aligned|gathered|align\*?|equation\*?)\}"
)
_ANNOUNCED = re.compile(r"(?:the )?(?:final )?answer(?: is|:| =)[: ]*(?=\S)", re.IGNORECASE)
_SHORT_FRACTION = re.compile(r"\\frac\s*([0-9])\s*([0-9])")
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[0-9]+(?:\.[0-9]+)?|\S", re.DOTALL)


def tidy(text: str) -> str:
    r"""Drop what only dresses an answer.

    Removed: outer `$`, `\(`, `\[` and braces; `\text`, `\mathrm` and other fonts; `\left`, `\right`; spacing
    commands; a final full stop. Rewritten: thousands separators (`1{,}000`, `1\,000`, `1\!000` to `1,000`),
    `\dfrac` and `\tfrac`, `\frac97`, Unicode minus signs and spaces. White space becomes single spaces, which
    still separate (`1 2` is not `12`).
    """
    text = whole = text.strip()
    if not text.isascii():
        text = text.translate(_PLAIN).translate(_SIGNS).strip()
    text = _unwrap(text)
    if "\\" in text or "{" in text or not text.isascii():
        text = _THOUSANDS.sub(",", text).replace("\\!", "")
        text = _SIZE.sub("", _SPACE.sub(lambda found: found[1] or " ", text))
        for _ in range(3):  # fonts within fonts
            text, changed = _FONT.subn(r" \1 ", text)
            if not changed:
                break
        text = _LOOKS.sub(" ", re.sub(r"\\[dtc]frac(?![A-Za-z])", r"\\frac", text))
        text = text.replace("\\degree", "^\\circ")
        if "aligned" in whole or "align}" in whole:
            text = text.replace("&", "")
        text = _SHORT_FRACTION.sub(r"\\frac{\1}{\2}", text)
    text = _unwrap(" ".join(text.split()).rstrip(" ."))
    if text[:2] == "**" == text[-2:]:
        text = text.strip("* ")
    return _ANNOUNCED.sub("", text) if text[:1] in "tTaAfF" else text


def _unwrap(text: str) -> str:
    """Take off pairs of maths delimiters and of braces that enclose the whole text (at most four)."""
    for _ in range(4):
        found = _WRAPPER.fullmatch(text)
        if found:
            text = next((inner for inner in found.groups() if inner is not None), "").strip()
        elif text[:1] == "{" and text[-1:] == "}" and _is_one_group(text):
            text = text[1:-1].strip()
        else:
            break
    return text


def _is_one_group(text: str) -> bool:
    """Whether the first brace is closed by the last character, and not before."""
    depth = 0
    for found in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        if found[0] in "{}":
            depth += 1 if found[0] == "{" else -1
            if depth == 0:
                return found.end() == len(text)
    return False


def normal_form(tidied: str) -> str:
    r"""The tokens of a tidied text, one space apart, without the braces around single tokens.

    Equal for `x^{2}` and `x^2`, `\frac{x}{2}` and `\frac x2`, `(3, 4)` and `(3,4)`; different for `1 2` and
    `12`, `[2,5)` and `(2,5)`, `x` and `X`. Linear in the text.
    """
    tokens: list[str] = []
    opened: list[int] = []  # places of the braces still open
    for token in _TOKEN.findall(tidied):
        if token == "{":
            opened.append(len(tokens))
        elif token == "}" and opened and opened.pop() == len(tokens) - 2:
            tokens.pop(-2)
            continue
        tokens.append(token)
    return " ".join(tokens)
