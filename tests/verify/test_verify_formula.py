r"""The grammar and the values, against sympy as the oracle, and laws that must hold for any expression."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import sympy
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from octolab.verify import compare, type_gold
from octolab.verify.equal import proportional, same_value
from octolab.verify.formula import Unreadable, parse_formula
from octolab.verify.tidy import tidy
from octolab.verify.trees import signs_chosen, symbols_of
from octolab.verify.values import Costly, Irrational, Undefined, exact, numeric

x, y, n = sympy.symbols("x y n", real=True)
AT = {"x": Fraction(7, 3), "y": Fraction(11, 5), "n": Fraction(5)}

leaves = st.one_of(
    st.integers(1, 12).map(sympy.Integer),
    st.builds(sympy.Rational, st.integers(1, 9), st.integers(2, 9)),
    st.sampled_from([x, y, sympy.pi, sympy.E, sympy.sqrt(2), sympy.sqrt(5)]),
)


def _grow(inner: st.SearchStrategy[sympy.Expr]) -> st.SearchStrategy[sympy.Expr]:
    return st.one_of(
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a, b: a - b, inner, inner),
        st.builds(lambda a, b: a * b, inner, inner),
        st.builds(lambda a, b: a / b, inner, inner).filter(lambda value: value.is_finite is not False),
        st.builds(lambda a, k: a**k, inner, st.integers(-3, 3)),
        st.builds(lambda a: sympy.sqrt(a**2 + 1), inner),
        st.sampled_from([sympy.sin, sympy.cos, sympy.exp, sympy.atan]).flatmap(lambda f: inner.map(f)),
        inner.map(lambda a: sympy.log(a**2 + 2)),
        inner.map(lambda a: sympy.Abs(a)),
    )


expressions = st.recursive(leaves, _grow, max_leaves=6)


def value_of(expression: sympy.Expr) -> complex:
    return complex(expression.subs({x: sympy.Rational(7, 3), y: sympy.Rational(11, 5)}).evalf(30))


def latex_of(expression: sympy.Expr) -> str:
    assume(not expression.has(sympy.zoo, sympy.nan, sympy.oo))
    text = sympy.latex(expression, ln_notation=True)
    assume(len(text) < 200)
    return text


@settings(max_examples=300, deadline=None)
@given(expression=expressions)
def test_what_sympy_prints_is_read_with_sympys_value(expression: sympy.Expr) -> None:
    text = latex_of(expression)
    expected = value_of(expression)
    assume(math.isfinite(abs(expected)) and abs(expected) < 1e15)
    found, _ = numeric(parse_formula(tidy(text)), 30, AT)
    assert abs(complex(found) - expected) <= 1e-12 * max(1.0, abs(expected)), text


@settings(max_examples=200, deadline=None)
@given(expression=expressions)
def test_equivalent_forms_are_accepted_and_perturbed_ones_refused(expression: sympy.Expr) -> None:
    assume(not expression.is_Rational)
    gold = latex_of(expression)
    assume(abs(value_of(expression)) < 1e12)
    for form in (sympy.expand(expression), sympy.together(expression), sympy.factor(expression)):
        other = sympy.latex(form, ln_notation=True)
        if len(other) < 250 and form.free_symbols == expression.free_symbols:
            assert compare(type_gold(gold), other)[0] == "correct", (gold, other)
    for changed in (expression + sympy.Rational(1, 1000), expression * 2, -expression):
        if abs(value_of(changed) - value_of(expression)) > 1e-9:
            assert compare(type_gold(gold), latex_of(changed))[0] != "correct", (gold, changed)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (r"\frac12", "1/2"),
        (r"7\frac{3}{4}\pi", r"\frac{31}{4}\pi"),
        (r"\sqrt[3]{-8} + x", "x - 2"),
        (r"2^{10} x", "1024x"),
        (r"x^2y", r"y \cdot x \cdot x"),
        (r"-x^2", r"-(x^2)"),
        (r"2^{-1}", r"\frac{1}{2}"),
        (r"e^-x", r"\frac{1}{e^x}"),
        (r"\sin^2 x + \cos^2 x + x", "1 + x"),
        (r"\sin 2x \cos y", r"\cos(y) \cdot \sin(2 \cdot x)"),
        (r"\tan^{-1} x", r"\arctan(x)"),
        (r"\log_{10} x", r"\frac{\ln x}{\ln 10}"),
        (r"|x-y|", r"|y-x|"),
        (r"|x||y|", r"|xy|"),
        (r"\lfloor 7/2 \rfloor x", "3x"),
        (r"\lceil 7/2 \rceil x", "4x"),
        (r"\binom{5}{2} x", "10x"),
        (r"{5 \choose 2} x", "10x"),
        (r"4! x", "24x"),
        (r"50\% x", "x/2"),
        (r"180^\circ x", r"\pi x"),
        (r"\frac x2", "x/2"),
        (r"\sqrt2 x", r"x\sqrt{2}"),
        (r"x_1 + x_{12}", r"x_{12} + x_1"),
        (r"1,000x", "1000x"),
        (r"(x+1)(x-1)", "x^2-1"),
        (r"(n-2) 2^{n}", r"2^n n - 2^{n+1}"),
        ("2sqrt(3)", r"\sqrt{12}"),
    ],
)
def test_readings(text: str, same: str) -> None:
    assert same_value(parse_formula(text), parse_formula(same))


@pytest.mark.parametrize(
    "text",
    [
        *("", "1 2", "1e2000", "2 3x",
           "--5", "1/2/3", r"2\frac{5}{3}", r"\frac{1}", "(1", "1)", "x +", "+", "5!!", "٣", "x y)"),
        *(r"\sum_{k=1}^{3} k", r"\int x dx", r"\lim_{x\to 0} x", r"\frac{d}{dx} x \quad \Rightarrow", "x = 5", "1 < 2"),
        *("__import__('os')", "f'{x}'", "9" * 1001, "(" * 200 + "1" + ")" * 200, r"\sqrt" * 300),
    ],
)  # fmt: skip
def test_what_is_not_one_expression_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        parse_formula(text)


@pytest.mark.parametrize("text", ["5^{5^{5^{5}}}", "9!!".replace("!!", "999!"), r"2^{-10^{9}}", r"\binom{10^6}{5}"])
def test_what_would_cost_too_much_is_not_computed(text: str) -> None:
    tree = parse_formula(text)
    with pytest.raises(Costly):
        exact(tree)
    with pytest.raises(Costly):
        numeric(tree, 30, {})


@pytest.mark.parametrize(
    "text", [r"\frac{1}{0}", "0^{0}", "0^{-1}", r"\frac{x}{0}", r"\ln 0", r"\log_1 5", r"\tan 0 / 0"]
)
def test_what_has_no_value_is_undefined(text: str) -> None:
    with pytest.raises(Undefined):
        numeric(parse_formula(text), 30, AT)


def test_exact_values_are_rational_or_refused() -> None:
    assert exact(parse_formula(r"\frac{3}{4} + 2^{-2} - |{-1}|")) == 0
    for text in (r"\sqrt{2}", "x", r"\pi", "2^{1/2}"):
        with pytest.raises(Irrational):
            exact(parse_formula(text))


def test_tiny_and_nearly_equal_values_differ() -> None:
    def same(a: str, b: str) -> bool:
        return same_value(parse_formula(a), parse_formula(b))

    assert not same(r"\pi \cdot 10^{-60}", r"2 \pi \cdot 10^{-60}")
    assert not same(r"\sqrt{2}", r"\sqrt{2 + 10^{-60}}")
    assert not same(r"e^{\pi \sqrt{163}}", "262537412640768744")
    assert not same(r"\frac{2004! \sqrt{2}}{2005!}", r"\frac{2004! \sqrt{2}}{2006!}")
    assert same(r"\sqrt{2} + \sqrt{3}", r"\sqrt{5 + 2\sqrt{6}}")
    assert same(r"10^{30}(\sqrt{2} + \sqrt{3} - \sqrt{5 + 2\sqrt{6}})", "0")


def test_proportional_sides() -> None:
    a, b = parse_formula("2x + 4y - 3"), parse_formula(r"y + \frac12 x - \frac34")
    assert proportional(a, b) and proportional(b, a) and proportional(a, ("neg", b))
    assert proportional(a, b, positive=True) and not proportional(a, ("neg", b), positive=True)
    assert not proportional(a, parse_formula("2x + 4y - 4"))
    assert not proportional(a, parse_formula("2x + 4n - 3"))
    assert not proportional(parse_formula("5"), parse_formula("5"))


def test_both_signs_of_plus_minus() -> None:
    trees = signs_chosen(parse_formula(r"1 \pm \sqrt{2} \mp x"))
    assert [round(float(numeric(tree, 20, AT)[0]), 6) for tree in trees] == [
        round(1 + 2**0.5 - 7 / 3, 6),
        round(1 - 2**0.5 + 7 / 3, 6),
    ]
    assert symbols_of(trees[0]) == {"x"}


@given(text=st.text(alphabet=r"\{}()[]|^_+-*/=<>!,.;:0123456789xynei ^frac sqrt$", max_size=80))
@settings(max_examples=300)
def test_any_text_is_read_or_refused_but_never_crashes(text: str) -> None:
    for gold in (text, "5", "x+1", "(1,2)"):
        assert compare(type_gold(gold), text)[0] in ("correct", "wrong", "unparsed")
