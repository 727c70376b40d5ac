r"""Rows of published data sets become documents.

In goes one row as its data set writes it (and an id for rows that have none), out comes a `Document` whose text is
what the model is trained on. Formats are the paper's: questions and answers in the "simple" template, a long chain
of thought as the question and the inside of its `<think>` joined by a line break, instructions as `User:` and
`Assistant:` lines. A row that cannot be converted raises ValueError with a short countable reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from octolab.corpus.document import Document
from octolab.tasks.named import choose_or_import
from octolab.tasks.problems import clean_gsm8k_solution, id_of, problem_from_row, question_of, solution_of
from octolab.tasks.templates import TEMPLATES

Row = Mapping[str, Any]
Converter = Callable[[Row, str], Document]

_SIMPLE = TEMPLATES["simple"]
# OpenR1-Math-220k: several traces a problem and, for each, whether its answer was verified.
_TRACES, _VERIFIED = "generations", "correctness_math_verify"
_TRACE_FIELDS = ("generation", "response", "output", "solution")
_KEPT_METADATA = ("url", "date", "source", "kind")


def web(row: Row, fallback_id: str) -> Document:
    """A page or plain text: column `text`, else `content`, else `html` (kept for the step `extract`)."""
    metadata: dict[str, Any] = {name: row[name] for name in _KEPT_METADATA if isinstance(row.get(name), str)}
    for name in ("text", "content"):
        if isinstance(row.get(name), str):
            return Document(id_of(row, fallback_id), row[name], metadata)
    if isinstance(row.get("html"), str):
        return Document(id_of(row, fallback_id), "", {**metadata, "html": row["html"]})
    raise ValueError("missing field 'text' (looked for text, content, html)")


def short_cot(row: Row, fallback_id: str) -> Document:
    """Question and worked solution in the simple template (OpenMathInstruct-2, NuminaMath-1.5, MATH)."""
    solution = solution_of(row)
    if not solution:
        raise ValueError("missing field 'solution'")
    return Document(id_of(row, fallback_id), _SIMPLE.example(question_of(row), solution))


def long_cot(row: Row, fallback_id: str) -> Document:
    """Question and the inside of `<think>`, joined by a line break (OpenR1-Math-220k and the like).

    Of several traces the first verified one is taken, or the first where none says.
    """
    return Document(id_of(row, fallback_id), f"{question_of(row)}\n{_inside_think(_trace(row))}")


def instruction(row: Row, fallback_id: str) -> Document:
    """A conversation as `User:` and `Assistant:` lines, from `messages`, `conversation(s)` or Alpaca's columns."""
    turns = _turns(row)
    if not any(speaker == "Assistant" for speaker, _ in turns):
        raise ValueError("no answer of the assistant")
    return Document(id_of(row, fallback_id), "\n".join(f"{speaker}:{text}" for speaker, text in turns))


def gsm8k_short(row: Row, fallback_id: str) -> Document:
    r"""A GSM8K problem with its whole solution, without calculator marks, closing with `\boxed{}`."""
    problem = problem_from_row(row, fallback_id)
    if not problem.solution:
        raise ValueError("missing field 'solution'")
    text = clean_gsm8k_solution(problem.solution, problem.answer)
    return Document(problem.id, _SIMPLE.example(problem.question, text))


def gsm8k_bare(row: Row, fallback_id: str) -> Document:
    r"""A problem and `\boxed{answer}`, nothing in between."""
    problem = problem_from_row(row, fallback_id)
    return Document(problem.id, _SIMPLE.example(problem.question, f"\\boxed{{{problem.answer}}}"))


CONVERTERS: dict[str, Converter] = {
    "web": web,
    "short_cot": short_cot,
    "long_cot": long_cot,
    "instruction": instruction,
    "gsm8k_short": gsm8k_short,
    "gsm8k_bare": gsm8k_bare,
}


def converter(name: str) -> Converter:
    """A converter by name, or the user's own `module:function` (row, fallback id) -> Document.

    Raises:
        UserError: unknown name; the message names the nearest one.
    """
    return choose_or_import(name, CONVERTERS, "converter")


def _trace(row: Row) -> str:
    traces = row.get(_TRACES)
    if isinstance(traces, list) and traces:
        verified = row.get(_VERIFIED)
        good = verified if isinstance(verified, list) and len(verified) == len(traces) else []
        if good and True not in good:
            raise ValueError("no verified trace")
        chosen = traces[good.index(True)] if good else traces[0]
        return chosen if isinstance(chosen, str) else ""
    if isinstance(row.get("messages"), list):
        spoken = [text for speaker, text in _turns(row) if speaker == "Assistant"]
        return spoken[-1] if spoken else ""
    for name in _TRACE_FIELDS:
        if isinstance(row.get(name), str):
            return row[name]
    return ""


def _inside_think(trace: str) -> str:
    _, opened, rest = trace.partition("<think>")
    thought, closed, _ = rest.partition("</think>")
    if not opened:
        raise ValueError("no <think> in the trace")
    if not closed:
        raise ValueError("<think> is never closed")
    if not thought.strip():
        raise ValueError("nothing inside <think>")
    return thought.strip()


_SPEAKERS = {"user": "User", "human": "User", "assistant": "Assistant", "gpt": "Assistant"}


def _turns(row: Row) -> list[tuple[str, str]]:
    """(speaker, text) of a conversation; system messages and empty turns are left out."""
    for name in ("messages", "conversation", "conversations"):
        if isinstance(row.get(name), list):
            return _spoken(row[name])
    asked, answered = row.get("instruction", row.get("prompt")), row.get("output", row.get("response"))
    if not isinstance(asked, str) or not isinstance(answered, str):
        raise ValueError("missing field 'messages' (looked for messages, conversation, instruction and output)")
    given = row.get("input")
    asked = f"{asked.strip()}\n{given.strip()}" if isinstance(given, str) and given.strip() else asked.strip()
    return [(speaker, text) for speaker, text in (("User", asked), ("Assistant", answered.strip())) if text]


def _spoken(messages: Sequence[Any]) -> list[tuple[str, str]]:
    turns = []
    for message in messages:
        if not isinstance(message, Mapping):
            raise ValueError("a message is not an object")
        speaker = _SPEAKERS.get(str(message.get("role", message.get("from"))))
        text = message.get("content", message.get("value"))
        if speaker and isinstance(text, str) and text.strip():
            turns.append((speaker, text.strip()))
    return turns
