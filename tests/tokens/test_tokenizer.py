"""The tokenizer: exact round trips, the ids of transformers, and document marks found or refused."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from octolab.errors import UserError
from octolab.tokens.tokenizer import END_OF_TEXT, Tokenizer, train_bpe

WORDS = ["".join(random.Random(i).choices("aeioulnrst", k=3 + i % 7)) for i in range(300)]
TEXTS = [
    f"Tom has {i} {WORDS[i]} and buys {i * 7} {WORDS[-i]} more.\n\nHow many {WORDS[i // 2]}? {i * 8}."
    for i in range(200)
]
TRICKY = "  two\n\n\tlines, 3.14159 and 2024; naïve 数学 😀 \\frac{1}{2} don't  end "
UNICODE = st.text(st.characters(exclude_categories=("Cs",)))


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    return train_bpe(TEXTS, 400)


def _edit(folder: Path, name: str, **changes: Any) -> None:
    """Set keys of a JSON file in `folder`; None deletes."""
    file = folder / name
    content = {**(json.loads(file.read_text()) if file.exists() else {}), **changes}
    file.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


@pytest.fixture
def saved(bpe: Tokenizer, tmp_path: Path) -> Path:
    bpe.save(tmp_path / "tok")
    return tmp_path / "tok"


@pytest.fixture
def with_bos(saved: Path) -> Path:
    """A tokenizer whose post-processor puts <s> before every text, as Llama 3's does."""
    backend = tokenizers.Tokenizer.from_file(str(saved / "tokenizer.json"))
    backend.add_special_tokens(["<s>"])
    bos = backend.token_to_id("<s>")
    backend.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", bos)])
    backend.save(str(saved / "tokenizer.json"))
    _edit(saved, "tokenizer_config.json", bos_token="<s>")
    return saved


class TestTrain:
    @given(UNICODE)
    def test_round_trip(self, bpe: Tokenizer, text: str) -> None:
        assert bpe.decode(bpe.encode(text)) == text
        assert bpe.decode(bpe.document_ids(text), skip_special=True) == text

    def test_digits_stand_alone(self, bpe: Tokenizer) -> None:
        assert [bpe.token_text(i) for i in bpe.encode("12345")] == list("12345")
        tokens = [bpe.token_text(i) for i in range(bpe.vocab_size)]
        assert not [t for t in tokens if len(t) > 1 and any(c.isdigit() for c in t)]
        joined = train_bpe(["1999 1999 1999"] * 9, 300, split_digits=False)
        assert len(joined.encode("1999")) == 1

    def test_no_token_spans_words_or_a_newline_and_a_word(self, bpe: Tokenizer) -> None:
        learned = [bpe.token_text(i) for i in range(257, bpe.vocab_size)]
        assert len(learned) > 50
        assert not [t for t in learned if " " in t.strip() or ("\n" in t and t.strip())]

    def test_marks(self, bpe: Tokenizer) -> None:
        assert (bpe.eos_id, bpe.eos_ids, bpe.bos_id, bpe.prefix) == (0, (0,), None, [])
        assert bpe.vocab_size == 400
        assert bpe.document_ids("a b") == [*bpe.encode("a b"), 0]

    def test_is_deterministic_and_depends_on_the_text(self, bpe: Tokenizer) -> None:
        again = train_bpe(iter(TEXTS), 400)
        assert again.hash == bpe.hash and again.encode(TRICKY) == bpe.encode(TRICKY)
        assert train_bpe(TEXTS[:100], 400).hash != bpe.hash

    def test_a_lone_surrogate_does_not_stop_training(self) -> None:
        assert train_bpe(["a\ud800b", *TEXTS], 300).vocab_size == 300

    def test_too_small_a_vocabulary_is_refused(self) -> None:
        with pytest.raises(UserError, match=r"vocab_size 259 is too small.*260"):
            train_bpe(TEXTS, 259)


class TestEncode:
    def test_batches_equal_single_texts(self, bpe: Tokenizer) -> None:
        texts = [TRICKY, "", "a", f"x{END_OF_TEXT}y"]
        assert bpe.encode_batch(texts) == [bpe.encode(t) for t in texts]
        assert bpe.document_ids_batch(texts) == [bpe.document_ids(t) for t in texts]

    def test_a_document_cannot_hold_special_tokens_but_a_prompt_can(self, bpe: Tokenizer) -> None:
        text = f"one{END_OF_TEXT}two"
        ids = bpe.document_ids(text)
        assert ids.count(bpe.eos_id) == 1 and bpe.decode(ids[:-1]) == text
        assert bpe.encode(text).count(bpe.eos_id) == 1  # and still after a document was encoded

    def test_decode_keeps_or_drops_special_tokens(self, bpe: Tokenizer) -> None:
        ids = bpe.document_ids("so")
        assert bpe.decode(ids) == "so" + END_OF_TEXT and bpe.decode(ids, skip_special=True) == "so"


class TestMarks:
    def test_bos_of_the_post_processor(self, with_bos: Path, bpe: Tokenizer) -> None:
        tokenizer = Tokenizer.load(with_bos)
        assert tokenizer.bos_id == 400 and tokenizer.prefix == [400] and tokenizer.vocab_size == 401
        assert tokenizer.encode("a b") == bpe.encode("a b")
        assert tokenizer.document_ids("a b") == [400, *bpe.encode("a b"), 0]
        assert tokenizer.hash != bpe.hash

    def test_a_bos_token_that_is_only_named_is_not_added(self, saved: Path) -> None:
        _edit(saved, "tokenizer_config.json", bos_token=END_OF_TEXT, add_bos_token=True)
        assert Tokenizer.load(saved).bos_id is None

    def test_eos_from_special_tokens_map_and_generation_config(self, with_bos: Path) -> None:
        _edit(with_bos, "tokenizer_config.json", eos_token=None)
        _edit(with_bos, "generation_config.json", eos_token_id=[400, 0])
        assert Tokenizer.load(with_bos).eos_ids == (400, 0)
        _edit(with_bos, "special_tokens_map.json", eos_token={"content": END_OF_TEXT})
        assert Tokenizer.load(with_bos).eos_ids == (0, 400)
        _edit(with_bos, "generation_config.json", eos_token_id=400)
        assert Tokenizer.load(with_bos).eos_ids == (0, 400)

    def test_truncation_in_the_file_does_not_cut_documents(self, saved: Path) -> None:
        backend = tokenizers.Tokenizer.from_file(str(saved / "tokenizer.json"))
        backend.enable_truncation(4)
        backend.enable_padding(length=8)
        backend.save(str(saved / "tokenizer.json"))
        assert len(Tokenizer.load(saved).encode("1234567890")) == 10
        assert len(Tokenizer.load(saved).encode("12")) == 2


class TestRefusals:
    def test_missing_folder_and_file(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="nowhere does not exist"):
            Tokenizer.load(tmp_path / "nowhere")
        with pytest.raises(UserError, match=r"holds no tokenizer\.json: copy"):
            Tokenizer.load(tmp_path)

    @pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "generation_config.json"])
    def test_torn_files(self, saved: Path, name: str) -> None:
        (saved / "generation_config.json").write_text('{"eos_token_id": 0}')
        (saved / name).write_bytes((saved / name).read_bytes()[:-5])
        with pytest.raises(UserError, match=rf"{name} is torn.*copy it from its source again"):
            Tokenizer.load(saved)

    def test_config_that_is_no_object(self, saved: Path) -> None:
        (saved / "tokenizer_config.json").write_text("[]")
        with pytest.raises(UserError, match=r"tokenizer_config\.json does not hold a JSON object"):
            Tokenizer.load(saved)

    def test_no_eos(self, saved: Path) -> None:
        _edit(saved, "tokenizer_config.json", eos_token=None)
        with pytest.raises(UserError, match=r'tokenizer_config\.json names no eos_token.*add "eos_token"'):
            Tokenizer.load(saved)

    def test_eos_outside_the_vocabulary(self, saved: Path) -> None:
        _edit(saved, "generation_config.json", eos_token_id=[0, 400])
        with pytest.raises(UserError, match=r"generation_config\.json has eos_token_id 400 .* ends at 399"):
            Tokenizer.load(saved)
        _edit(saved, "tokenizer_config.json", eos_token="</s>")
        with pytest.raises(UserError, match=r"names eos_token '</s>', which tokenizer\.json does not contain"):
            Tokenizer.load(saved)

    def test_declared_token_with_another_id(self, saved: Path) -> None:
        _edit(saved, "tokenizer_config.json", added_tokens_decoder={"999": {"content": "<x>", "special": True}})
        with pytest.raises(UserError, match=r"gives '<x>' the id 999 but tokenizer\.json makes it 400"):
            Tokenizer.load(saved)


class TestTransformers:
    """transformers as oracle, both for what we write and for what others wrote."""

    @pytest.fixture(scope="class")
    def auto(self) -> Any:
        return pytest.importorskip("transformers").AutoTokenizer

    def test_opens_what_we_save(self, auto: Any, bpe: Tokenizer, saved: Path, tmp_path: Path) -> None:
        theirs = auto.from_pretrained(saved)
        assert theirs.eos_token_id == theirs.pad_token_id == 0 and theirs.bos_token_id is None
        for text in [TRICKY, f"a{END_OF_TEXT}b", *TEXTS[:3]]:
            assert theirs(text).input_ids == bpe.encode(text)
            assert theirs.decode(bpe.encode(text)) == bpe.decode(bpe.encode(text))
        theirs.save_pretrained(tmp_path / "again")
        assert Tokenizer.load(tmp_path / "again").hash == Tokenizer.load(saved).hash == bpe.hash

    def test_adds_bos_when_we_do(self, auto: Any, with_bos: Path, tmp_path: Path) -> None:
        backend = json.loads((with_bos / "tokenizer.json").read_text())
        for post_processor in (backend["post_processor"], None):
            for explicit in (None, True, False):
                (with_bos / "tokenizer.json").write_text(json.dumps({**backend, "post_processor": post_processor}))
                _edit(with_bos, "tokenizer_config.json", add_bos_token=explicit)
                ours = Tokenizer.load(with_bos)
                assert (ours.bos_id is None) == (post_processor is None)
                assert auto.from_pretrained(with_bos)("a b").input_ids == ours.prefix + ours.encode("a b")
                ours.save(tmp_path / "again")
                again = Tokenizer.load(tmp_path / "again")
                assert (again.bos_id, again.hash) == (ours.bos_id, ours.hash)

    @pytest.mark.parametrize("name", ["minimind_6400", "torchtitan_test"])
    def test_same_ids_for_real_tokenizers(self, auto: Any, test_data: Path, tmp_path: Path, name: str) -> None:
        folder = test_data / "tokenizers" / name
        ours, theirs = Tokenizer.load(folder), auto.from_pretrained(folder)
        assert ours.vocab_size == len(theirs) and ours.eos_id == theirs.eos_token_id
        texts = [json.loads(line)["question"] for line in (test_data / "rl_prompts" / "gsm8k_train.jsonl").open()][:50]
        for text in [*texts, "<|im_start|>user\nhi<|im_end|><think>x</think><|pad|>", "naïve 数学 x"]:
            assert ours.prefix + ours.encode(text) == theirs(text).input_ids
        ours.save(tmp_path / "saved")
        opened = auto.from_pretrained(tmp_path / "saved")
        assert [opened(t).input_ids for t in texts] == [theirs(t).input_ids for t in texts]
        assert opened.chat_template == theirs.chat_template
        assert Tokenizer.load(tmp_path / "saved").hash == ours.hash
        theirs.save_pretrained(tmp_path / "theirs")
        assert Tokenizer.load(tmp_path / "theirs").hash == ours.hash


def test_save_keeps_the_models_own_generation_config(bpe: Tokenizer, saved: Path, tmp_path: Path) -> None:
    _edit(saved, "generation_config.json", eos_token_id=[0, 5])
    tokenizer = Tokenizer.load(saved)
    shutil.rmtree(saved)
    tokenizer.save(tmp_path / "new")
    assert Tokenizer.load(tmp_path / "new").eos_ids == (0, 5)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "generation_config.json").write_text('{"eos_token_id": 7}')
    tokenizer.save(tmp_path / "model")
    assert Tokenizer.load(tmp_path / "model").eos_ids == (0, 7)
