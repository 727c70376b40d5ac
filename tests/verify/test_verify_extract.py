"""Extraction by mode and task, and the records that `verify` and `gold_audit` return."""

from __future__ import annotations

import math
import time

import pytest

from octolab.verify import VERDICTS, Item, Verdict, gold_audit, reward, verify


@pytest.mark.parametrize(
    ("completion", "verdict"),
    [
        (r"First \boxed{3}. Wait. The answer is \boxed{7}.", "correct"),
        (r"<think>maybe \boxed{3}</think> It is \boxed{7}.", "correct"),
        (r"<think>\boxed{7}</think> I am not sure.", "no_answer"),
        (r"<think>\boxed{7}</think> a </think> b", "no_answer"),
        (r"\boxed{7} or rather \boxed{8}", "wrong"),
        (r"\boxed{7} or rather \boxed{8", "no_answer"),
        (r"\boxed{}", "no_answer"),
        (r"\boxed{ }", "no_answer"),
        (r"\boxed{seven}", "unparsed"),
        ("The answer is 7.", "no_answer"),
        ("#### 7", "no_answer"),
        ("7", "no_answer"),
        ("", "no_answer"),
        ("\ud800 \\boxed{7}", "correct"),
    ],
)
def test_training_reads_the_last_box_and_nothing_else(completion: str, verdict: str) -> None:
    assert verify("7", completion).verdict == verdict


@pytest.mark.parametrize(
    ("gold", "completion", "task", "span"),
    [
        ("1234", "1,000 + 234 = 1,234. The answer is 1,234.", "gsm8k", "1,234"),
        ("29", "9 + 20 is 29. The answer is 29.\nQ:", "gsm8k", "29"),
        ("8", "The answer is 5 + 3 = 8 apples, not 9.", "gsm8k", "8"),
        ("18", "The answer is $18. He keeps $5 of it.", "gsm8k", "18"),
        ("1/2", r"The answer is $\frac{1}{2}$.", "gsm8k", r"\frac{1}{2}"),
        ("18", "She makes 9 * 2 = $<<9*2=18>>18 a day.\n#### 18", "gsm8k", "18"),
        ("-5", "10 - 15 leaves -5", "gsm8k", "-5"),
        ("5", "that is 10-5", "gsm8k", "5"),
        ("70000", "so he made $70,000 profit", "svamp", "70,000"),
        ("2", r"\boxed{2}. The answer is 3.", "gsm8k", "2"),
        ("3", r"\boxed{2. The answer is 3.", "gsm8k", "3"),
        ("24", "Final Answer: The final answer is $24$. I hope it is correct.", "math500", "24"),
        ("[2,5)", "Final Answer: The final answer is $[2,5)$. I hope it is correct.", "math500", "[2,5)"),
        ("e", "Final Answer: The final answer is (E). I hope it is correct.", "mathqa", "E"),
        ("B", "(A) is false. Not (C).\nFinal Answer: The final answer is (B). I hope it is.", "sat", "B"),
        ("x=5", "**Answer:** x = 5", None, "x = 5"),
    ],
)
def test_evaluation_also_reads_phrases(gold: str, completion: str, task: str | None, span: str) -> None:
    graded = verify(gold, completion, mode="eval", task=task)
    assert (graded.span, graded.correct) == (span, True)


def test_the_last_number_counts_for_word_problems_only() -> None:
    completion = "first 3, then 7"
    assert verify("7", completion, mode="eval", task="gsm8k").method == "last number/identical"
    assert verify("7", completion, mode="eval", task="math500").verdict == "no_answer"
    assert verify("7", completion, mode="rl", task="gsm8k").verdict == "no_answer"
    for gold in ("18", "19"):
        assert verify(gold, "The answer is 18 or 19.", mode="eval", task="gsm8k").verdict == "unparsed"


@pytest.mark.parametrize(
    "text",
    [
        "answer is " * 500_000,
        ("answer" + " " * 1000) * 5000,
        "1,111" + ",111" * 1_000_000 + "1",
        "1" * 5_000_000,
        "answer is $" + "x" * 5_000_000,
        "#### " * 1_000_000,
        "</think>" * 600_000,
        "\\(" * 2_000_000,
    ],
    ids=["phrases", "gaps", "separators", "digits", "dollar", "marks", "thinks", "maths"],
)
def test_five_megabytes_without_a_box_take_linear_time(text: str) -> None:
    for task in ("gsm8k", "math500"):
        start = time.perf_counter()
        assert not verify("5", text, mode="eval", task=task).correct
        assert time.perf_counter() - start < 3


def test_a_record_says_what_was_read_and_how() -> None:
    graded = verify(r"\frac{1}{2}", r"so \boxed{0.5}", mode="rl")
    assert (graded.verdict, graded.correct, graded.span) == ("correct", True, "0.5")
    assert (graded.gold_type, graded.method) == ("fraction", "box/exact")
    assert 0 < graded.ms < 1000
    assert len(verify("5", "\\boxed{" + "6" * 5000 + "}").span or "") == 300


def test_reward_is_one_zero_or_unscorable() -> None:
    rewards = {name: reward(Verdict(name)) for name in VERDICTS}
    assert math.isnan(rewards.pop("error"))
    assert rewards.pop("correct") == 1.0
    assert set(rewards.values()) == {0.0} and len(rewards) == 4
    assert reward(Verdict("correct", score=0.75)) == 0.75
    assert math.isnan(reward(Verdict("error", score=1.0)))


def test_mistakes_of_the_caller_are_named() -> None:
    with pytest.raises(ValueError, match="rl, eval"):
        verify("5", "5", mode="train")
    with pytest.raises(ValueError, match="rl, eval"):
        Item("5", "5", mode="train")
    with pytest.raises(TypeError, match="strings"):
        Item(5, "5")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="correct, wrong"):
        Verdict("right")


def test_gold_audit_lists_what_no_answer_could_match() -> None:
    golds = ["18", "", r"\frac{1}{2}", "a}{b", " ", "x^2", r"\boxed{3}", "{1"]
    bad = gold_audit(golds)
    assert [(row.index, row.verdict.verdict) for row in bad] == [
        (1, "error"),
        (3, "wrong"),
        (4, "error"),
        (6, "wrong"),
        (7, "no_answer"),
    ]
    assert all(row.gold == golds[row.index] for row in bad)
