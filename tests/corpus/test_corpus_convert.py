"""Each schema becomes the text the model is to see; what cannot is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from octolab.corpus.convert import CONVERTERS, converter
from octolab.corpus.document import Document
from octolab.corpus.read import read_documents
from octolab.errors import UserError
from octolab.tasks.rows import BadCounts, read_rows


def text(name: str, row: dict) -> str:
    """The text that a converter makes of a row."""
    return CONVERTERS[name](row, "x-0").text


def test_web_takes_text_or_keeps_the_page() -> None:
    row = {"text": "T", "url": "u", "score": 3}
    assert CONVERTERS["web"](row, "x-0") == Document("x-0", "T", {"url": "u"})
    assert CONVERTERS["web"]({"id": 7, "html": "<p>"}, "x-0") == Document("7", "", {"html": "<p>"})


def test_gsm8k_short_and_bare_differ_only_in_the_solution() -> None:
    row = {"question": "Q?", "answer": "2 * 3 = <<2*3=6>>6 eggs\n#### 6"}
    assert text("gsm8k_short", row) == "Question:Q?\nAnswer: 2 * 3 = 6 eggs\nThe answer is \\boxed{6}."
    assert text("gsm8k_bare", row) == "Question:Q?\nAnswer: \\boxed{6}"
    local = {"question": "Q?", "answer": "6", "cot": "2 * 3 = <<2*3=6>>6 eggs"}
    assert text("gsm8k_short", local) == text("gsm8k_short", row)
    assert text("gsm8k_bare", local) == text("gsm8k_bare", row)


def test_short_cot() -> None:
    row = {"problem": "P", "generated_solution": r"so \boxed{4}", "expected_answer": "4"}
    assert text("short_cot", row) == "Question:P\nAnswer: so \\boxed{4}"


def test_long_cot_is_the_question_and_the_thought() -> None:
    trace = "<think>\nHmm.\nWait, 4.\n</think>\n\nThe answer is 4."
    assert text("long_cot", {"problem": "P", "generations": [trace]}) == "P\nHmm.\nWait, 4."
    messages = [{"role": "user", "content": "P"}, {"role": "assistant", "content": trace}]
    assert text("long_cot", {"problem": "P", "messages": messages}) == "P\nHmm.\nWait, 4."


def test_long_cot_prefers_the_verified_trace() -> None:
    row = {"problem": "P", "generations": ["<think>a</think>", "<think>b</think>"]}
    assert text("long_cot", {**row, "correctness_math_verify": [False, True]}) == "P\nb"
    with pytest.raises(ValueError, match="no verified trace"):
        text("long_cot", {**row, "correctness_math_verify": [False, False]})


def test_instruction_schemas() -> None:
    turns = [("system", "S"), ("user", "A"), ("assistant", "B "), ("user", "C"), ("assistant", "D")]
    said = "User:A\nAssistant:B\nUser:C\nAssistant:D"
    assert text("instruction", {"messages": [{"role": r, "content": c} for r, c in turns]}) == said
    other = {"user": "human", "assistant": "gpt", "system": "system"}
    assert text("instruction", {"conversations": [{"from": other[r], "value": c} for r, c in turns]}) == said
    assert text("instruction", {"instruction": "I", "input": "N", "output": "O"}) == "User:I\nN\nAssistant:O"


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("web", {"body": "x"}, "missing field 'text'"),
        ("web", {"text": None}, "missing field 'text'"),
        ("short_cot", {"problem": "P"}, "missing field 'solution'"),
        ("short_cot", {"solution": "S"}, "missing field 'question'"),
        ("gsm8k_short", {"question": "Q", "answer": "5"}, "missing field 'solution'"),
        ("gsm8k_bare", {"question": "Q"}, "missing field 'answer'"),
        ("long_cot", {"problem": "P", "solution": "no thought"}, "no <think>"),
        ("long_cot", {"problem": "P", "generations": ["<think> cut"]}, "never closed"),
        ("long_cot", {"problem": "P", "generations": ["<think> </think>"]}, "nothing inside"),
        ("long_cot", {"problem": "P", "generations": [None]}, "no <think>"),
        ("instruction", {"messages": [{"role": "user", "content": "A"}]}, "no answer"),
        ("instruction", {"messages": ["A"]}, "not an object"),
        ("instruction", {"text": "A"}, "missing field 'messages'"),
    ],
)
def test_rows_that_are_no_document(name: str, row: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        text(name, row)


def test_read_documents_counts_what_it_passes_over() -> None:
    bad = BadCounts()
    rows: list[dict] = [{"text": "a"}, {"no": 1}, {"id": "z", "text": "b"}, {"no": 2}]
    found = list(read_documents(rows, converter("web"), "mine", bad))
    assert [document.id for document in found] == ["mine-0", "z"]
    assert bad.total == 2 and list(bad.examples.values()) == [["mine-1", "mine-3"]]


def test_a_defect_of_a_users_converter_is_not_counted_as_bad_data() -> None:
    def broken(row: object, fallback_id: str) -> Document:
        raise KeyError("column")

    rows: list[dict] = [{"a": 1}]
    with pytest.raises(KeyError):
        list(read_documents(rows, broken, "mine", BadCounts()))


def test_unknown_converter_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'longcot'.*`long_cot`"):
        converter("longcot")


@pytest.mark.parametrize(
    ("path", "name", "count"),
    [
        ("cot/llamafactory_c4_demo.json.gz", "web", 300),
        ("cot/llamafactory_alpaca_en_demo.json.gz", "instruction", 999),
        ("rl_prompts/gsm8k_train.jsonl", "gsm8k_short", 7473),
        ("benchmarks/math/test.jsonl", "short_cot", 5000),
    ],
)
def test_real_files_convert_whole(test_data: Path, path: str, name: str, count: int) -> None:
    bad = BadCounts()
    found = list(read_documents(read_rows(str(test_data / path), bad.on_bad), converter(name), "x", bad))
    assert (len(found), bad.counts) == (count, {})
    if name == "gsm8k_short":
        assert not any("<<" in document.text or "####" in document.text for document in found)
        assert all(document.text.endswith("}.") for document in found)
