"""Prompts are exact to the byte; few-shot prompts are built from them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from octolab.errors import UserError
from octolab.tasks.few_shot import exemplars_for, few_shot_prompt, few_shot_stops
from octolab.tasks.problems import Problem
from octolab.tasks.templates import Template, template
from octolab.verify import verify

BRACES = r"What is {x} + \frac{1}{2}?"


def test_simple_is_the_papers_template() -> None:
    simple = template("simple")
    assert simple.render(BRACES) == f"Question:{BRACES}\nAnswer:"
    assert simple.example("Q", " text\n") == "Question:Q\nAnswer: text"
    assert simple.stop_strings == ()


def test_orz_frame() -> None:
    orz = template("orz")
    prompt = orz.render(BRACES)
    assert prompt.endswith(f"\n{BRACES}\nAssistant:") and r"\boxed{}" in prompt and "User:" in prompt
    assert r"\boxed{{}}" not in prompt
    assert orz.stop_strings == ("User:", "Assistant:")


def test_user_template_by_module_and_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_templates.py").write_text(
        "from octolab.tasks.templates import Template\n"
        "def plain(question):\n    return question + ' ='\n"
        "whole = Template('whole', plain, ('stop',))\nnumber = 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert template("my_templates:plain").render("2 + 2") == "2 + 2 ="
    assert template("my_templates:whole").stop_strings == ("stop",)
    with pytest.raises(UserError, match="neither"):
        template("my_templates:number")
    with pytest.raises(UserError, match=r"no 'plane'.*`plain`"):
        template("my_templates:plane")
    with pytest.raises(UserError, match="no module 'my_template'"):
        template("my_template:plain")
    sys.modules.pop("my_templates")


def test_a_users_module_with_a_missing_import_says_so_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "breaks.py").write_text("import not_there_at_all\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        template("breaks:x")


def test_unknown_template_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'simpel'.*`simple`"):
        template("simpel")


def test_few_shot_prompt_is_examples_then_the_question() -> None:
    exemplars = [Problem("a", "1 + 1?", "2", "It is 2."), Problem("b", "2 + 2?", "4", r"So \boxed{4}")]
    simple = template("simple")
    assert few_shot_prompt(exemplars, "3 + 3?", 2, simple) == (
        "Question:1 + 1?\nAnswer: It is 2.\nThe answer is \\boxed{2}.\n\n"
        "Question:2 + 2?\nAnswer: So \\boxed{4}\n\n"
        "Question:3 + 3?\nAnswer:"
    )
    assert few_shot_prompt(exemplars, "3 + 3?", 0, simple) == simple.render("3 + 3?")
    for shots in (-1, 3):
        with pytest.raises(UserError, match=f"shots={shots} "):
            few_shot_prompt(exemplars, "3 + 3?", shots, simple)


def test_stop_string_cuts_the_invented_next_question_and_nothing_else() -> None:
    stops = few_shot_stops(template("simple"))
    assert stops == ("\n\nQuestion:",)
    prompt = few_shot_prompt(exemplars_for("gsm8k"), "Q", 8, template("simple"))
    assert prompt.count(stops[0]) == 8
    assert few_shot_stops(template("orz"))[1:] == ("User:", "Assistant:")
    assert few_shot_stops(Template("bare", lambda question: question)) == ()


@pytest.mark.parametrize(("name", "count"), [("gsm8k", 8), ("math500", 4), ("gsm", 8), ("math", 4)])
def test_shipped_exemplars_end_in_the_right_box(name: str, count: int) -> None:
    exemplars = exemplars_for(name)
    assert len(exemplars) == count and len({exemplar.question for exemplar in exemplars}) == count
    for exemplar in exemplars:
        assert verify(exemplar.answer, exemplar.solution).correct
        assert exemplar.solution.splitlines()[-1].startswith("The answer is ")


def test_shipped_exemplars_calculate_correctly() -> None:
    """Every plain `a op b = c` in the word problems holds."""
    import re

    equation = re.compile(r"(?<![\d*/+-] )\b(\d+) ([-+*/]) (\d+) = (\d+)")
    found = 0
    for exemplar in exemplars_for("gsm"):
        for a, sign, b, c in equation.findall(exemplar.solution):
            left = {"+": int(a) + int(b), "-": int(a) - int(b), "*": int(a) * int(b), "/": int(a) / int(b)}[sign]
            assert left == int(c), exemplar.solution
            found += 1
    assert found >= 15


def test_unknown_exemplars_name_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'gsm8kk'.*`gsm8k`"):
        exemplars_for("gsm8kk")
