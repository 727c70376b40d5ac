"""A checkpoint that transformers wrote, brought in by path: trained, trained by RL, evaluated, and opened again by
transformers with the same logits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_recipe import sums, write_lines

from octolab.model.hf import load_checkpoint
from octolab.tokens.tokenizer import Tokenizer

SIZE = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}


def hf_tokenizer(family: str, bos: bool):
    """A byte-level BPE tokenizer of transformers; with `bos` its post-processor puts <s> before a text.

    Words are split as the family does: transformers opens every qwen2 folder with Qwen's own splitting, whatever
    tokenizer.json says.
    """
    from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from tokenizers import Tokenizer as Backend
    from transformers import PreTrainedTokenizerFast
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if family == "qwen2":
        backend.normalizer = normalizers.NFC()
        words = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated")
        bytes_of_words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence([words, bytes_of_words])
    backend.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    backend.train_from_iterator([row["question"] + row["solution"] for row in sums(0, 40, "s")], trainer)
    if bos:
        backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


def write_model(folder: Path, family: str, tied: bool, bos: bool) -> Path:
    """A random checkpoint as transformers saves it."""
    import transformers

    torch.manual_seed(7)
    kinds = {"llama": ("LlamaConfig", "LlamaForCausalLM"), "qwen2": ("Qwen2Config", "Qwen2ForCausalLM")}
    config, model = (getattr(transformers, name) for name in kinds[family])
    made = model(config(**SIZE, tie_word_embeddings=tied, bos_token_id=0 if bos else None, eos_token_id=1))
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if name.endswith("bias"):
                weight.normal_()
    made.save_pretrained(folder)
    hf_tokenizer(family, bos).save_pretrained(folder)
    return folder


def assert_transformers_agrees(folder: Path, bos: bool) -> None:
    """Ids equal, and logits within 1e-4 of ours."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    theirs, ours = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), load_checkpoint(folder)
    texts = ["What is 3 + 4?", "Zażółć 12,5 \n\n  x"]
    peer, own = AutoTokenizer.from_pretrained(folder), Tokenizer.load(folder)
    assert (peer.eos_token_id, theirs.generation_config.eos_token_id) == (own.eos_id, own.eos_id)
    assert own.prefix == ([0] if bos else [])
    for text in texts:
        ids = [*own.prefix, *own.encode(text)]
        assert peer(text)["input_ids"] == ids
        with torch.no_grad():
            expected = theirs(torch.tensor([ids])).logits
            logits = ours.head(ours.hidden(torch.tensor([ids])))
        assert torch.allclose(logits, expected, atol=1e-4, rtol=0), float((logits - expected).abs().max())


def checkpoint_of(out: Path, node: str) -> Path:
    manifest = json.loads((out / "stages" / node / "manifest.json").read_text())
    return out / manifest["outputs"]["checkpoint"]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in load_checkpoint(folder).named_parameters()}


@pytest.mark.parametrize(
    ("family", "tied", "bos"),
    [("llama", False, True), ("llama", True, False), ("qwen2", True, False), ("qwen2", False, True)],
)
def test_brought_in_trained_rled_evaluated_and_opened_again(octolab, world, tmp_path, family, tied, bos):
    base = write_model(tmp_path / "base", family, tied, bos)
    assert_transformers_agrees(base, bos)
    before = weights(base)

    trained = tmp_path / "trained"
    source = f"short={world / 'short.jsonl'}:1.0"
    words = ["train", base, "--source", source, "--steps", 4, "--lr", 1e-3, "--sequences-per-step", 2]
    words += ["--sequence-length", 48, "--set", "sources.short.convert=short_cot", "--out", trained, "--json"]
    assert octolab(*words).value["nodes"]["train"]["how"] == "made"
    manifest = json.loads((trained / "stages" / "shards" / "short" / "shards" / "manifest.json").read_text())
    assert (manifest["bos_id"], manifest["eos_id"]) == (0 if bos else None, 1)
    middle = checkpoint_of(trained, "train")
    assert_transformers_agrees(middle, bos)
    after = weights(middle)
    assert after.keys() == before.keys() and all(not torch.equal(after[name], before[name]) for name in before)

    rl = tmp_path / "rl"
    words = ["rl", middle, "--prompts", world / "prompts.jsonl", "--steps", 2, "--out", rl, "--json"]
    fields = {"prompts_per_step": 2, "samples_per_prompt": 4, "max_tokens": 12, "learning_rate": 1e-3}
    words += [word for name, value in fields.items() for word in ("--set", f"stages.rl.{name}={value}")]
    words += ["--set", "stages.rl.reward=tiny_reward:parity"]
    assert octolab(*words).value["report"] == str(rl / "report.html")
    last = checkpoint_of(rl, "rl")
    assert_transformers_agrees(last, bos)
    assert any(not torch.equal(weight, after[name]) for name, weight in weights(last).items())

    scored = tmp_path / "scored"
    words = ["evaluate", last, "--benchmark", world / "test.jsonl", "--set", "stages.eval.max_tokens=6"]
    words += ["--out", scored, "--json"]
    assert octolab(*words).value["report"] == str(scored / "report.html")
    scores = json.loads((scored / "summary.json").read_text())["models"]["base"]["before"]
    assert set(scores) == {"test"} and scores["test"]["n"] == 4

    text = octolab("sample", last, "What is 1 + 2?", "--max-tokens", 4, "--temperature", 0, "--json").value[0]
    assert text["tokens"] <= 4


def test_greedy_samples_equal_transformers_generate(octolab, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = write_model(tmp_path / "base", "llama", False, True)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    given = tokenizer("What is 3 + 4?", return_tensors="pt")
    made = model.generate(input_ids=given["input_ids"], max_new_tokens=12, do_sample=False, pad_token_id=1)
    expected = tokenizer.decode(made[0, given["input_ids"].shape[1] :], skip_special_tokens=True)
    done = octolab("sample", base, "What is 3 + 4?", "--max-tokens", 12, "--temperature", 0, "--json").value
    assert done[0]["text"] == expected


def test_another_seed_samples_otherwise_and_a_second_call_reuses(octolab, world, tmp_path):
    base = write_model(tmp_path / "base", "llama", True, False)
    words = ["evaluate", base, "--benchmark", world / "test.jsonl", "--out", tmp_path / "run", "--json"]
    words += ["--set", "stages.eval.max_tokens=6", "--set", "stages.eval.temperature=1"]
    assert octolab(*words).value["nodes"]["eval/base"]["how"] == "made"
    samples = (tmp_path / "run" / "stages" / "eval" / "base" / "samples.jsonl").read_bytes()
    assert octolab(*words).value["nodes"]["eval/base"]["how"] == "reused"
    assert octolab(*words, "--set", "seed=1").value["nodes"]["eval/base"]["how"] == "made"
    assert (tmp_path / "run" / "stages" / "eval" / "base" / "samples.jsonl").read_bytes() != samples


def test_a_benchmark_whose_file_has_an_odd_name(octolab, world, tmp_path):
    base = write_model(tmp_path / "base", "llama", True, False)
    write_lines(tmp_path / "my set [v2].jsonl", sums(0, 2, "o"))
    words = ["evaluate", base, "--benchmark", tmp_path / "my set [v2].jsonl", "--out", tmp_path / "run"]
    assert octolab(*words, "--set", "stages.eval.max_tokens=2").code == 0
    scores = json.loads((tmp_path / "run" / "summary.json").read_text())["models"]["base"]["before"]
    assert set(scores) == {"my_set_v2_"}
