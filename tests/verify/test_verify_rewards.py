"""Our reward functions in the hands of TRL and verl, and the pool in those of asyncio and Ray."""

from __future__ import annotations

import asyncio
import os
import pickle
from pathlib import Path

import pytest

from octolab.verify import Verifier
from octolab.verify.rewards import trl_reward, verl_reward

GOOD, BAD = r"so \boxed{0.5}", r"so \boxed{2}"


def test_trl_reward_reads_texts_and_messages() -> None:
    messages = [[{"role": "assistant", "content": GOOD}], [{"role": "assistant", "content": BAD}]]
    assert trl_reward([GOOD, BAD, "none"], answer=["1/2"] * 3, prompts=["?"] * 3) == [1.0, 0.0, 0.0]
    assert trl_reward(messages, ground_truth=["1/2", "1/2"]) == [1.0, 0.0]
    assert trl_reward([GOOD], solution=[""]) == [None]  # an empty gold is not the model's fault
    with pytest.raises(ValueError, match="column"):
        trl_reward([GOOD])


def test_verl_reward_has_verls_signature_and_keys() -> None:
    assert verl_reward("math", GOOD, r"\frac{1}{2}", extra_info={"index": 3}) == {
        "score": 1.0,
        "acc": True,
        "pred": "0.5",
        "verdict": "correct",
    }
    assert verl_reward(data_source="m", solution_str="none", ground_truth="1")["score"] == 0.0
    assert verl_reward("m", GOOD, "")["verdict"] == "error"


def test_trls_trainer_takes_our_reward(tmp_path: Path) -> None:
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from trl import GRPOConfig, GRPOTrainer

    words = ["<pad>", "<eos>", "?", "1", "2", r"\boxed{1}", r"\boxed{2}"]
    raw = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="?"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="<eos>")
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=32,
        )
    )
    settings = GRPOConfig(
        output_dir=str(tmp_path),
        max_steps=2,
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=4,
        report_to=[],
        save_strategy="no",
        logging_steps=1,
        use_cpu=True,
        disable_tqdm=True,
    )
    data = Dataset.from_list([{"prompt": "1 ?", "answer": "1"}, {"prompt": "2 ?", "answer": "2"}] * 4)
    trainer = GRPOTrainer(model, reward_funcs=trl_reward, args=settings, train_dataset=data, processing_class=tokenizer)
    trainer.train()
    logged = [entry["rewards/trl_reward/mean"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(logged) == 2 and all(0 <= value <= 1 for value in logged)


def test_a_pickled_pool_is_a_pool_of_the_other_process() -> None:
    with Verifier(workers=1, seconds=2.0, memory_mb=300) as verifier:
        copy = pickle.loads(pickle.dumps(verifier))
        with copy:
            assert copy is not verifier and copy.seconds == 2.0
            assert copy.grade([("1/2", GOOD)])[0].correct


def test_from_asyncio() -> None:
    async def both() -> list[str]:
        with Verifier(workers=2) as verifier:
            batches = [asyncio.to_thread(verifier.grade, [("1/2", text)] * 20) for text in (GOOD, BAD)]
            return [verdicts[-1].verdict for verdicts in await asyncio.gather(*batches)]

    assert asyncio.run(both()) == ["correct", "wrong"]


def test_inside_ray() -> None:
    ray = pytest.importorskip("ray", reason="ray is not installed")
    ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": os.getcwd()}})
    try:

        @ray.remote
        class Rewarder:
            def __init__(self, verifier: Verifier) -> None:
                self.verifier = verifier

            def grade(self, texts: list[str]) -> list[str]:
                return [verdict.verdict for verdict in self.verifier.grade(("1/2", text) for text in texts)]

        with Verifier(workers=1) as verifier:
            actors = [Rewarder.remote(verifier) for _ in range(2)]
            assert ray.get([actor.grade.remote([GOOD, BAD]) for actor in actors]) == [["correct", "wrong"]] * 2
    finally:
        ray.shutdown()
