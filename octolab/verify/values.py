r"""What an expression is worth: exactly where it is rational, else to as many digits as asked for.

In goes a tree of `formula`, out comes a `Fraction` or an mpmath number. Every power, factorial and binomial is
estimated before it is computed, so that no expression that fits into an answer costs more than milliseconds or
yields more than `MAX_LOG10` digits.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from octolab.verify.trees import Tree

MAX_LOG10 = 1e4  # digits that any intermediate result may have
MAX_ARGUMENT = 3000  # of a factorial or binomial; 3000! has 9,131 digits


class Costly(Exception):
    """Evaluating this would cost too much."""


class Undefined(Exception):
    """There is no such value: division by zero, logarithm of zero, infinity minus infinity."""


class Irrational(Exception):
    """The value is not obviously rational, or depends on a symbol."""


def exact(tree: Tree) -> Fraction:
    """The exact rational value of a tree without symbols, functions and roots.

    Raises Irrational where one occurs, Undefined and Costly as named.
    """
    op = tree[0]
    if op == "n":
        return tree[1]
    if op == "neg":
        return -exact(tree[1])
    if op in _EXACT:
        return _bounded(_EXACT[op](*(exact(part) for part in tree[1:])))
    raise Irrational


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_LOG10 * 3.33:
        raise Costly("more digits than a number may have")
    return value


def _divide(a: Fraction, b: Fraction) -> Fraction:
    if b == 0:
        raise Undefined("division by zero")
    return a / b


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        raise Irrational
    if base == 0 and exponent <= 0:
        raise Undefined("0 to a power that is not positive")
    if base in (0, 1):
        return base
    if base == -1:
        return Fraction(-1 if exponent.numerator % 2 else 1)
    digits = max(abs(base.numerator), base.denominator).bit_length() * 0.3011
    if abs(exponent) > MAX_LOG10 or digits * float(abs(exponent)) > MAX_LOG10:
        raise Costly("a power with too many digits")
    return base ** int(exponent)


def _natural(value: Fraction) -> int:
    if value.denominator != 1 or value < 0:
        raise Irrational
    if value > MAX_ARGUMENT:
        raise Costly("a factorial of too large a number")
    return int(value)


_EXACT: dict[str, Any] = {
    "+": lambda a, b: a + b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "^": _power,
    "abs": abs,
    "floor": lambda a: Fraction(math.floor(a)),
    "ceil": lambda a: Fraction(math.ceil(a)),
    "!": lambda a: Fraction(math.factorial(_natural(a))),
    "binom": lambda a, b: Fraction(math.comb(_natural(a), _natural(b))),
}

_local = threading.local()


def context(digits: int) -> Any:
    """This thread's mpmath context, set to so many significant digits. Imported when first needed (60 ms)."""
    if not hasattr(_local, "mp"):
        from mpmath.ctx_mp import MPContext

        _local.mp = MPContext()
    _local.mp.dps = digits
    return _local.mp


def numeric(tree: Tree, digits: int, at: Mapping[str, Fraction]) -> tuple[Any, float]:
    """The value of a tree with its symbols set to rational numbers, and how large its rounding error may be.

    The second number is the log10 of the error for arithmetic with an error of 1: with `digits` significant digits the
    absolute error is about 10 ** (second - digits). The value is complex where a root or logarithm of a negative
    number is. Raises Undefined, Costly.
    """
    mp = context(digits)
    try:
        value, error = _Evaluator(mp, at).value(tree)
    except (ZeroDivisionError, ValueError, OverflowError) as problem:
        raise Undefined(str(problem)) from None
    return value, error


class _Evaluator:
    """One evaluation. Each operation gives a value and the log10 of its error, propagated to first order."""

    def __init__(self, mp: Any, at: Mapping[str, Fraction]) -> None:
        self.mp, self.at = mp, at

    def value(self, tree: Tree) -> tuple[Any, float]:
        op = tree[0]
        if op in ("n", "s"):
            number = tree[1] if op == "n" else self.at[tree[1]]
            return self.checked(self.mp.mpf(number.numerator) / number.denominator, -math.inf)
        if op in ("pi", "e", "i"):
            return self.checked({"pi": +self.mp.pi, "e": +self.mp.e, "i": self.mp.mpc(0, 1)}[op], -math.inf)
        if op == "inf":
            raise Undefined("infinity in an expression")
        if op == "f":
            return self.checked(*self.function(tree[1], *self.value(tree[2])))
        parts = [self.value(part) for part in tree[1:]]
        values, errors = [value for value, _ in parts], [error for _, error in parts]
        return self.checked(*getattr(self, _METHODS[op])(*values, *errors))

    def checked(self, value: Any, error: float) -> tuple[Any, float]:
        """The value and its error, which is at least that of rounding it. Raises Costly for too many digits."""
        size = self.log10(value)
        if size > MAX_LOG10:
            raise Costly("a number with too many digits")
        return value, max(error, size)

    def log10(self, value: Any) -> float:
        """Size of a number, from its binary exponent; -inf for 0."""
        if not self.mp.isfinite(value):
            raise Undefined("not a finite number")
        exponent = self.mp.mag(value)
        return -math.inf if exponent == self.mp.ninf else float(exponent) * 0.30103

    def add(self, a: Any, b: Any, ea: float, eb: float) -> tuple[Any, float]:
        return a + b, max(ea, eb)

    def multiply(self, a: Any, b: Any, ea: float, eb: float) -> tuple[Any, float]:
        return a * b, max(ea + self.log10(b), eb + self.log10(a))

    def divide(self, a: Any, b: Any, ea: float, eb: float) -> tuple[Any, float]:
        if b == 0:
            raise Undefined("division by zero")
        size = self.log10(b)
        return a / b, max(ea - size, eb + self.log10(a) - 2 * size)

    def negate(self, a: Any, ea: float) -> tuple[Any, float]:
        return -a, ea

    def raise_to(self, base: Any, exponent: Any, ea: float, eb: float) -> tuple[Any, float]:
        if base == 0:
            if self.mp.im(exponent) != 0 or self.mp.re(exponent) <= 0:
                raise Undefined("0 to a power that is not positive")
            return self.mp.mpf(0), ea
        logarithm = self.mp.log(abs(base))
        if abs(logarithm) / math.log(10) * abs(exponent) > MAX_LOG10:
            raise Costly("a power with too many digits")
        value = self.mp.power(base, exponent)
        relative = max(ea - self.log10(base) + self.log10(exponent), eb + self.log10(logarithm))
        return value, self.log10(value) + relative

    def root(self, degree: Any, a: Any, ed: float, ea: float) -> tuple[Any, float]:
        if self.mp.im(degree) != 0 or degree == 0 or abs(degree) > MAX_LOG10:
            raise Undefined("a root of this degree")
        negative = self.mp.im(a) == 0 and a < 0 and self.mp.isint(degree) and int(degree) % 2
        value, error = self.raise_to(-a if negative else a, 1 / degree, ea, ed - 2 * self.log10(degree))
        return -value if negative else value, error

    def absolute(self, a: Any, ea: float) -> tuple[Any, float]:
        return abs(a), ea

    def floor(self, a: Any, ea: float) -> tuple[Any, float]:
        return self.mp.floor(self.snapped(a, ea)), -math.inf

    def ceil(self, a: Any, ea: float) -> tuple[Any, float]:
        return self.mp.ceil(self.snapped(a, ea)), -math.inf

    def snapped(self, a: Any, error: float) -> Any:
        """A real number, moved to the nearest integer where only rounding keeps it off."""
        if self.mp.im(a) != 0:
            raise Undefined("the floor of a complex number")
        near = self.mp.nint(a)
        return near if abs(a - near) < self.mp.mpf(10) ** (max(error, 0) + 8 - self.mp.dps) else a

    def factorial(self, a: Any, ea: float) -> tuple[Any, float]:
        if abs(a) > MAX_ARGUMENT:
            raise Costly("a factorial of too large a number")
        value = self.mp.factorial(a)
        return value, self.log10(value) + ea + 1

    def binomial(self, a: Any, b: Any, ea: float, eb: float) -> tuple[Any, float]:
        if max(abs(a), abs(b)) > MAX_ARGUMENT:
            raise Costly("a binomial of too large numbers")
        value = self.mp.binomial(a, b)
        return value, self.log10(value) + max(ea, eb) + 1

    def degrees(self, a: Any, ea: float) -> tuple[Any, float]:
        return a * self.mp.pi / 180, ea - 1

    def logarithm(self, base: Any, a: Any, eb: float, ea: float) -> tuple[Any, float]:
        value = self.mp.log(a) / self.mp.log(base)
        return value, max(ea - self.log10(a), eb - self.log10(base) + self.log10(value)) - self.log10(self.mp.log(base))

    def function(self, name: str, a: Any, ea: float) -> tuple[Any, float]:
        if name in ("exp", "sinh", "cosh", "tanh") and abs(a) > MAX_LOG10 * math.log(10):
            raise Costly("a power with too many digits")
        if self.log10(a) > 300:
            raise Costly("an argument with too many digits")
        value = getattr(self.mp, _FUNCTIONS.get(name, name))(a)
        size = self.log10(value)
        if name == "ln":
            return value, ea - self.log10(a)
        # The derivatives of the others are at most about f or f squared, but for poles that points do not meet.
        return value, ea + max(0.0, 2 * size if name in ("tan", "cot", "sec", "csc") else size)


_METHODS = {
    "+": "add", "*": "multiply", "/": "divide", "neg": "negate", "^": "raise_to", "root": "root", "abs": "absolute",
    "floor": "floor", "ceil": "ceil", "!": "factorial", "binom": "binomial", "deg": "degrees", "log": "logarithm",
}  # fmt: skip
_FUNCTIONS = {
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arccot": "acot", "arcsec": "asec", "arccsc": "acsc",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh",
}  # fmt: skip
