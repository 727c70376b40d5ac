"""The small world is right, disjoint between splits, and a pure function of its seed."""

from __future__ import annotations

import re
from itertools import islice

import pytest

from octolab.corpus.convert import converter
from octolab.corpus.decontaminate import ContaminationIndex, words_of
from octolab.corpus.read import read_documents
from octolab.corpus.steps import build_step, run_steps
from octolab.errors import UserError
from octolab.lab.arithmetic import SPLITS, split_of, stories
from octolab.lab.world import LEAKS, documents, exemplars, pages, problems
from octolab.tasks.problems import problem_from_row
from octolab.tasks.registry import load_problems
from octolab.tasks.rows import BadCounts
from octolab.verify import last_boxed

EQUATION = re.compile(r"(\d+) ([-+]) (\d+) = (-?\d+)")
MOVE = re.compile(r"doubles|(finds|gets|buys|loses|sells|gives) (\d+)")


def solve(question: str) -> int:
    """The answer read from the question's words, independently of the generator."""
    held = int(re.findall(r"has (\d+)", question)[0])
    for move in MOVE.finditer(question):
        if move[0] == "doubles":
            held *= 2
        else:
            held += int(move[2]) if move[1] in ("finds", "gets", "buys") else -int(move[2])
    return held


def canonical(question: str) -> str:
    """Numbers and moves of a question, without name and thing, read independently of the generator."""
    told = [re.findall(r"has (\d+)", question)[0]]
    for move in MOVE.finditer(question):
        sign = "*" if move[0] == "doubles" else "+" if move[1] in ("finds", "gets", "buys") else "-"
        told.append(sign + (move[2] or "2"))
    return "".join(told)


@pytest.mark.parametrize("split", SPLITS)
def test_answers_are_right(split: str) -> None:
    rows = problems(3, 300, split)
    assert all(solve(row["question"]) == int(row["answer"]) for row in rows)
    assert {row["level"] for row in rows} == {"1", "2", "3"} and {row["family"] for row in rows} == {"add", "double"}
    assert len({row["question"] for row in rows}) == len({row["id"] for row in rows}) == 300
    assert load_problems(rows, "lab")[1].total == 0
    assert problem_from_row(rows[0], "x").metadata == {k: rows[0][k] for k in ("family", "level")}


def test_splits_share_no_problem_names_aside() -> None:
    forms = {split: {canonical(row["question"]) for row in problems(0, 1200, split)} for split in SPLITS}
    assert not forms["train"] & forms["eval"] and not forms["train"] & forms["rl"] and not forms["rl"] & forms["eval"]
    assert all(split_of(form) == split for split, members in forms.items() for form in members)


def test_training_documents_hold_only_train_problems() -> None:
    for kind in ("direct", "short", "long"):
        for row in documents(kind, 5, 400):
            question = row["text"].split("\nAnswer:")[0].removeprefix("Question:")
            assert split_of(canonical(question)) == "train"


@pytest.mark.parametrize("kind", ["direct", "short", "long"])
def test_every_document_ends_in_the_right_box(kind: str) -> None:
    for row in documents(kind, 1, 300):
        question, answer = row["text"].removeprefix("Question:").split("\nAnswer: ")
        assert answer.endswith(f"\\boxed{{{solve(question)}}}") and answer.count("boxed") == 1
        assert last_boxed(answer) == str(solve(question))


def holds(equation: tuple[str, str, str, str]) -> bool:
    """Whether `a op b = c` is true."""
    a, sign, b, c = equation
    return (int(a) + int(b) if sign == "+" else int(a) - int(b)) == int(c)


def test_short_shows_only_true_equations_and_long_mends_its_mistakes() -> None:
    for row in documents("short", 1, 200):
        assert all(map(holds, EQUATION.findall(row["text"])))
    slips = 0
    for row in documents("long", 1, 200):
        tries = row["text"].split("Try ")[1:]
        for told in tries:
            claim, check = EQUATION.findall(told)[:2]
            assert holds(check)  # the check itself is always calculated correctly
            assert holds(claim) == ("Good." in told) == (", yes " in told)
            assert holds(claim) != ("Wrong. Go back." in told)
        slips += sum("Wrong" in told for told in tries)
    assert slips > 100


def test_kinds_of_one_seed_tell_of_the_same_problems() -> None:
    first = {
        kind: [row["text"].split("\n")[0] for row in documents(kind, 2, 50)] for kind in ("direct", "short", "long")
    }
    assert first["direct"] == first["short"] == first["long"]


def test_everything_is_a_function_of_the_seed_and_prefixes_agree() -> None:
    assert problems(7, 20, "rl") == problems(7, 60, "rl")[:20] != problems(8, 20, "rl")
    for kind in ("direct", "short", "long", "prose"):
        once = list(documents(kind, 7, 20))
        assert once == list(islice(documents(kind, 7, 60), 20)) != list(documents(kind, 8, 20))
    assert list(pages(7, 20)) == list(islice(pages(7, 60), 20)) != list(pages(8, 20))
    assert problems(0, 3, "eval")[0]["question"] == "Ben has 6 pins, doubles, loses 5, buys 9. How many?"


def test_questions_are_shorter_than_a_decontamination_ngram() -> None:
    assert max(len(words_of(row["question"])) for row in problems(0, 500, "eval")) == 12


def test_decontamination_spares_clean_training_text() -> None:
    evaluated = load_problems(problems(0, 500, "eval"), "lab")[0]
    index = ContaminationIndex({"lab": evaluated})
    assert all(index.find(problem.question) for problem in evaluated)
    for kind in ("direct", "short", "long", "prose"):
        assert not any(index.find(row["text"]) for row in documents(kind, 0, 300))


@pytest.mark.parametrize("levels", [(1, 2, 3), (1,)])
def test_pages_go_through_the_real_curation(levels: tuple[int, ...]) -> None:
    rows = list(pages(4, 400, eval_seed=9, levels=levels))
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in {row["kind"] for row in rows}}
    assert set(kinds) == {"worked", "prose", "duplicate", "leak", "boilerplate"}
    evaluated = load_problems(problems(9, LEAKS, "eval", levels), "lab")[0]
    steps = [
        ("extract", build_step("extract")),
        ("exact_dedup", build_step("exact_dedup")),
        ("decontaminate", build_step("decontaminate", problems={"lab": evaluated})),
    ]
    bad = BadCounts()
    passed, counts = run_steps(read_documents(rows, converter("web"), "pages", bad), steps)
    kept = list(passed)
    _, extracted, deduplicated, decontaminated = counts.summary()
    assert bad.total == 0 and extracted["dropped"] == {"no text in page": len(kinds["boilerplate"])}
    assert deduplicated["dropped"] == {"duplicate": len(kinds["duplicate"])}
    assert decontaminated["dropped"] == {"contaminated:lab": len(kinds["leak"])}
    assert len(kept) == len(kinds["worked"]) + len(kinds["prose"])
    assert not any("rights reserved" in document.text or "Terms of use" in document.text for document in kept)


def test_worked_pages_are_right() -> None:
    for row in pages(4, 100):
        assert all(map(holds, EQUATION.findall(row["html"])))


def test_exemplars_are_solved_train_problems() -> None:
    for row in exemplars(8):
        problem = problem_from_row(row, "x")
        assert last_boxed(problem.solution) == problem.answer == str(solve(problem.question))
        assert split_of(canonical(problem.question)) == "train"


def test_split_shares() -> None:
    drawn = [split_of(f"{a}+{b}-{c}") for a in range(2, 20) for b in range(2, 10) for c in range(2, 10)]
    assert 0.75 < drawn.count("train") / len(drawn) < 0.85 and drawn.count("eval") > 70


def test_unhappy_arguments() -> None:
    with pytest.raises(UserError, match="'middle'"):
        documents("middle", 0, 1)
    with pytest.raises(UserError, match="split 'test'"):
        problems(0, 1, "test")
    for levels in ([], [0], [4]):
        with pytest.raises(UserError, match="levels"):
            problems(0, 1, "eval", levels)
    with pytest.raises(UserError, match="ask for fewer"):
        problems(0, 10**6, "eval", [1])


def test_stories_never_repeat_a_question() -> None:
    drawn = [story.question for story in islice(stories("x", "train", (1,)), 3000)]
    assert len(set(drawn)) == 3000
