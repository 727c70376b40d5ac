"""Shards: what goes in comes out, row by row; what is bad is counted; what is torn is refused by name."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers

from octolab.errors import UserError
from octolab.tokens import shards as module
from octolab.tokens.packing import WINDOW
from octolab.tokens.shards import Shards, is_heldout, write_shards
from octolab.tokens.tokenizer import END_OF_TEXT, Tokenizer, train_bpe

ROW = 32


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_bpe([f"the {i} small words of number {i}" for i in range(50)], 300)


def _documents(n: int, most_words: int = 12, seed: int = 0) -> list[tuple[str, str]]:
    rng = random.Random(seed)
    words = ["the", "small", "words", "number", "7", "42", "\n", "naïve", "数学"]
    return [(f"doc-{i}", f"{i}: " + " ".join(rng.choices(words, k=rng.randint(0, most_words)))) for i in range(n)]


def _stored(shards: Shards) -> list[list[int]]:
    """Every stored piece, in stored order."""
    pieces = []
    for r in range(shards.rows):
        ids, lengths = shards.row(r)
        pieces += [piece.tolist() for piece in np.split(ids, np.cumsum(lengths)[:-1])]
    return pieces


def _edit_manifest(folder: Path, **changes: Any) -> None:
    file = folder / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.fixture
def folder(tokenizer: Tokenizer, tmp_path: Path) -> Path:
    write_shards(tmp_path / "shards", _documents(300, most_words=3), tokenizer, ROW, source="web")
    return tmp_path / "shards"


class TestContent:
    def test_every_document_is_stored_once_or_held_out(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        documents = _documents(3 * WINDOW, most_words=6)  # several windows, so rows are carried over
        summary = write_shards(tmp_path, iter(documents), tokenizer, 128, source="web")
        shards = Shards(tmp_path)
        training = [(i, t) for i, t in documents if not is_heldout(i)]
        held = [t for i, t in documents if is_heldout(i)]
        assert 30 < len(held) <= 64 and shards.heldout() == held
        assert sorted(_stored(shards)) == sorted(tokenizer.document_ids(t) for _, t in training)
        assert all(shards.row(r)[1].sum() <= 128 for r in range(shards.rows))
        tokens = sum(len(tokenizer.document_ids(t)) for _, t in training)
        assert summary == {
            "source": "web",
            "documents": len(training),
            "tokens": tokens,
            "bytes": sum(len(t.encode()) for _, t in training),
            "rows": shards.rows,
            "padding_fraction": 1 - tokens / (shards.rows * 128),
            "heldout_documents": len(held),
            "bad": {},
        }
        assert summary["padding_fraction"] < 0.01
        assert (shards.documents, shards.tokens, shards.row_length) == (len(training), tokens, 128)

    def test_small_documents_fill_large_rows(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        # a whole window is less than one row here: rows must span windows
        summary = write_shards(tmp_path, _documents(5000, 1), tokenizer, 32_768, source="qa", heldout=0)
        assert summary["rows"] == -(-summary["tokens"] // 32_768) < 5

    def test_long_documents_are_cut_into_pieces(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        text = "the number " * 40
        summary = write_shards(tmp_path, [("long", text)], tokenizer, ROW, source="web")
        shards = Shards(tmp_path)
        whole = tokenizer.document_ids(text)
        assert len(whole) > 2 * ROW and summary["documents"] == 1
        expected = [whole[i : i + ROW] for i in range(0, len(whole), ROW)]
        assert sorted(_stored(shards)) == sorted(expected) and shards.manifest["pieces"] == len(expected)

    def test_a_bos_is_stored_once_and_named(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        tokenizer.save(tmp_path / "tok")
        backend = tokenizers.Tokenizer.from_file(str(tmp_path / "tok" / "tokenizer.json"))
        backend.add_special_tokens(["<s>"])
        bos = backend.token_to_id("<s>")
        marks = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", bos)])
        backend.post_processor = marks
        backend.save(str(tmp_path / "tok" / "tokenizer.json"))
        with_bos = Tokenizer.load(tmp_path / "tok")
        write_shards(tmp_path / "s", [("a", "small words"), ("b", "the number")], with_bos, ROW, source="web")
        shards = Shards(tmp_path / "s")
        assert (shards.bos_id, shards.eos_id) == (bos, 0)
        assert all(p[0] == bos and p[-1] == 0 and p.count(bos) == p.count(0) == 1 for p in _stored(shards))
        assert shards.tokenizer_hash == with_bos.hash != tokenizer.hash

    def test_no_text_can_forge_a_document_end(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        write_shards(tmp_path, [("a", f"x{END_OF_TEXT}y")], tokenizer, ROW, source="web")
        (ids,) = _stored(Shards(tmp_path))
        assert ids.count(0) == 1 and tokenizer.decode(ids[:-1]) == f"x{END_OF_TEXT}y"

    def test_large_vocabularies_take_four_bytes(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        class Wide(Tokenizer):
            """As if every id were 70,000 higher."""

            def document_ids_batch(self, texts: Any) -> list[list[int]]:
                return [[i + 70_000 for i in ids] for ids in super().document_ids_batch(texts)]

        tokenizer.save(tmp_path / "tok")
        wide = Wide.load(tmp_path / "tok")
        wide.vocab_size = 70_300
        write_shards(tmp_path / "s", [("a", "small words")], wide, ROW, source="web")
        assert Shards(tmp_path / "s").manifest["dtype"] == "uint32"
        assert _stored(Shards(tmp_path / "s")) == [[i + 70_000 for i in tokenizer.document_ids("small words")]]

    def test_writing_twice_gives_the_same_bytes(self, tokenizer: Tokenizer, folder: Path, tmp_path: Path) -> None:
        write_shards(tmp_path / "again", _documents(300, most_words=3), tokenizer, ROW, source="web")
        names = sorted(file.name for file in folder.iterdir())
        assert names == ["doc_ends.bin", "heldout.jsonl", "manifest.json", "row_ends.bin", "tokens.bin"]
        assert all((folder / n).read_bytes() == (tmp_path / "again" / n).read_bytes() for n in names)


class TestBatch:
    def test_pads_with_eos_and_numbers_the_documents(self, folder: Path) -> None:
        shards = Shards(folder)
        rows = np.array([shards.rows - 1, 0, 0])
        batch = shards.batch(rows)
        assert batch.ids.shape == batch.doc_index.shape == (3, ROW)
        assert (batch.ids.dtype, batch.doc_index.dtype) == (np.int64, np.int32)
        for b, r in enumerate(rows):
            ids, lengths = shards.row(int(r))
            n = len(ids)
            assert np.array_equal(batch.ids[b, :n], ids) and (batch.ids[b, n:] == shards.eos_id).all()
            assert np.bincount(batch.doc_index[b, :n]).tolist() == lengths.tolist()
            assert (np.diff(batch.doc_index[b, :n]) >= 0).all() and (batch.doc_index[b, n:] == -1).all()
            ends = np.cumsum(lengths) - 1
            assert (batch.ids[b, ends] == shards.eos_id).all()

    def test_rows_beyond_the_last_are_a_defect(self, folder: Path) -> None:
        shards = Shards(folder)
        for r in (-1, shards.rows):
            with pytest.raises(AssertionError):
                shards.row(r)


class TestHeldout:
    def test_at_most_as_many_as_asked_for(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        documents = _documents(1000)
        for most in (0, 3):
            summary = write_shards(tmp_path / str(most), documents, tokenizer, ROW, source="web", heldout=most)
            assert summary["heldout_documents"] == len(Shards(tmp_path / str(most)).heldout()) == most
            assert summary["documents"] == 1000 - most

    def test_about_one_in_fifty_by_id_alone(self) -> None:
        held = {i for i in range(20_000) if is_heldout(str(i))}
        assert 320 < len(held) < 480
        assert is_heldout("\ud800") in (True, False)  # an id that is no valid Unicode is an id all the same


class TestBad:
    def test_bad_documents_are_counted_and_named(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        bad: list[Any] = [("e1", ""), ("e2", " \n\t"), ("n", None), ("f", float("nan")), ("u", "half \ud800 a pair")]
        summary = write_shards(tmp_path, [*bad, ("good", "small words")], tokenizer, ROW, source="web")
        assert summary["bad"] == {"empty": 2, "not_text": 2, "invalid_unicode": 1} and summary["documents"] == 1
        manifest = Shards(tmp_path).manifest
        assert manifest["bad_ids"] == {"empty": ["e1", "e2"], "not_text": ["n", "f"], "invalid_unicode": ["u"]}

    def test_nothing_to_train_on_is_refused_by_name(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        held = next(str(i) for i in range(1000) if is_heldout(str(i)))
        cases: list[tuple[list[tuple[str, str]], str]] = [
            ([], "'web' is empty: check its path"),
            ([("a", ""), ("b", "\ud800")], r"'web' has no document to train on \(bad: 1 empty, 1 invalid_unicode\)"),
            ([(held, "small words")], "'web' has only 1 usable documents and all of them are held out"),
        ]
        for documents, message in cases:
            with pytest.raises(UserError, match=message):
                write_shards(tmp_path, documents, tokenizer, ROW, source="web")
            with pytest.raises(UserError, match=r"no finished shards \(no manifest\.json\)"):
                Shards(tmp_path)

    def test_a_row_too_short_is_refused(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="sequence_length 1 of source 'web' is too short"):
            write_shards(tmp_path, _documents(1), tokenizer, 1, source="web")

    def test_a_write_that_stops_half_way_never_looks_whole(
        self, tokenizer: Tokenizer, folder: Path, tmp_path: Path
    ) -> None:
        def stops() -> Iterator[tuple[str, str]]:
            yield from _documents(200)
            raise RuntimeError("killed")

        with pytest.raises(RuntimeError, match="killed"):
            write_shards(folder, stops(), tokenizer, ROW, source="web")  # over finished shards, at that
        with pytest.raises(UserError, match="no finished shards"):
            Shards(folder)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full to stand for a full disk")
    def test_a_full_disk_is_said_in_one_sentence(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        (tmp_path / "tokens.bin").symlink_to("/dev/full")
        with pytest.raises(UserError, match="the disk is full"):
            write_shards(tmp_path, _documents(20), tokenizer, ROW, source="web")
        assert not (tmp_path / "manifest.json").exists()


class TestTorn:
    @pytest.mark.parametrize("name", ["tokens.bin", "doc_ends.bin", "row_ends.bin", "heldout.jsonl"])
    def test_a_file_cut_short_or_missing_is_named(self, folder: Path, name: str) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-1])
        with pytest.raises(
            UserError, match=rf"{name} is torn \(it has {len(content) - 1} bytes.*octolab run .* --redo"
        ):
            Shards(folder)
        (folder / name).unlink()
        with pytest.raises(UserError, match=rf"{name} is torn \(it is missing\)"):
            Shards(folder)

    def test_a_torn_or_foreign_manifest_is_named(self, folder: Path) -> None:
        whole = (folder / "manifest.json").read_text()
        for content, reason in ((whole[:-9], "not JSON"), ("[]", "format 1"), ('{"format": 9}', "format 1")):
            (folder / "manifest.json").write_text(content)
            with pytest.raises(UserError, match=rf"manifest\.json is torn .*{reason}"):
                Shards(folder)

    def test_files_that_do_not_belong_together_are_named(self, folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        for name, message in (("doc_ends.bin", "ends at token"), ("row_ends.bin", "ends at piece")):
            content = (folder / name).read_bytes()
            ends = np.frombuffer(content, "<u8").copy()
            ends[-1] += 1
            (folder / name).write_bytes(ends.tobytes())
            with pytest.raises(UserError, match=rf"{name} is torn \(its last .* {message}"):
                Shards(folder)
            (folder / name).write_bytes(content)
        _edit_manifest(folder, tokens=manifest["tokens"] + 1)
        with pytest.raises(UserError, match=r"tokens\.bin is torn"):
            Shards(folder)

    def test_ends_that_do_not_rise_are_named_when_read(self, folder: Path) -> None:
        ends = np.frombuffer((folder / "doc_ends.bin").read_bytes(), "<u8").copy()
        ends[:-1] = 0
        (folder / "doc_ends.bin").write_bytes(ends.tobytes())
        with pytest.raises(UserError, match=r"doc_ends\.bin is torn \(row 0 "):
            Shards(folder).row(0)

    def test_an_id_outside_the_vocabulary_is_named(
        self, folder: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "CHECK_TOKENS", 100)  # several chunks
        Shards(folder).check(tokenizer.vocab_size)
        ids = np.frombuffer((folder / "tokens.bin").read_bytes(), "<u2").copy()
        ids[[250, 260]] = 65_000, 64_000
        (folder / "tokens.bin").write_bytes(ids.tobytes())
        message = r"tokens\.bin holds token id \[64000, 65000\] at position 250 but the vocabulary ends at "
        with pytest.raises(UserError, match=rf"{message}{tokenizer.vocab_size - 1}: .*'web'"):
            Shards(folder).check(tokenizer.vocab_size)
        Shards(folder).check(70_000)
