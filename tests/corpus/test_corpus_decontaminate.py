"""What an evaluation problem shares with training text is found, and nothing else is dropped."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from octolab.corpus.decontaminate import ContaminationIndex, contaminated_problems, decontaminate, words_of
from octolab.corpus.document import Document, Dropped
from octolab.tasks.few_shot import exemplars_for
from octolab.tasks.problems import Problem
from octolab.tasks.registry import load_problems
from octolab.tasks.rows import BadCounts, read_rows

LONG = Problem(
    "long-1",
    "A gardener plants 48 tulips in spring and half as many roses in summer, how many flowers altogether?",
    "72",
    "In summer she plants 48 / 2 = <<48/2=24>>24 roses, which together with the tulips makes 48 + 24 = 72 flowers.",
)
SHORT = Problem("short-1", r"Compute $\frac{7}{8} + 31$.", r"\frac{255}{8}")
FORMULA = Problem("formula-1", r"Simplify $a^2x^3 + bx^2y - c^3y^2 + d^2x - 91$.", "0")
INDEX = ContaminationIndex({"mine": [LONG, SHORT, FORMULA]})


def found(text: str) -> str | None:
    """Id of the problem that a text shares something with."""
    match = INDEX.find(text)
    return match.problem_id if match else None


def test_words_keep_numbers_and_operators_and_drop_looks() -> None:
    assert words_of(r"Let $\left(x+1\right) = 3.5$, \boxed{1,000}  <<1+1=2>>!") == (
        ["let", "x", "+", "1", "=", "3.5", "1,000", "!"]
    )
    assert words_of("48 clips") != words_of("973 clips")
    assert words_of("a+b") == words_of("a  +\n b") and words_of("a+b") != words_of("a-b")


@pytest.mark.parametrize(
    "text",
    [
        f"Before. {LONG.question} After.",
        "noise " + LONG.question.replace(" ", "\n  ").upper(),
        "**" + LONG.question.replace(",", "**,"),
        LONG.solution,
        "roses, which together with the tulips makes 48+24=72 flowers",
    ],
)
def test_question_and_solution_are_found_whatever_the_layout(text: str) -> None:
    assert found(text) == "long-1"


def test_one_other_number_is_another_problem() -> None:
    assert found(LONG.question.replace("48", "973")) == "long-1"  # 13 words after the number are the same
    numbers = Problem("n", "Ann has 3 red pens 4 blue pens 5 green pens and 6 cups", "18")
    index = ContaminationIndex({"s": [numbers]})
    assert index.find(numbers.question) is not None
    assert index.find(numbers.question.replace("4 blue", "7 blue")) is None


def test_thirteen_words_count_and_twelve_do_not() -> None:
    words = words_of(LONG.question)
    assert found(" ".join(words[2:15])) == "long-1"
    assert found(" ".join(words[2:14])) is None


def test_the_order_of_words_counts() -> None:
    words = words_of(LONG.question)[:13]
    assert found(" ".join(words)) == "long-1"
    assert found(" ".join(reversed(words))) is None
    assert found(" ".join(words[1:] + words[:1])) is None


def test_short_questions_match_whole_only() -> None:
    assert found(r"Today we compute 7/8, no: Compute \( \frac{7}{8}+31 \) by hand") == "short-1"
    assert found(r"Compute $\frac{7}{8} + 32$.") is None
    assert found(r"\frac{7}{8} + 31") is None
    assert found("255 8") is None  # answers are too short to prove anything


def test_a_formula_alone_proves_nothing_unless_the_question_is_one() -> None:
    assert found("we " + FORMULA.question) == "formula-1"
    standard = Problem("s", r"Find the roots of the cubic polynomial $ax^3 + bx^2 + cx + d = 0$ in general.", "x")
    index = ContaminationIndex({"s": [standard]})
    assert index.find(r"A cubic is $ax^3 + bx^2 + cx + d = 0$ where a is not 0") is None
    assert index.find(standard.question) is not None


def test_documents_are_dropped_by_set_and_item() -> None:
    step = decontaminate({"gsm": [LONG], "math": [SHORT]})
    texts = ["clean text", LONG.question, "x " + SHORT.question, ""]
    items = list(step(Document(str(number), text) for number, text in enumerate(texts)))
    assert [type(item) for item in items] == [Document, Dropped, Dropped, Document]
    first, second = items[1], items[2]
    assert isinstance(first, Dropped) and first.reason == "contaminated:gsm" and first.id == "1"
    assert first.excerpt.startswith("long-1: a gardener plants 48 tulips")
    assert isinstance(second, Dropped) and second.reason == "contaminated:math"


def test_problems_are_filtered_by_question_and_solution() -> None:
    prompts = [
        Problem("clean", "What is 5 + 6?", "11"),
        Problem("copy", LONG.question + " Let's think step by step.", "72"),
        Problem("solved", "Same, reworded?", "72", LONG.solution),
    ]
    verdicts = {problem.id: match for problem, match in contaminated_problems(prompts, INDEX)}
    assert verdicts["clean"] is None
    assert verdicts["copy"] is not None and verdicts["solved"] is not None


def test_empty_index_and_bad_n() -> None:
    assert ContaminationIndex({}).find("anything") is None
    with pytest.raises(ValueError, match="n=0"):
        ContaminationIndex({}, n=0)


def load(test_data: Path, path: str) -> list[Problem]:
    """Problems of one file, ids by row."""
    return load_problems(read_rows(str(test_data / path), BadCounts().on_bad), path)[0]


@pytest.fixture(scope="module")
def math(test_data: Path) -> list[Problem]:
    """The MATH test set."""
    return load(test_data, "benchmarks/math/test.jsonl")


def test_positive_control_math8k_against_math(test_data: Path, math: list[Problem]) -> None:
    """2,936 rows of MATH8K are in the MATH test after collapsing white space; each one must be found."""
    index = ContaminationIndex({"math": math})
    tested = {" ".join(problem.question.split()) for problem in math}
    verdicts = list(contaminated_problems(load(test_data, "rl_prompts/math8k.json"), index))
    shared = [match for problem, match in verdicts if " ".join(problem.question.split()) in tested]
    assert len(shared) == 2936 and all(shared)
    assert 2936 <= sum(match is not None for _, match in verdicts) <= 3800  # and near copies of others


def test_negative_controls(test_data: Path, math: list[Problem]) -> None:
    tested = load(test_data, "benchmarks/gsm8k/test.jsonl")
    train = load(test_data, "rl_prompts/gsm8k_train.jsonl")
    index = ContaminationIndex({"gsm8k": tested})
    assert sum(match is not None for _, match in contaminated_problems(train, index)) <= 15  # of 7,473
    both = ContaminationIndex({"gsm8k": tested, "math": math})
    for document in read_rows(str(test_data / "cot" / "llamafactory_c4_demo.json.gz"), BadCounts().on_bad):
        assert both.find(document["text"]) is None
    for name in ("gsm", "math"):
        assert not [one.id for one in exemplars_for(name) if both.find(f"{one.question}\n{one.solution}")]


def test_planted_leaks_are_found(test_data: Path) -> None:
    """Any 13 words in a row of a GSM8K question or solution, inside other text."""
    rng = random.Random(0)
    tested = load(test_data, "benchmarks/gsm8k/test.jsonl")
    index = ContaminationIndex({"gsm8k": tested})
    planted = hits = 0
    for problem in tested:
        for text in (problem.question, problem.solution):
            words = text.split()
            if len(words) >= 13:
                start = rng.randrange(len(words) - 12)
                planted += 1
                leak = "Some page says: " + " ".join(words[start : start + 13]) + " and goes on."
                hits += index.find(leak) is not None
    assert planted > 2000 and hits / planted > 0.98
