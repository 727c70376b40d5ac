r"""A question with a known answer.

In goes one row (a dict) as the published maths sets write it, out comes a `Problem`. The sets disagree on column
names and on where the answer stands: GSM8K hides it after `####`, MATH in the last `\boxed{}` of the solution,
RL parquet files in `reward_model.ground_truth`. All of that is settled here and nowhere else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from octolab.verify import last_boxed

QUESTION_FIELDS = ("question", "problem", "prompt")
# The specific names go first: the RL release of MATH8K has its final answer in `gt_answer`.
ANSWER_FIELDS = ("gt_answer", "final_answer", "expected_answer", "answer")
SOLUTION_FIELDS = ("solution", "cot", "generated_solution", "rationale")
ID_FIELDS = ("id", "unique_id", "problem_id")
FAMILY_FIELDS = ("family", "subject", "type")
GSM8K_MARK = "####"

_CALCULATOR = re.compile(r"<<[^<>\n]*>>")
_THOUSANDS = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Problem:
    """One question; `answer` is the gold answer's text, `metadata` may hold `family` and `level` as text."""

    id: str
    question: str
    answer: str
    solution: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


def problem_from_row(row: Mapping[str, Any], fallback_id: str) -> Problem:
    """Read one row of GSM8K, MATH, MATH500, MATH8K, OpenR1, verl's parquet schema or the like.

    Raises:
        ValueError: there is no usable question or answer; the message names the field and what was looked for.
    """
    question = question_of(row)
    answer, solution = _answer_and_solution(row)
    for name, text in (("question", question), ("answer", answer), ("solution", solution)):
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(f"field {name!r} holds text that is not valid Unicode") from None
    metadata: dict[str, Any] = {}
    family = _first_text(row, FAMILY_FIELDS)
    if family:
        metadata["family"] = family
    level = _text(row.get("level"))
    if level:
        metadata["level"] = level.removeprefix("Level ")
    return Problem(id_of(row, fallback_id), question, answer, solution, metadata)


def question_of(row: Mapping[str, Any]) -> str:
    """The question's text; of chat messages the last one of the user.

    Raises:
        ValueError: no such field, or it is empty.
    """
    extra = row.get("extra_info")
    question = _text(extra.get("question")) if isinstance(extra, Mapping) else ""
    for name in QUESTION_FIELDS:
        if question:
            break
        value = row.get(name)
        question = _last_user_message(value) if isinstance(value, list) else _text(value)
    if not question:
        raise ValueError(f"missing field 'question' (looked for {', '.join(QUESTION_FIELDS)})")
    return question


def id_of(row: Mapping[str, Any], fallback_id: str) -> str:
    """The row's own id as text, or the fallback."""
    return _first_text(row, ID_FIELDS) or fallback_id


def solution_of(row: Mapping[str, Any]) -> str:
    """The worked solution's text, "" where there is none; GSM8K's is what stands before `####`."""
    return _answer_and_solution(row, answer_needed=False)[1]


def clean_gsm8k_solution(text: str, answer: str) -> str:
    r"""A GSM8K solution as plain text: calculator marks `<<2+3=5>>` and the `####` line go, a boxed answer closes.

    >>> clean_gsm8k_solution("2 + 3 = <<2+3=5>>5 eggs.\n#### 5", "5")
    '2 + 3 = 5 eggs.\nThe answer is \\boxed{5}.'
    """
    return boxed_solution(drop_calculator_marks(text).partition(GSM8K_MARK)[0], answer)


def drop_calculator_marks(text: str) -> str:
    """The text without GSM8K's `<<expression=value>>`."""
    return _CALCULATOR.sub("", text)


def boxed_solution(solution: str, answer: str) -> str:
    r"""The solution, closed by a sentence with `\boxed{answer}` unless it boxes an answer already."""
    solution = solution.strip()
    if last_boxed(solution) is not None:
        return solution
    return f"{solution}\nThe answer is \\boxed{{{answer}}}.".lstrip()


def _answer_and_solution(row: Mapping[str, Any], answer_needed: bool = True) -> tuple[str, str]:
    solution = _first_text(row, SOLUTION_FIELDS)
    answer = _first_text(row, ANSWER_FIELDS)
    reward = row.get("reward_model")
    if not answer and isinstance(reward, Mapping):
        answer = _text(reward.get("ground_truth"))
    extra = row.get("extra_info")
    if isinstance(extra, Mapping) and GSM8K_MARK in _text(extra.get("answer")):
        solution = solution or _text(extra.get("answer")).partition(GSM8K_MARK)[0].strip()
    if GSM8K_MARK in answer:
        before, _, answer = answer.rpartition(GSM8K_MARK)
        solution = solution or before.strip()
        answer = answer.strip()
    if not answer:
        answer = (last_boxed(solution) or "").strip()
    if _THOUSANDS.fullmatch(answer):
        answer = answer.replace(",", "")
    if not answer and answer_needed:
        looked_for = (*ANSWER_FIELDS, "reward_model.ground_truth")
        raise ValueError(f"missing field 'answer' (looked for {', '.join(looked_for)})")
    return answer, solution


def _first_text(row: Mapping[str, Any], names: Sequence[str]) -> str:
    for name in names:
        text = _text(row.get(name))
        if text:
            return text
    return ""


def _text(value: Any) -> str:
    """A cell as stripped text: whole floats lose their `.0`, a list of texts is joined, anything else is ""."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return ""
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ", ".join(item.strip() for item in value)
    return ""


def _last_user_message(messages: Sequence[Any]) -> str:
    spoken = [
        _text(message.get("content"))
        for message in messages
        if isinstance(message, Mapping) and message.get("role") == "user"
    ]
    return spoken[-1] if spoken else ""
