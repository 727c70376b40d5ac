"""Comparison: equal numbers in all their spellings, no tolerance, no blow-up, text by its normal form."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from octolab.verify import Verdict, compare, type_gold, verify


def verdict_of(gold: str, answer: str) -> str:
    return compare(type_gold(gold), answer)[0]


def equal(gold: str, answer: str) -> bool:
    return verdict_of(gold, answer) == "correct"


def terminating(value: Fraction) -> str | None:
    """The finite decimal of a rational, or None."""
    places = 0
    while (value * 10**places).denominator > 1:
        places += 1
        if places > 12:
            return None
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    text = f"{digits[: len(digits) - places]}.{digits[len(digits) - places :]}" if places else digits
    return f"-{text}" if value < 0 else text


@st.composite
def spelling(draw: st.DrawFn, value: Fraction) -> str:
    """One way of writing `value`."""
    top, bottom = value.numerator, value.denominator
    scale = draw(st.integers(1, 9))
    sign = "-" if value < 0 else ""
    size = abs(top)
    forms = [
        f"{top * scale}/{bottom * scale}",
        rf"\frac{{{top * scale}}}{{{bottom * scale}}}",
        rf"{sign}\dfrac{{{size}}}{{{bottom}}}",
        rf"\frac{{{-top}}}{{{-bottom}}}",
    ]
    if size < 10 and bottom < 10:
        forms.append(rf"{sign}\frac{size}{bottom}")
    if size > bottom > 1:
        forms += [rf"{sign}{size // bottom}\frac{{{size % bottom}}}{{{bottom}}}"]
        forms += [f"{sign}{size // bottom} {size % bottom}/{bottom}"]
    decimal = terminating(value)
    if decimal is not None:
        forms += [decimal, decimal + ("0" if "." in decimal else ".00"), decimal.replace("-", "\u2212")]
        if decimal.lstrip("-").startswith("0."):
            forms.append(sign + decimal.lstrip("-")[1:])
    if bottom == 1:
        forms += [f"{sign}{size:,}"] + [
            sign + f"{size:,}".replace(",", separator) for separator in (r"\,", r"\!", r",\!", "{,}")
        ]
        forms += [rf"{sign}\${size}", f"{sign}${size:,}", rf"\${sign}{size}"]
    if value >= 0:
        forms.append("+" + forms[0])
    text = draw(st.sampled_from(forms))
    wrap = draw(
        st.sampled_from(["{}", " {} ", "${}$", r"\({}\)", "{}.", r"\text{{{}}}", "{{{}}}", r"\displaystyle {}"])
    )
    return wrap.format(text)


rationals = st.builds(Fraction, st.integers(-3_000_000, 3_000_000), st.integers(1, 400)) | st.builds(
    Fraction, st.integers(-30, 30), st.integers(1, 9)
)


@given(value=rationals, data=st.data())
def test_two_spellings_of_a_number_are_equal(value: Fraction, data: st.DataObject) -> None:
    gold, answer = data.draw(spelling(value)), data.draw(spelling(value))
    assert equal(gold, answer), (gold, answer)


@given(value=rationals, change=rationals, data=st.data())
def test_two_different_numbers_never_are(value: Fraction, change: Fraction, data: st.DataObject) -> None:
    assume(change != 0)
    gold, answer = data.draw(spelling(value)), data.draw(spelling(value + change))
    assert verdict_of(gold, answer) == "wrong", (gold, answer)


@given(value=rationals, places=st.integers(10, 40))
def test_long_decimals_equal_the_fraction_they_round_and_no_other(value: Fraction, places: int) -> None:
    assume(terminating(value) is None and abs(value) > 1)
    gold = f"{value.numerator}/{value.denominator}"
    scaled = round(value * 10**places)
    rounded = terminating_digits(scaled, places)
    assert equal(gold, rounded)
    assert equal(rounded, gold)
    assert not equal(gold, terminating_digits(scaled + 1, places))
    assert not equal(gold, terminating_digits(scaled - 1, places))


def terminating_digits(scaled: int, places: int) -> str:
    digits = str(abs(scaled)).rjust(places + 1, "0")
    return ("-" if scaled < 0 else "") + f"{digits[:-places]}.{digits[-places:]}"


@pytest.mark.parametrize(
    ("gold", "kind"),
    [
        ("18", "integer"),
        ("1,234,567", "integer"),
        ("18.00", "decimal"),
        (r"6.02 \times 10^{23}", "decimal"),
        (r"\frac97", "fraction"),
        ("7 3/4", "fraction"),
        ("2,3", "list"),
        ("x=5", "equation"),
        (r"\frac{1}{0}", "expression"),
        (r"2\frac{5}{3}", "text"),
        ("1,00", "list"),
        ("0,123", "list"),
        ("1e999999999", "text"),
        ("1e2000", "text"),
        ("٣", "text"),
        ("nan", "text"),
        ("inf", "text"),
        ("1_000", "text"),
        ("0x10", "expression"),
        (" ", "empty"),
        ("$$", "empty"),
        (r"\text{ }", "empty"),
    ],
)
def test_golds_are_typed(gold: str, kind: str) -> None:
    assert type_gold(gold).kind == kind


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"6.02 \times 10^{23}", "6.02e23"),
        ("0.00045", r"4.5 \cdot 10^{-4}"),
        (r"\frac{1}{12}", "0.0833333333333333"),
        (r"33\frac{1}{3}\%", r"33 \frac13 \%"),
        ("0.05", r"5\%"),
        ("1.5", "150%"),
        ("50", r"50\%"),
        (r"50\%", "50"),
        (r"50\%", "0.5"),
        ("(B)", r"\textbf{B}"),
        ("e", "(E)"),
        (r"\text{Evelyn}", "evelyn"),
        ("New York", "new  york"),
        (r"\frac{x}{2}", r"\dfrac x2"),
        (r"x^{2}+1", "x^2 + 1"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac{\pi}{2})"),
        ("2516_8", "2516_{8}"),
        ("100,200", "100, 200"),
        (r"10^{10^{10}}", r"10^{10^{10}}"),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
    ],
)
def test_accepted(gold: str, answer: str) -> None:
    assert equal(gold, answer)


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        ("5", "0.05", "wrong"),
        ("5", "500", "wrong"),
        ("0.001", "0.0015", "wrong"),
        ("1/3", "0.33", "wrong"),
        ("1/3", "0.333333333", "wrong"),  # nine digits
        ("2/3", "0.66666666666", "wrong"),  # cut, not rounded
        ("0.5", "0.5%", "wrong"),
        ("1", "1%", "wrong"),
        ("50", "0.5%", "wrong"),
        ("2,3", "23", "wrong"),
        ("23", "2,3", "unparsed"),
        ("12", "1 2", "unparsed"),
        ("12", r"1\,2", "unparsed"),
        ("12", r"1\text{}2", "unparsed"),
        ("5", "5 or 6", "unparsed"),
        ("5", "5, 6", "unparsed"),
        ("5", r"5 \text{ or } 6", "unparsed"),
        ("5", "--5", "unparsed"),
        ("5", "-$-5", "unparsed"),
        ("5", "x", "unparsed"),
        ("5", "", "unparsed"),
        ("5", r"\text{}", "unparsed"),
        ("0", "__import__('os').getpid()*0", "unparsed"),
        ("0", "nan", "unparsed"),
        ("0", "0/0", "unparsed"),
        ("5050", r"\sum_{k=1}^{100}k", "unparsed"),
        ("1", "1e999999999", "unparsed"),
        ("9", "9" * 301, "unparsed"),
        ("[2,5)", "(2,5)", "wrong"),
        ("(3,4)", "(4,3)", "wrong"),
        (r"\Delta", r"\delta", "wrong"),
        ("x+Y", "x+y", "wrong"),
        (r"\frac{1}{2004!}", r"\frac{1}{2006!}", "wrong"),
        ("12:00", "1:00", "wrong"),
        ("A", r"A \text{ or } B", "wrong"),
    ],
)
def test_refused(gold: str, answer: str, verdict: str) -> None:
    assert verdict_of(gold, answer) == verdict


@pytest.mark.parametrize("answer", ["", " ", "$$", r"\text{}", "{}", ".", "$", r"\,", "nan", "None"])
def test_no_answer_matches_an_empty_gold(answer: str) -> None:
    for gold in ("", "  ", "$$"):
        graded = verify(gold, f"\\boxed{{{answer}}}")
        assert (graded.verdict, graded.gold_type) == ("error", "empty")


@pytest.mark.parametrize(
    "answer",
    [
        *("1e1000", "1.5e-999", "9" * 300, "1/" + "9" * 298, "1,111" * 60, "7 " * 150, " " * 299, "-" * 300),
        *("{" * 150 + "}" * 150, r"\text{" * 50, r"\text{" * 40 + "}" * 40, r"\frac" * 60, "(" * 300, "$" * 300),
    ],
)
def test_cost_of_an_answer_is_bounded(answer: str) -> None:
    start = time.perf_counter()
    for gold in ("5", r"\frac{1}{3}", "x+1"):
        assert verdict_of(gold, answer) != "correct"
    assert time.perf_counter() - start < 0.2


@given(gold=st.text(max_size=60), answer=st.text(max_size=60))
def test_any_two_texts_can_be_compared(gold: str, answer: str) -> None:
    assert isinstance(verify(gold, f"\\boxed{{{answer}}}"), Verdict)
