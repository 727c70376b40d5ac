"""The small world is right, disjoint between splits, and a pure function of its seed."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice

import pytest

from octolab.corpus.convert import converter
from octolab.corpus.decontaminate import ContaminationIndex
from octolab.corpus.read import read_documents
from octolab.corpus.steps import build_step, run_steps
from octolab.errors import UserError
from octolab.lab.splits import SPLITS, Levels, drawn, split_of
from octolab.lab.world import LEAKS, LEVELS, documents, exemplars, pages, problems
from octolab.tasks.problems import problem_from_row
from octolab.tasks.registry import load_problems
from octolab.tasks.rows import BadCounts
from octolab.verify import last_boxed

EQUATION = re.compile(r"(?<![A-H\d])(-?\d+)([-+])(\d+)=(-?\d+)")
MOVE = re.compile(r"doubles|(finds|gets|buys|loses|sells|gives) (\d+)")
PLAN = re.compile(r"[A-H](\d)\+(\d)")
KINDS = ("direct", "short", "long")
EVERYTHING: Levels = {"story": (1, 2, 3, 4, 5, 6), "search": (2, 4, 5, 8)}


def solve(question: str) -> str:
    """The answer read from the question's words, independently of the generator."""
    start = int(re.findall(r"has (\d+)", question)[0])
    if "wants" in question:
        right = [start + int(a) for a, b in PLAN.findall(question) if (start + int(a) + int(b)) % 10 == 0]
        assert len(right) == 1, question
        return str(right[0])
    held = start
    for move in MOVE.finditer(question):
        if move[0] == "doubles":
            held *= 2
        else:
            held += int(move[2]) if move[1] in ("finds", "gets", "buys") else -int(move[2])
    return str(held)


def canonical(question: str) -> str:
    """Numbers and moves of a question, without name and thing, read independently of the generator."""
    start = re.findall(r"has (\d+)", question)[0]
    if "wants" in question:
        return f"{start}:" + ",".join(f"{a}+{b}" for a, b in PLAN.findall(question))
    told = [start]
    for move in MOVE.finditer(question):
        sign = "*" if move[0] == "doubles" else "+" if move[1] in ("finds", "gets", "buys") else "-"
        told.append(sign + (move[2] or "2"))
    return "".join(told)


def holds(equation: tuple[str, str, str, str]) -> bool:
    """Whether `a op b = c` is true."""
    a, sign, b, c = equation
    return (int(a) + int(b) if sign == "+" else int(a) - int(b)) == int(c)


def asked(text: str) -> list[tuple[str, str]]:
    """(question, answer) of every pair in a training document."""
    return re.findall(r"Question:(.*)\nAnswer: (.*)", text)


@pytest.mark.parametrize("split", SPLITS)
def test_answers_are_right(split: str) -> None:
    rows = problems(3, 300, split, EVERYTHING)
    assert all(solve(row["question"]) == row["answer"] for row in rows)
    unit = {"story": "moves", "search": "plans"}
    assert {(row["family"], row["level"]) for row in rows} == {
        (family, f"{level} {unit[family]}") for family, levels in EVERYTHING.items() for level in levels
    }
    assert len({row["question"] for row in rows}) == len({row["id"] for row in rows}) == 300
    assert load_problems(rows, "lab")[1].total == 0
    assert problem_from_row(rows[0], "x").metadata == {k: rows[0][k] for k in ("family", "level")}


def test_splits_share_no_problem_names_aside() -> None:
    forms = {split: {canonical(row["question"]) for row in problems(0, 1200, split)} for split in SPLITS}
    assert not forms["train"] & forms["eval"] and not forms["train"] & forms["rl"] and not forms["rl"] & forms["eval"]
    assert all(split_of(form) == split for split, members in forms.items() for form in members)


@pytest.mark.parametrize("kind", [*KINDS, "instruction"])
def test_training_documents_hold_only_train_problems(kind: str) -> None:
    for row in documents(kind, 5, 200):
        text = row["text"].replace("User:", "Question:").replace("Assistant:", "Answer: ")
        assert all(split_of(canonical(question)) == "train" for question, _ in asked(text))


def test_pages_that_survive_hold_only_train_problems() -> None:
    for row in pages(4, 200):
        if row["kind"] in ("worked", "bad"):
            told = re.findall(r"<p>(\w+ has .*?\. How many.*?\?|\w+ has .*?: .*? midway\?)", row["html"])
            assert told and all(split_of(canonical(question)) == "train" for question in told)


@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_ends_in_the_right_box(kind: str) -> None:
    pairs = [pair for row in documents(kind, 1, 300) for pair in asked(row["text"])]
    for question, answer in pairs:
        assert answer.endswith(f"\\boxed{{{solve(question)}}}") and answer.count("boxed") == 1
        assert last_boxed(answer) == solve(question)


def test_bare_answers_come_several_to_a_document() -> None:
    counts = Counter(len(asked(row["text"])) for row in documents("direct", 1, 200))
    assert set(counts) == {2, 3} and min(counts.values()) > 50


def test_short_shows_only_the_winning_path() -> None:
    for row in documents("short", 1, 200):
        ((question, answer),) = asked(row["text"])
        equations = EQUATION.findall(answer)
        assert equations and all(map(holds, equations))
        assert len(equations) == (2 if "wants" in question else len(MOVE.findall(question)))


def test_long_tries_plans_in_order_until_one_ends_on_a_full_ten() -> None:
    tried = []
    for row in documents("long", 1, 200, {"search": (4, 5)}):
        ((_, answer),) = asked(row["text"])
        ends = re.findall(r"Try ([A-H])[^=]*=\S+ [^=]*=(-?\d+)\. (Yes|No)\.", answer)
        assert [letter for letter, _, _ in ends] == list("ABCDE"[: len(ends)])
        assert all((int(end) % 10 == 0) == (verdict == "Yes") for _, end, verdict in ends)
        assert [verdict for *_, verdict in ends] == ["No"] * (len(ends) - 1) + ["Yes"]
        assert all(map(holds, EQUATION.findall(answer)))
        tried.append(len(ends))
    assert set(tried) == {1, 2, 3, 4, 5}


def test_a_winner_is_anywhere_so_that_a_guess_is_worth_one_in_the_number_of_plans() -> None:
    places = Counter(problem.winner for problem in islice(drawn("x", "train", {"search": (5,)}), 1000))  # type: ignore[union-attr]
    assert set(places) == set(range(5)) and max(places.values()) < 260


def test_long_checks_backwards_and_goes_back_from_a_mistake() -> None:
    again = 0
    for row in documents("long", 1, 200, {"story": (2, 3, 4)}):
        ((question, answer),) = asked(row["text"])
        *failed, passed = answer.split("Again ")
        forward, backward = (EQUATION.findall(part) for part in passed.split("Check "))
        assert all(map(holds, forward)) and all(map(holds, backward)) and "Yes." in passed
        assert len(forward) == len(backward) == len(MOVE.findall(question))
        assert backward[-1][3] == re.findall(r"has (\d+)", question)[0]  # it meets the start
        for attempt in failed:
            *right, slip = EQUATION.findall(attempt.split("Check ")[0])
            (check,) = EQUATION.findall(attempt.split("Check ")[1])
            assert all(map(holds, right)) and not holds(slip) and holds(check)
            assert check[3] != slip[0] and attempt.endswith("No. ")  # the check does not meet the value before
        again += len(failed)
    assert 40 < again < 80


def test_kinds_of_one_seed_tell_of_the_same_problems() -> None:
    told = {kind: [q for row in documents(kind, 2, 50) for q, _ in asked(row["text"])][:50] for kind in KINDS}
    assert told["direct"] == told["short"] == told["long"]


def test_everything_is_a_function_of_the_seed_and_prefixes_agree() -> None:
    assert problems(7, 20, "rl") == problems(7, 60, "rl")[:20] != problems(8, 20, "rl")
    for kind in (*KINDS, "instruction", "prose"):
        once = list(documents(kind, 7, 20))
        assert once == list(islice(documents(kind, 7, 60), 20)) != list(documents(kind, 8, 20))
    assert list(pages(7, 20)) == list(islice(pages(7, 60), 20)) != list(pages(8, 20))


def test_decontamination_spares_clean_training_text() -> None:
    evaluated = load_problems(problems(0, 500, "eval"), "lab")[0]
    index = ContaminationIndex({"lab": evaluated})
    assert all(index.find(problem.question) for problem in evaluated)
    for kind in (*KINDS, "prose"):  # two problems may share a plan and a half by chance
        assert sum(index.find(row["text"]) is not None for row in documents(kind, 0, 600)) <= 3


@pytest.mark.parametrize("levels", [LEVELS, {"story": (2,)}])
def test_pages_go_through_the_real_curation(levels: Levels) -> None:
    rows = list(pages(4, 400, eval_seed=9, levels=levels))
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in {row["kind"] for row in rows}}
    assert set(kinds) == {"worked", "bad", "prose", "duplicate", "leak", "boilerplate"}
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
    assert len(kept) == len(kinds["worked"]) + len(kinds["bad"]) + len(kinds["prose"])
    assert not any("rights reserved" in document.text or "Terms of use" in document.text for document in kept)


def lessons(html: str) -> list[tuple[str, str, str]]:
    """(question, what is worked out, what it comes to) of a page."""
    return re.findall(r"<p>(\w+ has [^?]*\?) (.*?) It is (-?\d+)\.</p>", html)


def test_worked_pages_are_right_and_bad_ones_wrong() -> None:
    seen = Counter()
    for row in pages(4, 200):
        for question, told, result in lessons(row["html"]):
            right = result == solve(question) and all(map(holds, EQUATION.findall(told)))
            seen[row["kind"], right] += 1
    assert seen["worked", True] > 100 and seen["bad", False] > 30
    assert not seen["worked", False] and not seen["bad", True]


def test_exemplars_are_solved_train_problems() -> None:
    for row in exemplars(8):
        problem = problem_from_row(row, "x")
        assert last_boxed(problem.solution) == problem.answer == solve(problem.question)
        assert split_of(canonical(problem.question)) == "train"


def test_split_shares() -> None:
    drawn = [split_of(f"{a}+{b}-{c}") for a in range(2, 20) for b in range(2, 10) for c in range(2, 10)]
    assert 0.75 < drawn.count("train") / len(drawn) < 0.85 and drawn.count("eval") > 70


def test_unhappy_arguments() -> None:
    with pytest.raises(UserError, match="'middle'"):
        documents("middle", 0, 1)
    with pytest.raises(UserError, match="split 'test'"):
        problems(0, 1, "test")
    for levels in ({"story": []}, {"story": [0]}, {"search": [9]}, {}):
        with pytest.raises(UserError, match="levels"):
            problems(0, 1, "eval", levels)
    with pytest.raises(UserError, match=r"family 'stori'.*story"):
        problems(0, 1, "eval", {"stori": [1]})
    with pytest.raises(UserError, match="ask for fewer"):
        problems(0, 10**6, "eval", {"story": [1]})


def test_no_question_is_asked_twice() -> None:
    told = [problem.question for problem in islice(drawn("x", "train", {"story": (1,)}), 3000)]
    assert len(set(told)) == 3000
