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
    """The value of a tree with its symbols set to rational numbers, and the log10 of the largest term met.

    The second number says how far rounding may have spoilt the first: its absolute error is about
    10 ** (second - digits). Complex where a root or logarithm of a negative number is. Raises Undefined, Costly.
    """
    mp = context(digits)
    evaluator = _Evaluator(mp, at)
    try:
        value = evaluator.value(tree)
    except (ZeroDivisionError, ValueError, OverflowError) as error:
        raise Undefined(str(error)) from None
    if not (mp.isfinite(value)):
        raise Undefined("not a finite number")
    return value, evaluator.largest


class _Evaluator:
    """One evaluation: the context, the symbols' values, and the size of the largest intermediate result."""

    def __init__(self, mp: Any, at: Mapping[str, Fraction]) -> None:
        self.mp, self.at = mp, at
        self.largest = 0.0

    def value(self, tree: Tree) -> Any:
        op = tree[0]
        if op == "n":
            return self.kept(self.mp.mpf(tree[1].numerator) / tree[1].denominator)
        if op == "s":
            value = self.at[tree[1]]
            return self.mp.mpf(value.numerator) / value.denominator
        if op in ("pi", "e", "i"):
            return {"pi": +self.mp.pi, "e": +self.mp.e, "i": self.mp.mpc(0, 1)}[op]
        if op == "inf":
            raise Undefined("infinity in an expression")
        if op == "f":
            return self.kept(self.function(tree[1], self.value(tree[2])))
        return self.kept(getattr(self, _METHODS[op])(*(self.value(part) for part in tree[1:])))

    def kept(self, value: Any) -> Any:
        """The value, after noting its size. Raises Costly where it has too many digits."""
        size = self.log10(value)
        if size > MAX_LOG10:
            raise Costly("a number with too many digits")
        if size > self.largest:
            self.largest = size
        return value

    def log10(self, value: Any) -> float:
        """Size of a number, from its binary exponent."""
        exponent = self.mp.mag(value)
        if exponent == self.mp.ninf:
            return -math.inf
        if not self.mp.isfinite(value):
            raise Undefined("not a finite number")
        return float(exponent) * 0.30103

    def add(self, a: Any, b: Any) -> Any:
        return a + b

    def multiply(self, a: Any, b: Any) -> Any:
        return a * b

    def divide(self, a: Any, b: Any) -> Any:
        if b == 0:
            raise Undefined("division by zero")
        return a / b

    def negate(self, a: Any) -> Any:
        return -a

    def raise_to(self, base: Any, exponent: Any) -> Any:
        if base == 0:
            if self.mp.im(exponent) != 0 or self.mp.re(exponent) <= 0:
                raise Undefined("0 to a power that is not positive")
            return self.mp.mpf(0)
        size = abs(self.mp.log(abs(base))) / math.log(10) * abs(exponent)
        if size > MAX_LOG10:
            raise Costly("a power with too many digits")
        return self.mp.power(base, exponent)

    def root(self, degree: Any, a: Any) -> Any:
        if self.mp.im(degree) != 0 or degree == 0 or abs(degree) > MAX_LOG10:
            raise Undefined("a root of this degree")
        if self.mp.im(a) == 0 and a < 0 and self.mp.isint(degree) and int(degree) % 2:
            return -self.raise_to(-a, 1 / degree)
        return self.raise_to(a, 1 / degree)

    def absolute(self, a: Any) -> Any:
        return abs(a)

    def floor(self, a: Any) -> Any:
        return self.mp.floor(self.snapped(a))

    def ceil(self, a: Any) -> Any:
        return self.mp.ceil(self.snapped(a))

    def snapped(self, a: Any) -> Any:
        """A real number, moved to the nearest integer where only rounding keeps it off."""
        if self.mp.im(a) != 0:
            raise Undefined("the floor of a complex number")
        near = self.mp.nint(a)
        return near if abs(a - near) < self.mp.mpf(10) ** (self.largest + 8 - self.mp.dps) else a

    def factorial(self, a: Any) -> Any:
        if abs(a) > MAX_ARGUMENT:
            raise Costly("a factorial of too large a number")
        return self.mp.factorial(a)

    def binomial(self, a: Any, b: Any) -> Any:
        if max(abs(a), abs(b)) > MAX_ARGUMENT:
            raise Costly("a binomial of too large numbers")
        return self.mp.binomial(a, b)

    def degrees(self, a: Any) -> Any:
        return a * self.mp.pi / 180

    def logarithm(self, base: Any, a: Any) -> Any:
        return self.mp.log(a) / self.mp.log(base)

    def function(self, name: str, a: Any) -> Any:
        if name in ("exp", "sinh", "cosh", "tanh") and abs(a) > MAX_LOG10 * math.log(10):
            raise Costly("a power with too many digits")
        if self.log10(a) > 300:
            raise Costly("an argument with too many digits")
        return getattr(self.mp, _FUNCTIONS.get(name, name))(a)


_METHODS = {
    "+": "add", "*": "multiply", "/": "divide", "neg": "negate", "^": "raise_to", "root": "root", "abs": "absolute",
    "floor": "floor", "ceil": "ceil", "!": "factorial", "binom": "binomial", "deg": "degrees", "log": "logarithm",
}  # fmt: skip
_FUNCTIONS = {
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arccot": "acot", "arcsec": "asec", "arccsc": "acsc",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh",
}  # fmt: skip
