"""The last box: what counts as one, and that hostile text costs linear time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octolab.verify import last_boxed

# Balanced content without boxes: letters, escaped braces, nested groups, commands.
balanced = st.recursive(
    st.text(alphabet="ab5,. $+-\n", max_size=8) | st.sampled_from([r"\{", r"\}", r"\frac", r"\\", r"\ "]),
    lambda inner: st.lists(inner, max_size=4).map("".join) | inner.map(lambda text: "{" + text + "}"),
    max_leaves=12,
)


@given(before=st.text(alphabet=r"ab{}\ $5", max_size=30), content=balanced, after=st.text("ab5 .$", max_size=9))
def test_the_content_of_a_final_box_comes_back(before: str, content: str, after: str) -> None:
    # A word between, so that a trailing backslash in `before` cannot reach the box.
    assert last_boxed(f"{before} so \\boxed{{{content}}}{after}") == content
    assert last_boxed(f"{before} so \\fbox{{{content}}}{after}") == content


@given(text=st.text(alphabet=r"ab{}\ 5", max_size=40))
def test_an_unclosed_last_box_gives_nothing(text: str) -> None:
    unclosed = text.replace("}", "")
    assert last_boxed(f"\\boxed{{3}} and \\boxed{{{unclosed}") is None


@given(text=st.lists(st.sampled_from(["\\boxed{", "\\fbox {", "{", "}", "\\{", "\\}", "\\", "x", " "])).map("".join))
def test_any_text_gives_a_balanced_piece_of_itself_or_nothing(text: str) -> None:
    found = last_boxed(text)
    if found is not None:
        assert found in text
        depth = 0
        plain = found.replace("\\\\", "").replace("\\{", "").replace("\\}", "")
        for character in plain:
            depth += (character == "{") - (character == "}")
            assert depth >= 0
        assert depth == 0


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"no box", None),
        (r"\boxed{1} \boxed{2}", "2"),
        (r"\boxed{1} then \fbox{2}", "2"),
        (r"\fbox{1} then \boxed{2}", "2"),
        (r"\boxed {7}", "7"),
        (r"\boxed{7} as \boxed asks", "7"),
        (r"\boxed{7} as \boxed asks, not \fbox", "7"),
        (r"\boxed 7", None),
        (r"\boxed{\boxed{42}}", "42"),
        (r"\boxed{ \fbox{$\boxed{42}$} }", "42"),
        (r"\boxed{5 or \boxed{6}}", r"5 or \boxed{6}"),
        (r"\boxed{\boxed{5} or 6}", r"\boxed{5} or 6"),
        (r"\boxed{\text{\boxed{5}}}", r"\text{\boxed{5}}"),
        (r"\boxed{3 and \boxed{5}", "5"),
        (r"\boxed{3} and {\boxed{5}} }", "5"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (r"\boxed{\frac{3}{4} and we are done.", None),
        (r"\boxed{1} \boxed{2", None),
        (r"\boxed{}", ""),
    ],
)
def test_which_box_counts(text: str, content: str | None) -> None:
    assert last_boxed(text) == content


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{" * 1_400_000,
        "\\boxed{" * 500_000 + "}" * 500_000,
        "\\boxed{5}" + "}" * 5_000_000,
        "\\boxed{5}" + "{" * 5_000_000,
        "\\boxed{5}" + "{}" * 2_500_000 + "}",
        "\\boxed " * 1_000_000 + "\\fbox",
        "\\boxed" + " " * 5_000_000,
        "\\" * 10_000_000,
    ],
    ids=["open", "nested", "closes", "opens", "groups", "mentions", "spaces", "backslashes"],
)
def test_ten_megabytes_of_braces_take_linear_time(text: str) -> None:
    start = time.perf_counter()
    last_boxed(text)
    assert time.perf_counter() - start < 8  # quadratic time would be hours
