r"""Formulas of web pages: each way that HTML hides one, what must not be taken for one, and hostile pages."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octolab.corpus import formulas
from octolab.corpus.asciimath import asciimath_to_latex
from octolab.corpus.document import Document
from octolab.corpus.extract import extract
from octolab.corpus.formulas import delimiters, has_formulas
from octolab.corpus.mathml import clean
from octolab.corpus.native import library

FILLER = "<p>This paragraph has enough words that extraction takes it for the main content of the page.</p>"


def text_of(body: str, head: str = "") -> tuple[str, dict[str, int]]:
    page = f"<html><head>{head}</head><body><main>{FILLER}{body}</main></body></html>"
    (found,) = extract()([Document("page", "", {"html": page})])
    assert isinstance(found, Document)
    return " ".join(found.text.removeprefix(FILLER[3:-4]).split()), dict(found.metadata.get("formulas", {}))


def math(inside: str) -> str:
    return f"<p>So <math>{inside}</math> holds.</p>"


KATEX = (
    '<span class="katex"><span class="katex-mathml"><math><semantics><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow>'
    '<annotation encoding="application/x-tex">x^2</annotation></semantics></math></span>'
    '<span class="katex-html" aria-hidden="true"><span class="base">x2</span></span></span>'
)
MATHJAX2 = (
    '<span class="MathJax_Preview"></span><span class="MathJax"><nobr>x2</nobr></span>'
    '<script type="math/tex">x^2</script>'
)
MATHJAX3 = (
    '<mjx-container class="MathJax" jax="CHTML" display="true"><mjx-math>x2</mjx-math><mjx-assistive-mml>'
    '<math display="block"><msup><mi>x</mi><mn>2</mn></msup></math></mjx-assistive-mml></mjx-container>'
)
WIKIPEDIA = (
    '<span class="mwe-math-element"><span class="mwe-math-mathml-inline"><math alttext="{\\displaystyle x^{2}}">'
    '<mi>x</mi></math></span><img src="https://wikimedia.org/math/render/svg/1" alt="{\\displaystyle x^{2}}"></span>'
)


@pytest.mark.parametrize(
    ("inside", "latex"),
    [
        ("<mfrac><mi>a</mi><mn>2</mn></mfrac>", r"\frac{a}{2}"),
        ("<msup><mi>x</mi><mn>2</mn></msup><mo>+</mo><msub><mi>a</mi><mi>i</mi></msub>", r"x^{2}+a_{i}"),
        ("<msubsup><mi>a</mi><mi>k</mi><mn>2</mn></msubsup>", r"a_{k}^{2}"),
        ("<msqrt><mi>x</mi><mo>+</mo><mn>1</mn></msqrt>", r"\sqrt{x+1}"),
        ("<mroot><mi>x</mi><mn>3</mn></mroot>", r"\sqrt[3]{x}"),
        ("<munderover><mo>∑</mo><mrow><mi>k</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover><mi>k</mi>",
         r"\sum_{k=1}^{n}k"),
        ("<munder><mo>lim</mo><mrow><mi>x</mi><mo>→</mo><mn>0</mn></mrow></munder>", r"\lim_{x\to0}"),
        ("<mover><mi>x</mi><mo>¯</mo></mover>", r"\overline{x}"),
        ("<mover><mi>v</mi><mo>→</mo></mover>", r"\vec{v}"),
        ("<mover><mo>=</mo><mtext>def</mtext></mover>", r"\overset{\text{def}}{=}"),
        ("<mi>sin</mi><mo>&#x2061;</mo><mi>x</mi>", r"\sin x"),
        ("<mi>α</mi><mo>≤</mo><mi>π</mi>", r"\alpha\le\pi"),
        ("<mi mathvariant='double-struck'>R</mi>", r"\mathbb{R}"),
        ("<mi mathvariant='bold'>v</mi>", r"\mathbf{v}"),
        ("<mfenced><mi>a</mi><mi>b</mi></mfenced>", r"\left(a, b\right)"),
        ("<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>2</mn></mtd></mtr><mtr><mtd><mn>3</mn></mtd><mtd><mn>4</mn></mtd>"
         "</mtr></mtable>", r"\begin{array}{cc} 1 & 2 \\ 3 & 4 \end{array}"),
        ("<mfrac linethickness='0'><mi>n</mi><mi>k</mi></mfrac>", r"\genfrac{}{}{0pt}{}{n}{k}"),
        ("<mi>f</mi><mo>′</mo><mo>(</mo><mi>x</mi><mo>)</mo>", "f'(x)"),
        ("<msup><mi>f</mi><mo>′</mo></msup>", "f'"),
        ("<mtext>if </mtext><mi>x</mi>", r"\text{if }x"),
        ("<mrow><mi>unknown</mi><msomething><mi>y</mi></msomething></mrow>", r"\mathrm{unknown}y"),
        ("<semantics><mi>q</mi><annotation-xml encoding='MathML-Content'><ci>q</ci></annotation-xml></semantics>", "q"),
        ("<semantics><mi>q</mi><annotation encoding='application/x-tex'>q_0</annotation></semantics>", "q_0"),
    ],
)  # fmt: skip
def test_mathml_by_structure_or_annotation(inside: str, latex: str) -> None:
    assert text_of(math(inside)) == (f"So ${latex}$ holds.", {"mathml": 1})


@pytest.mark.parametrize(
    ("html", "text", "kind"),
    [
        (f"<p>So {KATEX} holds.</p>", "So $x^2$ holds.", "katex"),
        (f'<p>So</p><span class="katex-display">{KATEX}</span><p>holds.</p>', "So $$x^2$$ holds.", "katex"),
        (f"<p>So {MATHJAX2} holds.</p>", "So $x^2$ holds.", "mathjax_script"),
        ('<p>So</p><script type="math/tex; mode=display">x^2</script><p>holds.</p>', "So $$x^2$$ holds.",
         "mathjax_script"),
        ('<p>So <script type="math/asciimath">x^2/y</script> holds.</p>', r"So $\frac{x^{2}}{y}$ holds.", "asciimath"),
        ('<p>So <script type="math/mml"><math><mi>x</mi></math></script> holds.</p>', "So $x$ holds.", "mathml"),
        (f"<p>So</p>{MATHJAX3}<p>holds.</p>", "So $$x^{2}$$ holds.", "mathml"),
        (f"<p>So {WIKIPEDIA} holds.</p>", "So $x^{2}$ holds.", "mathml"),
        ('<p>So <img class="latex" src="a.png" alt="x^2"> holds.</p>', "So $x^2$ holds.", "image"),
        ('<p>So <img src="https://latex.codecogs.com/gif.latex?\\inline&space;x^2" alt=""> holds.</p>', None, "image"),
        ('<p>So <img src="https://latex.codecogs.com/svg.image?%5Cfrac%7Ba%7D%7Bb%7D"> holds.</p>',
         r"So $\frac{a}{b}$ holds.", "image"),
        ('<p>So <img src="https://s0.wp.com/latex.php?latex=x%5E2%2B1&amp;bg=ffffff" alt="x^2+1"> holds.</p>',
         "So $x^2+1$ holds.", "image"),
        ('<p>So <img src="http://a.org/cgi-bin/mathtex.cgi?\\alpha"> holds.</p>', r"So $\alpha$ holds.", "image"),
        ("<p>So x<sup>2</sup> + a<sub>1</sub> holds.</p>", "So x^{2} + a_{1} holds.", "script"),
    ],
)  # fmt: skip
def test_each_way_to_hide_a_formula(html: str, text: str | None, kind: str) -> None:
    found, counts = text_of(html)
    assert text is None or found == text
    assert counts.get(kind, 0) >= 1 and set(counts) == {kind}


MATHJAX = '<script src="https://cdn.jsdelivr.net/npm/mathjax@3/es5/tex-mml-chtml.js"></script>'


@pytest.mark.parametrize(
    ("head", "html", "text"),
    [
        (MATHJAX, r"<p>So \(x^2\) holds.</p>", "So $x^2$ holds."),
        (MATHJAX, r"<p>So</p><p>\[ x^2 \]</p><p>holds.</p>", "So $$x^2$$ holds."),
        (MATHJAX, r"<p>So $x^2$ and $$y$$ hold.</p>", "So $x^2$ and $$y$$ hold."),
        (MATHJAX, r"<p>So \begin{align}a&amp;=b\\c&amp;=d\end{align}</p>", r"So \begin{align}a&=b\\c&=d\end{align}"),
        (MATHJAX, r"<p>Write <code>\(x\)</code> for \(x\).</p>", r"Write \(x\) for $x$."),
        (MATHJAX + "<script>MathJax={tex:{inlineMath:[['@@','@@'],['\\\\(','\\\\)']]}};</script>",
         r"<p>So @@x^2@@ holds.</p>", "So $x^2$ holds."),
        ('<script>renderMathInElement(b,{delimiters:[{left:"[[",right:"]]",display:true}]});//katex</script>',
         "<p>So</p><p>[[x^2]]</p>", "So $$x^2$$"),
        ('<script src="ASCIIMathML.js"></script>', "<p>So `x^2/2` and `sum_(i=1)^n i` hold.</p>",
         r"So $\frac{x^{2}}{2}$ and $\sum_{i=1}^{n}i$ hold."),
    ],
)  # fmt: skip
def test_the_pages_own_delimiters(head: str, html: str, text: str) -> None:
    assert text_of(html, head)[0] == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>It costs $5 and $10.</p>", "It costs $5 and $10."),
        ("<p>Seen before<sup>[1]</sup> on the 4<sup>th</sup> of May<sup>*</sup>.</p>",
         "Seen before[1] on the 4th of May*."),
        ('<p>See note<sup><a href="#n1">1</a></sup> here.</p>', "See note1 here."),
        ('<p>A <img src="cat.jpg" alt="cat = nice"> picture.</p>', "A picture."),
        ("<p>Use `ls` in a shell.</p>", "Use `ls` in a shell."),
        (r"<p>A path C:\(new\) here.</p>", r"A path C:\(new\) here."),
    ],
)  # fmt: skip
def test_what_is_no_formula_stays(html: str, text: str) -> None:
    assert text_of(html)[0] == text


@pytest.mark.parametrize(
    ("ascii_math", "latex"),
    [
        ("x=(-b+-sqrt(b^2-4ac))/(2a)", r"x=\frac{-b\pm\sqrt{b^{2}-4ac}}{2a}"),
        ("lim_(h->0)(f(x+h)-f(x))/h", r"\lim_{h\to 0}\frac{f(x+h)-f(x)}{h}"),
        ("[[a,b],[c,d]]", r"\begin{bmatrix} a & b \\ c & d \end{bmatrix}"),
        ("root(3)(x)", r"\sqrt[3]{x}"),
        ("abs(x)/2", r"\frac{|x|}{2}"),
        ("int_0^1 f(x)dx", r"\int_{0}^{1}f(x)dx"),
        ('x "is even"', r"x\text{is even}"),
        ("AA x in RR", r"\forall x\in\mathbb{R}"),
        ("{(2x,if x>0):}", r"\left\{(2x,\text{ if }x>0)\right."),
        ("", ""),
    ],
)
def test_asciimath(ascii_math: str, latex: str) -> None:
    assert asciimath_to_latex(ascii_math) == latex


@given(text=st.text(alphabet="xy01+-*/^_()[]{}|\"'`~<>=!&%#@\\ sqrtfacumlin", max_size=80))
def test_asciimath_never_fails(text: str) -> None:
    assert isinstance(asciimath_to_latex(text), str)


def test_delimiters_of_a_page() -> None:
    found = delimiters(
        r'tex2jax: {inlineMath: [["$","$"],["\\(","\\)"]], displayMath: [["$$","$$"],["[tex]","[/tex]"]]}'
    )
    assert found == [("[tex]", "[/tex]", True), ("\\(", "\\)", False), ("\\[", "\\]", True)]


@pytest.mark.parametrize(
    ("latex", "cleaned"),
    [
        (r"{\displaystyle x^{2}}", "x^{2}"),
        (r"{\displaystyle a}{b}", r"{\displaystyle a}{b}"),
        (r"\displaystyle x", "x"),
        ("$x$", "x"),
        (" a\n  b ", "a b"),
    ],
)
def test_clean(latex: str, cleaned: str) -> None:
    assert clean(latex) == cleaned


@given(
    text=st.text(alphabet="<mathsupxkeLATEX/jK>ß ", max_size=60),
    word=st.sampled_from(["", "<math", "KaTeX", "MATHJAX", "latex", "<SUB", "tex2jax"]),
    after=st.text(max_size=5),
)
def test_one_pass_finds_what_plain_searches_find(text: str, word: str, after: str) -> None:
    page = text + word + after
    words = formulas._HIDDEN + formulas._LIBRARY
    lower = page.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")  # ASCII only
    found = any(one in lower for one in words)
    assert formulas._may_have(page) == found or library("scan") is None


def test_pages_without_mathematics_are_not_parsed_twice() -> None:
    assert not has_formulas("<p>No formula, $5, `code` and (brackets).</p>")
    assert has_formulas("<p>x<sup>2</sup></p>") and has_formulas("<math>x</math>")


@pytest.mark.parametrize(
    "html",
    [
        "<math>" * 5000 + "x" + "</math>" * 5000,
        "<math>" + "<mrow>" * 10_000 + "<mi>x</mi>",
        "<math>" + "<msup><mi>x</mi>" * 3000,
        '<script type="math/asciimath">' + "(" * 100_000 + "</script>",
        r"\(" * 200_000 + "mathjax",
        "<sup>" * 10_000 + "2",
        "`" * 100_000 + "asciimath",
        "<p>x" + "\ue0000\ue001" * 1000 + "<sup>2</sup>",
        "katex delimiters:[" + "{left:'(',right:')'}," * 2000,
    ],
    ids=["maths", "rows", "scripts", "brackets", "delimiters", "sups", "ticks", "marks", "config"],
)
def test_hostile_pages_cost_little(html: str) -> None:
    start = time.perf_counter()
    list(
        extract()([Document("page", "", {"html": f"<html><body>{FILLER}<script>{html}</script>{html}</body></html>"})])
    )
    assert time.perf_counter() - start < 5
