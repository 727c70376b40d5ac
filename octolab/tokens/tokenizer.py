"""The tokenizer: text in, token ids out, and what the ids mean.

In goes a folder that holds `tokenizer.json` and `tokenizer_config.json` (any Hugging Face checkpoint), or
texts from which a byte-level BPE vocabulary is learned. Out comes a `Tokenizer` that says which token ends
a document, whether one begins it, and a hash by which shards, checkpoints and rollouts recognise each other.
Ids equal those of `transformers.AutoTokenizer`; transformers itself is not needed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers

from octolab.errors import UserError

END_OF_TEXT = "<|endoftext|>"
MIN_VOCABULARY = 260
"""256 bytes, the end-of-text token, and at least a few merges."""
SIDE_FILES = ("special_tokens_map.json", "chat_template.jinja", "generation_config.json")
"""Small files beside tokenizer.json that say how the tokenizer is used; `save` carries them along."""
TOKEN_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


class Tokenizer:
    """A `tokenizers.Tokenizer` together with its document marks.

    Attributes:
        eos_id: ends every stored document.
        eos_ids: every id that ends a completion; `eos_id` first, then those of generation_config.json.
        bos_id: begins every document and prompt, or None when the tokenizer adds none.
        prefix: `[bos_id]` or `[]`.
        vocab_size: largest id + 1, added tokens included. A checkpoint may have more rows than that.
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        config: dict[str, Any],
        side_files: dict[str, bytes] | None = None,
        folder: str = "the tokenizer",
    ) -> None:
        """`config` is the content of tokenizer_config.json, `folder` names the origin in messages."""
        self._backend = backend
        self._config = config
        self._side_files = dict(side_files or {})
        self._folder = folder
        backend.no_truncation()
        backend.no_padding()
        self._add_declared_tokens()
        self.vocab_size: int = max(backend.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        self.eos_ids: tuple[int, ...] = self._find_eos()
        self.eos_id: int = self.eos_ids[0]
        self.bos_id: int | None = self._find_bos()
        self.prefix: list[int] = [] if self.bos_id is None else [self.bos_id]

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """Open the tokenizer in folder `path`. Raises UserError when a file is missing, torn or unfit."""
        folder = Path(path)
        file = folder / "tokenizer.json"
        if not folder.is_dir():
            raise UserError(f"tokenizer folder {folder} does not exist: name a folder that holds tokenizer.json")
        if not file.is_file():
            raise UserError(
                f"{folder} holds no tokenizer.json: copy the one of its base model there, or write one with "
                "transformers' AutoTokenizer.save_pretrained"
            )
        try:
            backend = tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises bare Exception for every kind of unreadable file
            raise UserError(f"{file} is torn or not a tokenizer ({error}): copy it from its source again") from error
        config = _read_json(folder / "tokenizer_config.json")
        side_files = {name: (folder / name).read_bytes() for name in SIDE_FILES if (folder / name).is_file()}
        return cls(backend, config, side_files, str(folder))

    def save(self, folder: str | Path) -> None:
        """Write files that `Tokenizer.load` and `transformers.AutoTokenizer.from_pretrained` open alike.

        A generation_config.json that is already in `folder` is the model's and stays.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._backend.save(str(folder / "tokenizer.json"))
        config = {"tokenizer_class": "PreTrainedTokenizerFast", **self._config}
        if not config.get("eos_token"):
            config["eos_token"] = self._backend.id_to_token(self.eos_id)
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
        for name, content in self._side_files.items():
            if name != "generation_config.json" or not (folder / name).exists():
                (folder / name).write_bytes(content)

    @cached_property
    def hash(self) -> str:
        """sha256 (hex) of what decides the ids: tokenizer.json in canonical form, bos_id and eos_id.

        Truncation, padding and the post-processor are left out: none of them changes a stored document
        beyond bos and eos, and other programs rewrite them when they save a checkpoint.
        """
        content = json.loads(self._backend.to_str())
        for key in ("truncation", "padding", "post_processor"):
            content.pop(key, None)
        content["marks"] = {"bos_id": self.bos_id, "eos_id": self.eos_id}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, nothing added. The name of a special token in `text` becomes that token, as in
        transformers, so rendered chat templates work."""
        return self._backend.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` for many texts at once, in parallel."""
        return [e.ids for e in self._backend.encode_batch_fast(list(texts), add_special_tokens=False)]

    def document_ids(self, text: str) -> list[int]:
        """Ids of a whole document: `prefix`, text, `eos_id`."""
        return self.document_ids_batch([text])[0]

    def document_ids_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`document_ids` for many texts at once.

        A document is plain text: where a page spells the name of a special token it is stored as ordinary
        tokens, so that no page can end its own document or forge a turn of a conversation.
        """
        self._backend.encode_special_tokens = True
        try:
            encoded = self.encode_batch(texts)
        finally:
            self._backend.encode_special_tokens = False
        return [[*self.prefix, *ids, self.eos_id] for ids in encoded]

    def decode(self, ids: Sequence[int], skip_special: bool = False) -> str:
        """Text of `ids`. Bytes that are no valid UTF-8 come out as U+FFFD."""
        return self._backend.decode(list(ids), skip_special_tokens=skip_special)

    def token_text(self, token_id: int) -> str:
        """Text of one token; part of a multi-byte character shows as U+FFFD."""
        return self.decode([token_id])

    def _add_declared_tokens(self) -> None:
        """Add tokens that only tokenizer_config.json declares, as transformers does when it loads."""
        known = {token.content: token.__getstate__() for token in self._backend.get_added_tokens_decoder().values()}
        declared = self._config.get("added_tokens_decoder") or {}
        for token_id, fields in sorted(declared.items(), key=lambda item: int(item[0])):
            flags = {name: bool(fields[name]) for name in TOKEN_FLAGS if name in fields}
            token = AddedToken(fields["content"], **flags)
            if known.get(token.content) == token.__getstate__():
                continue
            self._backend.add_tokens([token])
            found = self._backend.token_to_id(fields["content"])
            if found != int(token_id):
                raise UserError(
                    f"{self._folder}/tokenizer_config.json gives {fields['content']!r} the id {token_id} but "
                    f"tokenizer.json makes it {found}: take both files from the same checkpoint"
                )

    def _named_id(self, name: str, where: str, content: dict[str, Any]) -> int | None:
        """Id of the special token called `name` in `content`, None when it is not set."""
        value = content.get(name)
        token = value.get("content") if isinstance(value, dict) else value
        if not token:
            return None
        token_id = self._backend.token_to_id(token)
        if token_id is None:
            raise UserError(
                f"{self._folder}/{where} names {name} {token!r}, which tokenizer.json does not contain: "
                "take both files from the same checkpoint"
            )
        return token_id

    def _side_json(self, name: str) -> dict[str, Any]:
        if name not in self._side_files:
            return {}
        return _parse_json(self._side_files[name], f"{self._folder}/{name}")

    def _find_eos(self) -> tuple[int, ...]:
        eos = self._named_id("eos_token", "tokenizer_config.json", self._config)
        if eos is None:
            eos = self._named_id("eos_token", "special_tokens_map.json", self._side_json("special_tokens_map.json"))
        generation = self._side_json("generation_config.json").get("eos_token_id")
        more = [] if generation is None else generation if isinstance(generation, list) else [generation]
        ids = tuple(dict.fromkeys([*([] if eos is None else [eos]), *more]))
        if not ids:
            raise UserError(
                f"{self._folder}/tokenizer_config.json names no eos_token, nor do special_tokens_map.json and "
                'generation_config.json: add "eos_token": "<the token that ends a text>" to tokenizer_config.json'
            )
        beyond = [i for i in more if not 0 <= i < self.vocab_size]
        if beyond:
            raise UserError(
                f"{self._folder}/generation_config.json has eos_token_id {beyond[0]} but the vocabulary ends at "
                f"{self.vocab_size - 1}: take both files from the same checkpoint"
            )
        return ids

    def _find_bos(self) -> int | None:
        """What the post-processor puts before a text. Like transformers, which drops add_bos_token where
        there is a tokenizer.json, this goes by what happens and not by what the config says."""
        plain = self._backend.encode("a", add_special_tokens=False).ids
        marked = self._backend.encode("a", add_special_tokens=True).ids
        return marked[0] if marked[:1] != plain[:1] else None


def train_bpe(texts: Iterable[str], vocab_size: int, *, split_digits: bool = True) -> Tokenizer:
    """Learn a byte-level BPE vocabulary (Sennrich et al. 2016; byte level: GPT-2) of at most `vocab_size`.

    All 256 bytes are in the alphabet, so no text is unknown and decoding gives it back exactly. Words are
    split by GPT-2's pattern; with `split_digits` every digit is a token of its own, which helps arithmetic
    (Llama 1 does the same). The only special token is <|endoftext|>, id 0, eos and padding; no bos is added.
    The result depends on nothing but `texts` and the arguments. A lone surrogate counts as "?".
    Raises UserError for vocab_size < 260.
    """
    if vocab_size < MIN_VOCABULARY:
        raise UserError(
            f"tokenizer vocab_size {vocab_size} is too small: 256 bytes and {END_OF_TEXT} come first, "
            f"so set it to {MIN_VOCABULARY} or more"
        )
    backend = tokenizers.Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    digits = [pre_tokenizers.Digits(individual_digits=True)] if split_digits else []
    backend.pre_tokenizer = pre_tokenizers.Sequence([*digits, byte_level])
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    clean = (text.encode("utf-8", "replace").decode("utf-8") for text in texts)
    backend.train_from_iterator(clean, trainer)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": END_OF_TEXT,
        "pad_token": END_OF_TEXT,
        "clean_up_tokenization_spaces": False,
    }
    return Tokenizer(backend, config)


def _read_json(file: Path) -> dict[str, Any]:
    return _parse_json(file.read_bytes(), str(file)) if file.is_file() else {}


def _parse_json(content: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except ValueError as error:
        raise UserError(f"{where} is torn or not JSON ({error}): copy it from its source again") from error
    if not isinstance(value, dict):
        raise UserError(f"{where} does not hold a JSON object: copy it from its source again")
    return value
