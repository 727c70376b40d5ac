"""The local engine against transformers, against a full forward, and against itself in other layouts."""

from __future__ import annotations

import pytest
import torch

from octolab.engine.base import Request, Sampling
from octolab.engine.local import LocalEngine
from octolab.errors import UserError
from octolab.model.config import DecoderConfig
from octolab.model.decoder import Decoder
from octolab.model.hf import save_checkpoint, to_hf
from octolab.tokens.tokenizer import train_bpe

EOS = 5


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe(["Question: 3 + 4 = 7\nAnswer: it is \\boxed{7}\n\n"] * 20, 280)


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def model(request, tokenizer):
    config = DecoderConfig.of_family(
        request.param, vocab_size=tokenizer.vocab_size, width=48, layers=3, heads=6, kv_heads=2, ffn=64,
        positions=96, tied=True, rope_theta=10000.0,
    )  # fmt: skip
    model = Decoder(config).reset(1)
    with torch.no_grad():  # spread the logits, so that choices are not near ties
        for weight in model.parameters():
            weight.mul_(6 if weight.ndim > 1 else 1)
    return model


def engine_of(model, tokenizer, rows):
    engine = LocalEngine(model.config, tokenizer, rows=rows)
    engine.load_weights(to_hf(model), 3)
    return engine


def prompts(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, 20, (count,), generator=generator).tolist()
    return [tuple(torch.randint(6, 200, (length,), generator=generator).tolist()) for length in lengths]


def test_greedy_equals_transformers_generate(model, tokenizer, tmp_path):
    transformers = pytest.importorskip("transformers")
    save_checkpoint(model, tmp_path, eos_ids=[EOS])
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    engine = engine_of(model, tokenizer, rows=4)
    requests = [Request(i, ids) for i, ids in enumerate(prompts(7))]
    ours = {c.key: c.ids for c in engine.generate(requests, Sampling(0.0, max_tokens=30, stop_ids=(EOS,)))}
    for request in requests:
        ids = torch.tensor([request.prompt_ids])
        full = theirs.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=30, do_sample=False,
                               eos_token_id=EOS, pad_token_id=0)  # fmt: skip
        assert ours[request.key] == full[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_equal_a_full_forward(model, tokenizer, temperature):
    engine = engine_of(model, tokenizer, rows=5)
    requests = [Request(i, ids, 3) for i, ids in enumerate(prompts(4))]
    done = list(engine.generate(requests, Sampling(temperature, max_tokens=25, stop_ids=(EOS,), seed=1)))
    assert len(done) == 12
    for completion in done:
        prompt = requests[completion.key].prompt_ids
        logits = model(torch.tensor([[*prompt, *completion.ids]]))[0, len(prompt) - 1 : -1] / temperature
        logp = logits.log_softmax(-1).gather(-1, torch.tensor(completion.ids)[:, None]).squeeze(-1)
        torch.testing.assert_close(logp, torch.tensor(completion.logprobs), atol=1e-5, rtol=0)
        assert completion.weight_version == 3


def test_finish_comes_from_the_engine(model, tokenizer):
    engine = engine_of(model, tokenizer, rows=8)
    requests = [Request(i, ids, 8) for i, ids in enumerate(prompts(6))]
    stop = tuple(range(0, 120))
    done = list(engine.generate(requests, Sampling(max_tokens=6, stop_ids=stop, seed=2)))
    assert {c.finish for c in done} == {"stop", "length"}
    for completion in done:
        ends = completion.ids[-1] in stop
        assert completion.finish == ("stop" if ends else "length")
        assert not set(completion.ids[:-1]) & set(stop)
        assert len(completion.ids) == 6 or ends


def test_rows_are_retired_and_refilled_without_waste(model, tokenizer):
    """Every decoded row yields a wanted token: first tokens come from the prefill, the others from a step each."""
    engine = engine_of(model, tokenizer, rows=6)
    requests = [Request(i, ids, 4) for i, ids in enumerate(prompts(8))]
    done = list(engine.generate(requests, Sampling(max_tokens=24, stop_ids=tuple(range(40)), seed=3)))
    lengths = [len(c.ids) for c in done]
    assert len(set(lengths)) > 5, "lengths must differ for this test to mean anything"
    assert engine.work.tokens == sum(lengths)
    assert engine.work.decoded_rows == sum(lengths) - len(lengths)
    assert engine.work.prefilled_tokens == sum(len(r.prompt_ids) for r in requests), "one prefill a group"
    static = -(-len(lengths) // 6) * max(lengths)
    assert engine.work.decode_steps < 0.8 * static, "static batches would wait for their longest row"


def test_tokens_do_not_depend_on_the_layout(model, tokenizer):
    requests = [Request(f"p{i}", ids, 5) for i, ids in enumerate(prompts(6))]
    sampling = Sampling(max_tokens=20, stop_ids=(EOS,), seed=7, step=2)

    def run(rows, order):
        engine = engine_of(model, tokenizer, rows)
        return {(c.key, c.sample): c for c in engine.generate([requests[i] for i in order], sampling)}

    one, same, other = run(30, range(6)), run(30, range(6)), run(4, [5, 2, 0, 1, 4, 3])
    assert {k: (c.ids, c.logprobs) for k, c in one.items()} == {k: (c.ids, c.logprobs) for k, c in same.items()}
    assert {k: c.ids for k, c in one.items()} == {k: c.ids for k, c in other.items()}
    changed = Sampling(max_tokens=20, stop_ids=(EOS,), seed=7, step=3)
    again = {(c.key, c.sample): c.ids for c in engine_of(model, tokenizer, 30).generate(requests, changed)}
    assert again != {k: c.ids for k, c in one.items()}


def test_sampling_follows_the_distribution(model, tokenizer):
    engine = engine_of(model, tokenizer, rows=512)
    prompt = prompts(1)[0]
    done = engine.generate([Request(0, prompt, 4000)], Sampling(max_tokens=1, seed=11))
    counts = torch.bincount(torch.tensor([c.ids[0] for c in done]), minlength=model.config.vocab_size) / 4000
    probability = model(torch.tensor([prompt]))[0, -1].softmax(-1)
    assert (counts - probability).abs().sum() < 4 * (probability / 4000).sqrt().sum() * 0.5
    nucleus = engine.generate([Request(0, prompt, 500)], Sampling(max_tokens=1, seed=11, top_p=0.3))
    order = probability.argsort(descending=True)
    size = int((probability[order].cumsum(0) < 0.3).sum()) + 1
    assert {c.ids[0] for c in nucleus} <= set(order[:size].tolist())


def test_stop_strings_end_a_row_and_are_kept_in_ids(model, tokenizer):
    engine = engine_of(model, tokenizer, rows=8)
    requests = [Request(i, ids, 16) for i, ids in enumerate(prompts(4))]
    free = list(engine.generate(requests, Sampling(max_tokens=20, seed=5)))
    texts = {(c.key, c.sample): tokenizer.decode(c.ids) for c in free}
    stop = next(t[8:11] for t in texts.values() if len(t) > 12 and t[8:11].isascii() and t[8:11].strip())
    for completion in engine.generate(requests, Sampling(max_tokens=20, seed=5, stop_strings=(stop,))):
        whole = texts[completion.key, completion.sample]
        text = tokenizer.decode(completion.ids)
        assert (stop in text) == (stop in whole)
        assert completion.finish == ("stop" if stop in whole else "length")
        assert stop not in tokenizer.decode(completion.ids[:-1])


def test_stale_weights_show_in_the_logprobs(model, tokenizer):
    engine = engine_of(model, tokenizer, rows=4)
    sampling = Sampling(max_tokens=5, seed=1)
    before = next(engine.generate([Request(0, prompts(1)[0])], sampling))
    engine.load_weights([(n, t * 1.1) for n, t in to_hf(model)], 4)
    after = next(engine.generate([Request(0, prompts(1)[0])], sampling))
    assert after.weight_version == 4 and after.logprobs != before.logprobs


def test_prompt_beyond_the_context(model, tokenizer):
    engine = engine_of(model, tokenizer, rows=2)
    with pytest.raises(UserError, match="96"):
        next(engine.generate([Request("long", (7,) * 96)], Sampling()))
    tail = next(engine.generate([Request("tight", (7,) * 90)], Sampling(max_tokens=50)))
    assert len(tail.ids) == 6 and tail.finish == "length"
