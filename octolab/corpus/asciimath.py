r"""AsciiMath to LaTeX.

In goes what stands between the backticks of an AsciiMath page (`x=(-b+-sqrt(b^2-4ac))/(2a)`), out comes LaTeX. The
grammar is AsciiMath's: symbols, unary and binary functions, brackets, scripts and fractions whose own brackets vanish.
"""

from __future__ import annotations

import re

_SYMBOLS = {
    "+-": "\\pm", "-+": "\\mp", "xx": "\\times", "**": "*", "***": "\\star", "*": "\\cdot", "//": "/", "-:": "\\div",
    "@": "\\circ", "o+": "\\oplus", "ox": "\\otimes", "o.": "\\odot", "sum": "\\sum", "prod": "\\prod", "^^": "\\wedge",
    "vv": "\\vee", "nn": "\\cap", "uu": "\\cup", "!=": "\\ne", "<=": "\\le", ">=": "\\ge", "in": "\\in",
    "!in": "\\notin",
    "sub": "\\subset", "sup": "\\supset", "sube": "\\subseteq", "supe": "\\supseteq", "-=": "\\equiv", "~=": "\\cong",
    "~~": "\\approx", "prop": "\\propto", "and": "\\text{ and }", "or": "\\text{ or }", "not": "\\neg",
    "=>": "\\Rightarrow",
    "<=>": "\\Leftrightarrow", "if": "\\text{ if }", "AA": "\\forall", "EE": "\\exists", "_|_": "\\bot", "TT": "\\top",
    "int": "\\int", "oint": "\\oint", "del": "\\partial", "grad": "\\nabla", "O/": "\\emptyset", "oo": "\\infty",
    "aleph": "\\aleph", "...": "\\ldots", "cdots": "\\cdots", "vdots": "\\vdots", "ddots": "\\ddots", "|_": "\\lfloor",
    "_|": "\\rfloor", "|~": "\\lceil", "~|": "\\rceil", "CC": "\\mathbb{C}", "NN": "\\mathbb{N}", "QQ": "\\mathbb{Q}",
    "RR": "\\mathbb{R}", "ZZ": "\\mathbb{Z}", "->": "\\to", "rarr": "\\rightarrow", "larr": "\\leftarrow",
    "harr": "\\leftrightarrow", "rArr": "\\Rightarrow", "lArr": "\\Leftarrow", "hArr": "\\Leftrightarrow",
    "|->": "\\mapsto", "uarr": "\\uparrow", "darr": "\\downarrow", "quad": "\\quad", "qquad": "\\qquad",
    "/_": "\\angle",
    "%": "\\%", "&": "\\&", "#": "\\#", "lt": "<", "gt": ">", "le": "\\le", "ge": "\\ge", "ne": "\\ne", "pm": "\\pm",
    "diamond": "\\diamond", "square": "\\square", "dim": "\\dim", "mod": "\\bmod", "lim": "\\lim",
}  # fmt: skip
_NAMES = (
    "alpha beta chi delta Delta epsilon varepsilon eta gamma Gamma iota kappa lambda Lambda mu nu omega Omega phi "
    "varphi Phi pi Pi psi Psi rho sigma Sigma tau theta vartheta Theta upsilon xi Xi zeta sin cos tan sec csc cot "
    "arcsin arccos arctan sinh cosh tanh coth ln log exp det gcd max min"
).split()
_SYMBOLS |= {name: f"\\{name}" for name in _NAMES}
_UNARY = {
    "sqrt": "\\sqrt", "hat": "\\hat", "bar": "\\overline", "ul": "\\underline", "vec": "\\vec", "dot": "\\dot",
    "ddot": "\\ddot", "tilde": "\\tilde", "bb": "\\mathbf", "bbb": "\\mathbb", "cc": "\\mathcal", "tt": "\\mathtt",
    "fr": "\\mathfrak", "sf": "\\mathsf", "overline": "\\overline", "underline": "\\underline", "cancel": "\\cancel",
}  # fmt: skip
_BINARY = {"frac": "\\frac", "stackrel": "\\stackrel", "overset": "\\overset", "underset": "\\underset"}
_OPEN = {"(": "(", "[": "[", "{": "\\{", "(:": "\\langle", "<<": "\\langle", "{:": ".", "|:": "|"}
_CLOSE = {")": ")", "]": "]", "}": "\\}", ":)": "\\rangle", ">>": "\\rangle", ":}": ".", ":|": "|"}
_WORDS = sorted(
    [*_SYMBOLS, *_UNARY, *_BINARY, *_OPEN, *_CLOSE, "root", "text", "abs", "norm", "floor", "ceil"], key=len
)
_TOKEN = re.compile(
    r'"[^"]*"|text\s*\([^)]*\)|[0-9]+(?:\.[0-9]+)?|' + "|".join(re.escape(word) for word in reversed(_WORDS)) + r"|\S"
)
_AROUND = {
    "abs": ("|", "|"),
    "norm": ("\\|", "\\|"),
    "floor": ("\\lfloor ", "\\rfloor"),
    "ceil": ("\\lceil ", "\\rceil"),
}
MAX_LENGTH, MAX_DEPTH = 2000, 60


def asciimath_to_latex(text: str) -> str:
    """LaTeX of an AsciiMath expression; what is too long or too deep comes back as it is."""
    if len(text) > MAX_LENGTH:
        return text.strip()
    reader = _Reader(_TOKEN.findall(text))
    try:
        return reader.expression("")
    except RecursionError:
        return text.strip()


class _Reader:
    """Recursive descent over the tokens. `simple` gives LaTeX and, for a bracket, what was inside it."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.place, self.depth = tokens, 0, 0

    @property
    def next(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def take(self) -> str:
        token = self.next
        self.place += 1
        return token

    def expression(self, stop: str) -> str:
        """Factors side by side up to a closing bracket (or, for `|`, the next bar)."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise RecursionError
        parts: list[str] = []
        while self.next and self.next not in _CLOSE and (self.next != stop or not stop):
            parts.append(self.fraction())
        self.depth -= 1
        return _joined(parts)

    def fraction(self) -> str:
        left, inside = self.scripted()
        if self.next != "/":
            return left
        self.take()
        right, below = self.scripted()
        return f"\\frac{{{inside if inside is not None else left}}}{{{below if below is not None else right}}}"

    def scripted(self) -> tuple[str, str | None]:
        base, inside = self.simple()
        scripts = ""
        for mark in ("_", "^"):
            if self.next == mark:
                self.take()
                script, within = self.simple()
                scripts += f"{mark}{{{within if within is not None else script}}}"
        return base + scripts, None if scripts else inside

    def argument(self) -> str:
        latex, inside = self.simple()
        return inside if inside is not None else latex

    def simple(self) -> tuple[str, str | None]:
        token = self.take()
        if token.startswith('"'):
            return f"\\text{{{token[1:-1]}}}", None
        if token.startswith("text") and "(" in token:
            return f"\\text{{{token[token.index('(') + 1 : -1]}}}", None
        if token in _OPEN:
            inside = self.expression("")
            closing = self.take()
            opened, closed = _OPEN[token], _CLOSE.get(closing, ".")
            matrix = _matrix(inside, opened, closed)
            if matrix:
                return matrix, None
            if "." in (opened, closed):
                return (inside if opened == closed else f"\\left{opened}{inside}\\right{closed}"), inside
            return f"{opened}{inside}{closed}", inside
        if token == "|":
            inside = self.expression("|")
            self.take()
            return f"|{inside}|", None
        if token in _AROUND:
            left, right = _AROUND[token]
            return f"{left}{self.argument()}{right}", None
        if token in _UNARY:
            return f"{_UNARY[token]}{{{self.argument()}}}", None
        if token == "root":
            degree = self.argument()
            return f"\\sqrt[{degree}]{{{self.argument()}}}", None
        if token in _BINARY:
            first = self.argument()
            return f"{_BINARY[token]}{{{first}}}{{{self.argument()}}}", None
        return _SYMBOLS.get(token, token), None


def _matrix(inside: str, opened: str, closed: str) -> str | None:
    """`[[a,b],[c,d]]` as a matrix: rows in brackets of one kind, at least two, equally long."""
    rows = re.findall(r"[(\[]([^()\[\]]*)[)\]]", inside)
    if len(rows) < 2 or re.sub(r"[(\[][^()\[\]]*[)\]]|[,\s]", "", inside):
        return None
    cells = [row.split(",") for row in rows]
    if len({len(row) for row in cells}) != 1:
        return None
    body = r" \\ ".join(" & ".join(cell.strip() for cell in row) for row in cells)
    kind = {"(": "pmatrix", "[": "bmatrix", "|": "vmatrix"}.get(opened)
    if kind:
        return f"\\begin{{{kind}}} {body} \\end{{{kind}}}"
    return f"\\left{opened}\\begin{{matrix}} {body} \\end{{matrix}}\\right{closed}"


def _joined(parts: list[str]) -> str:
    text = ""
    for part in parts:
        if part[:1].isalnum() and re.search(r"\\[A-Za-z]+$", text):
            text += " "
        text += part
    return text
