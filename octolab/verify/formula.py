r"""One mathematical expression, read by our own grammar into a tree.

In goes a tidied LaTeX or plain-text expression, out comes a tree of tuples, or `Unreadable`. Nothing is evaluated
and no name outside the lists below is known, so a program in a box is only an expression that cannot be read. What
is read are the closed forms that answers are: arithmetic, powers, roots, elementary functions, floors, binomials,
symbols with subscripts. Sums, integrals and limits are not, since an answer that still holds one is a question.
"""

from __future__ import annotations

import re
from fractions import Fraction

from octolab.verify.trees import Tree

MAX_DEPTH = 50  # nesting of brackets, fractions, exponents
MAX_NUMBER = 1000  # digits of one number

_TOKEN = re.compile(
    r"\\[A-Za-z]+|\\.|[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]*)?|\.[0-9]+|[A-Za-z]+|\S",
    re.DOTALL,
)
_TRIG = ("sin", "cos", "tan", "cot", "sec", "csc")
FUNCTIONS = frozenset(
    [*_TRIG, *(f"arc{name}" for name in _TRIG), "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "ln", "exp"]
)
_ALIASES = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "arsinh": "arcsinh", "arcosh": "arccosh",
    "artanh": "arctanh", "cosec": "csc", "tg": "tan", "ctg": "cot", "arctg": "arctan",
}  # fmt: skip
GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho varrho sigma "
    "varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar "
    "aleph mho odot".split()
)
_ACCENTS = frozenset("vec hat bar dot ddot tilde overline overrightarrow widehat underline mathbb mathcal".split())
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_FLOORS = {"\\lfloor": ("\\rfloor", "floor"), "\\lceil": ("\\rceil", "ceil"), "\\lvert": ("\\rvert", "abs")}
_TIMES = frozenset(["*", "\\cdot", "\\times", "\\ast", "\\bullet"])
_DIGITS = frozenset("0123456789")
_END = ""
_NOT_ATOMS = frozenset([")", "]", "}", "\\rfloor", "\\rceil", "\\rvert", "\\choose", "\\div", "\\pm", "\\mp"])


class Unreadable(Exception):
    """The text is not one expression that the grammar knows."""


def parse_formula(tidied: str) -> Tree:
    """The tree of a tidied expression. Linear in the text for a bounded depth. Raises Unreadable."""
    parser = _Parser(_TOKEN.findall(tidied))
    tree = parser.sum()
    if parser.next != _END:
        raise Unreadable(f"{parser.next!r} is out of place")
    return tree


class _Parser:
    """Recursive descent over the tokens; each method reads one level of precedence."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.place, self.depth = tokens, 0, 0
        self.in_bars = 0
        self.next = tokens[0] if tokens else _END

    def take(self) -> str:
        token = self.next
        self.place += 1
        self.next = self.tokens[self.place] if self.place < len(self.tokens) else _END
        return token

    def accept(self, token: str) -> bool:
        if self.next == token:
            self.take()
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise Unreadable(f"{token!r} is missing")

    def sum(self) -> Tree:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("nested too deeply")
        if self.next in ("\\pm", "\\mp"):
            left: Tree = ("n", Fraction(0))
        else:
            left = self.product()
        while True:
            if self.accept("+"):
                left = ("+", left, self.product())
            elif self.accept("-"):
                left = ("+", left, ("neg", self.product()))
            elif self.next in ("\\pm", "\\mp"):
                left = (self.take()[1:], left, self.product())
            else:
                self.depth -= 1
                return left

    def product(self) -> Tree:
        left = self.signed()
        while True:
            if self.next in _TIMES:
                self.take()
                left = ("*", left, self.signed())
            elif self.next in ("/", "\\div"):
                self.take()
                left = ("/", left, self.signed())
                if self.next in ("/", "\\div"):
                    raise Unreadable("a / b / c can be read in two ways")
            elif self.starts_atom():
                left = self.beside(left)
            else:
                return left

    def beside(self, left: Tree) -> Tree:
        """Two factors side by side, or a mixed number."""
        if self.next[0] in _DIGITS or self.next[0] == ".":
            before, first = self.tokens[self.place - 1], self.tokens[max(0, self.place - 2)]
            if before[-1] in _DIGITS or (before in "eE" and first[-1] in _DIGITS):  # 1 2, 1e2000
                raise Unreadable("a number stands right behind a number")
        is_fraction = self.next == "\\frac"
        right = self.power()
        if is_fraction and left[0] == "n" and left[1].denominator == 1 and right[0] == "/":
            _, top, bottom = right
            if top[0] == bottom[0] == "n":
                if not 0 < top[1] < bottom[1]:
                    raise Unreadable("a mixed number whose fraction is not proper")
                return ("+", left, right)
        return ("*", left, right)

    def signed(self) -> Tree:
        if self.accept("-"):
            return ("neg", self.power())
        self.accept("+")
        return self.power()

    def power(self) -> Tree:
        base = self.postfix(self.atom())
        if self.next == "^" and self.degree_follows():
            base = ("deg", base)
        elif self.accept("^"):
            return self.postfix(("^", base, self.exponent()))
        return base

    def degree_follows(self) -> bool:
        rest = self.tokens[self.place + 1 : self.place + 4]
        length = 1 if rest[:1] == ["\\circ"] else 3 if rest == ["{", "\\circ", "}"] else 0
        for _ in range(length + 1 if length else 0):
            self.take()
        return length > 0

    def exponent(self) -> Tree:
        if self.next == "{":
            return self.group()
        if self.accept("-"):
            return ("neg", self.exponent())
        inner = self.postfix(self.atom())
        return ("^", inner, self.exponent()) if self.accept("^") else inner

    def postfix(self, tree: Tree) -> Tree:
        while True:
            if self.next == "!" and self.tokens[self.place + 1 : self.place + 2] != ["!"]:
                self.take()
                tree = ("!", tree)
            elif self.next in ("%", "\\%"):
                self.take()
                tree = ("/", tree, ("n", Fraction(100)))
            else:
                return tree

    def starts_atom(self) -> bool:
        token = self.next
        if token == "|":
            return not self.in_bars
        if token == _END or token in _NOT_ATOMS:
            return False
        return (
            (token[0].isascii() and token[0].isalnum())
            or token[0] in "([{."
            or (token[0] == "\\" and token[1:].isalpha())
        )

    def group(self) -> Tree:
        """An argument: a braced expression, or one token."""
        if not self.accept("{"):
            token = self.next
            if len(token) > 1 and token.isalpha():  # \frac ab: one letter each
                self.tokens[self.place : self.place + 1] = list(token)
                self.next = self.tokens[self.place]
            return self.atom()
        inner = self.sum()
        if self.accept("\\choose"):
            inner = ("binom", inner, self.sum())
        self.expect("}")
        return inner

    def one_digit_or_group(self) -> Tree:
        r"""As `group`, but of bare digits only the first: `\frac12`."""
        token = self.next
        if len(token) > 1 and token.isdigit():
            self.tokens[self.place : self.place + 1] = [token[0], token[1:]]
            self.next = token[0]
        return self.group()

    def atom(self) -> Tree:
        token = self.take()
        if not token:
            raise Unreadable("something is missing at the end")
        if token[0] in _DIGITS or (token[0] == "." and len(token) > 1):
            return ("n", _number(token))
        if token == "{":
            self.place -= 1
            self.next = token
            return self.group()
        if token in _BRACKETS:
            bars, self.in_bars = self.in_bars, 0
            inner = self.sum()
            self.in_bars = bars
            self.expect(_BRACKETS[token])
            return inner
        if token == "|":
            self.in_bars += 1
            inner = self.sum()
            self.in_bars -= 1
            self.expect("|")
            return ("abs", inner)
        if token[0] == "\\":
            return self.command(token[1:])
        if token.isalpha() and token.isascii():
            return self.word(token)
        raise Unreadable(f"{token!r} is not known")

    def command(self, name: str) -> Tree:
        if f"\\{name}" in _FLOORS:
            close, op = _FLOORS[f"\\{name}"]
            inner = self.sum()
            self.expect(close)
            return (op, inner)
        if name == "frac":
            return ("/", self.one_digit_or_group(), self.one_digit_or_group())
        if name == "binom":
            return ("binom", self.group(), self.group())
        if name == "sqrt":
            degree: Tree = ("n", Fraction(2))
            if self.accept("["):
                degree = self.sum()
                self.expect("]")
            return ("root", degree, self.group())
        if name in ("pi", "infty"):
            return ("inf",) if name == "infty" else ("pi",)
        if name in GREEK:
            return self.symbol(name)
        if name in _ACCENTS:
            inside = self.plain_group()
            if inside[:1] in _DIGITS:
                raise Unreadable("an accent over digits")
            return self.symbol(f"{name} {inside}")
        return self.function(name)

    def word(self, token: str) -> Tree:
        """A run of letters: a function or constant by name, else one symbol and what follows it."""
        name = _ALIASES.get(token, token)
        if name in FUNCTIONS or name in ("log", "lg", "sqrt"):
            return self.function(name) if name != "sqrt" else ("root", ("n", Fraction(2)), self.group())
        if token in ("pi", "infinity", "infty"):
            return ("pi",) if token == "pi" else ("inf",)
        if len(token) > 1:
            self.place -= 1
            self.tokens[self.place : self.place + 1] = list(token)
            self.next = self.tokens[self.place]
            token = self.take()
        if token in "ei" and self.next != "_":
            return (token,)
        return self.symbol(token)

    def symbol(self, name: str) -> Tree:
        if self.accept("_"):
            name += f"_{self.plain_group()}"
        while self.next in ("'", "\\prime"):
            self.take()
            name += "'"
        return ("s", name)

    def plain_group(self) -> str:
        """The tokens of a subscript or accent as text."""
        token = self.take()
        if token != "{":
            if not token or not token[-1].isalnum():
                raise Unreadable("a subscript is missing")
            return token
        parts: list[str] = []
        while self.next not in (_END, "{", "}"):
            parts.append(self.take())
        self.expect("}")
        return " ".join(parts)

    def function(self, name: str) -> Tree:
        name = _ALIASES.get(name, name)
        base: Tree | None = ("n", Fraction(10)) if name in ("log", "lg") else None
        if name not in FUNCTIONS and base is None:
            raise Unreadable(f"\\{name} is not known")
        if name == "log" and self.accept("_"):
            base = self.group()
        power = self.exponent() if self.accept("^") else None
        if power == ("neg", ("n", Fraction(1))) and name in _TRIG:
            name, power = f"arc{name}", None
        argument = self.argument()
        result = ("log", base, argument) if base else ("f", name, argument)
        return ("^", result, power) if power else result

    def argument(self) -> Tree:
        r"""What a function applies to: a bracket, or the factors up to a sign or another function (`\sin 2x`)."""
        if self.next in _BRACKETS:
            return self.atom()
        argument = self.signed()
        while self.starts_atom() and not self.next_is_function() and self.next not in ("(", "["):
            argument = self.beside(argument)
        return argument

    def next_is_function(self) -> bool:
        name = self.next.lstrip("\\")
        return _ALIASES.get(name, name) in FUNCTIONS or name in ("log", "lg")


def _number(token: str) -> Fraction:
    digits = token.replace(",", "")
    if len(digits) > MAX_NUMBER:
        raise Unreadable("a number of more than a thousand digits")
    whole, _, decimals = digits.partition(".")
    return Fraction(int(whole + decimals or "0"), 10 ** len(decimals))
