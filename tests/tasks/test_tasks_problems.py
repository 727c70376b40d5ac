"""Every schema gives the same kind of Problem; what is missing is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octolab.errors import UserError
from octolab.tasks.problems import (
    Problem,
    boxed_solution,
    clean_gsm8k_solution,
    problem_from_row,
    solution_of,
)
from octolab.tasks.registry import DATA_SETS, data_set, load_problems
from octolab.tasks.rows import BadCounts, read_rows

HUB_GSM8K = {"question": " How many? ", "answer": "2 + 3 = <<2+3=5>>5\nIt is 1000 * 5 = 5,000.\n#### 5,000"}


def test_gsm8k_of_the_hub() -> None:
    problem = problem_from_row(HUB_GSM8K, "g-0")
    assert problem == Problem("g-0", "How many?", "5000", "2 + 3 = <<2+3=5>>5\nIt is 1000 * 5 = 5,000.")


def test_gsm8k_of_the_local_benchmark_gives_the_same_answer() -> None:
    row = {"question": "How many?", "answer": "18", "cot": "It is 18.", "id": "gsm8k-test-0"}
    assert problem_from_row(row, "x") == Problem("gsm8k-test-0", "How many?", "18", "It is 18.")


def test_math_takes_the_answer_from_the_box_and_keeps_family_and_level() -> None:
    row = {"problem": "P", "level": "Level 3", "type": "Algebra", "solution": r"so $\boxed{\frac{1}{2}}$.", "idx": 0}
    problem = problem_from_row(row, "m-0")
    assert (problem.answer, problem.metadata) == (r"\frac{1}{2}", {"family": "Algebra", "level": "3"})


def test_math8k_of_the_hub_prefers_question_and_gt_answer_over_the_baked_prompt() -> None:
    row = {"prompt": "<|im_start|>baked", "question": "Q", "gt_answer": "7", "answer": "long text 9", "level": 5}
    problem = problem_from_row(row, "x")
    assert (problem.question, problem.answer, problem.metadata) == ("Q", "7", {"level": "5"})


def test_verl_schema() -> None:
    row = {
        "data_source": "d",
        "prompt": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q?"}],
        "reward_model": {"ground_truth": "12.8", "style": "rule"},
        "extra_info": {"index": 0},
    }
    assert problem_from_row(row, "v-0") == Problem("v-0", "Q?", "12.8")
    row["extra_info"] = {"question": "raw Q", "answer": "because\n#### 12.8"}
    assert problem_from_row(row, "v-0") == Problem("v-0", "raw Q", "12.8", "because")


@pytest.mark.parametrize(
    ("value", "text"), [(27.0, "27"), (0, "0"), (0.5, "0.5"), (["2"], "2"), (["1", "3"], "1, 3"), ("1,5", "1,5")]
)
def test_answers_that_are_not_text(value: object, text: str) -> None:
    assert problem_from_row({"problem": "P", "answer": value}, "x").answer == text


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"answer": "1"}, "missing field 'question'"),
        ({"question": "  ", "answer": "1"}, "missing field 'question'"),
        ({"question": "Q"}, "missing field 'answer'"),
        ({"question": "Q", "answer": None}, "missing field 'answer'"),
        ({"question": "Q", "answer": float("nan")}, "missing field 'answer'"),
        ({"question": "Q", "answer": "steps\n#### "}, "missing field 'answer'"),
        ({"prompt": [], "answer": "1"}, "missing field 'question'"),
        ({"prompt": ["x"], "answer": "1"}, "missing field 'question'"),
        ({"question": "half \ud835", "answer": "1"}, "'question' holds text that is not valid Unicode"),
    ],
)
def test_unusable_rows_name_the_field(row: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        problem_from_row(row, "x")


def test_clean_gsm8k_solution() -> None:
    cleaned = clean_gsm8k_solution("He has 48/2 = <<48/2=24>>24.\nAll: $<<24*3=72>>72.\n#### 72", "72")
    assert cleaned == "He has 48/2 = 24.\nAll: $72.\nThe answer is \\boxed{72}."
    assert clean_gsm8k_solution("Just 5.", "5") == "Just 5.\nThe answer is \\boxed{5}."


@given(st.text(max_size=60).filter(lambda text: "box" not in text), st.integers(-999, 999))
def test_boxed_solution_closes_with_the_answer_and_only_once(text: str, answer: int) -> None:
    once = boxed_solution(text, str(answer))
    assert once.endswith(f"\\boxed{{{answer}}}.") and boxed_solution(once, "other") == once


def test_bad_rows_are_counted_and_ids_are_unique() -> None:
    rows = [{"id": "a", "question": "Q", "answer": "1"}, {"answer": "2"}, {"id": "a", "question": "R", "answer": "3"}]
    rows += [{"question": "S", "answer": "4"}]
    problems, bad = load_problems(rows, "mine")
    assert [problem.id for problem in problems] == ["a", "a~2", "mine-3"]
    assert bad.total == 1 and list(bad.examples.values()) == [["mine-1"]]


def test_no_usable_problem_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match=r"'mine' has no usable problem in 1 rows.*missing field 'answer'"):
        load_problems([{"question": "Q"}], "mine")


def test_unknown_data_set_names_the_nearest() -> None:
    assert data_set("gsm8k").hub_id == "openai/gsm8k" and data_set("gsm8k").config == "main"
    assert set(DATA_SETS) == {"gsm8k", "gsm8k_train", "math500", "math8k"}
    with pytest.raises(UserError, match=r"'gsm8'.*`gsm8k`"):
        data_set("gsm8")


@pytest.mark.parametrize(
    ("path", "count", "bad_rows", "solved"),
    [
        ("benchmarks/gsm8k/test.jsonl", 1319, 0, True),
        ("benchmarks/math/test.jsonl", 5000, 0, True),
        ("benchmarks/math500/test.jsonl", 500, 0, True),
        ("benchmarks/olympiad_bench/test.jsonl", 675, 0, True),
        ("benchmarks/amc23/test.jsonl", 40, 0, False),
        ("rl_prompts/gsm8k_train.jsonl", 7473, 0, True),
        ("rl_prompts/math8k.json", 8521, 2, False),  # two rows have an empty answer
        ("rl_prompts/one_shot_dsr_sub_1209.parquet", 1208, 1, False),
        ("rl_prompts/limr_1389.jsonl", 1389, 0, False),
    ],
)
def test_real_files(test_data: Path, path: str, count: int, bad_rows: int, solved: bool) -> None:
    torn = BadCounts()
    problems, bad = load_problems(read_rows(str(test_data / path), torn.on_bad), "x")
    assert (len(problems), bad.total, torn.total) == (count, bad_rows, 0)
    assert len({problem.id for problem in problems}) == count
    assert all(bool(problem.solution) == solved for problem in problems)
    assert not any("####" in problem.answer + problem.solution for problem in problems)


def test_solution_of_needs_no_answer() -> None:
    assert solution_of({"question": "Q", "generated_solution": " S "}) == "S" and solution_of({}) == ""
