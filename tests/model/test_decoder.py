"""The decoder against itself: packed documents, padding, and the cached path."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from octolab.errors import UserError
from octolab.model.cache import KVCache
from octolab.model.config import DecoderConfig, RopeScaling
from octolab.model.decoder import Decoder

VOCAB, POSITIONS = 61, 96


def decoder(family="llama", heads=6, kv_heads=2, **more) -> Decoder:
    config = DecoderConfig.of_family(
        family, vocab_size=VOCAB, width=48, layers=3, heads=heads, kv_heads=kv_heads, ffn=64, positions=POSITIONS,
        tied=True, rope_theta=10000.0,
    )  # fmt: skip
    model = Decoder(DecoderConfig(**(vars(config) | more))).reset(1).requires_grad_(False).eval()
    for weight in model.parameters():  # large enough that attention and positions matter; no bias at zero
        weight.mul_(5 if weight.ndim > 1 else 1).add_(0.1 if weight.ndim == 1 else 0)
    return model


MODELS = {
    "llama": decoder(),
    "one kv head": decoder(heads=6, kv_heads=1),
    "no sharing": decoder(heads=4, kv_heads=4),
    "qwen2": decoder("qwen2"),
    "qwen3": decoder("qwen3"),
    "llama3 rope": decoder(rope_scaling=RopeScaling(8.0, 1.0, 4.0, 32)),
}


@pytest.fixture(params=MODELS)
def model(request) -> Decoder:
    return MODELS[request.param]


def random_ids(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, VOCAB, (count,), generator=torch.Generator().manual_seed(seed))


# -- documents --------------------------------------------------------------------------------------------------


def test_a_packed_document_has_the_logits_it_has_alone(model):
    """Wherever it lies in the row: attention stays inside, and rotary positions depend on differences only."""
    documents = [random_ids(length, length) for length in (13, 1, 30, 7)]
    row = torch.cat([*documents, torch.zeros(9, dtype=torch.long)])
    numbers = torch.cat([torch.full_like(ids, n) for n, ids in enumerate(documents)] + [torch.full((9,), -1)])
    other = torch.cat([documents[2], documents[0], random_ids(17, 5)])
    other_numbers = torch.cat([torch.full((n,), i) for i, n in enumerate((30, 13, 17))])
    packed = model(torch.stack([row, other]), torch.stack([numbers, other_numbers]))
    start = 0
    for ids in documents:
        alone = model(ids[None])[0]
        torch.testing.assert_close(packed[0, start : start + len(ids)], alone, atol=1e-5, rtol=1e-5)
        start += len(ids)
    torch.testing.assert_close(packed[1, 30:43], packed[0, :13], atol=1e-5, rtol=1e-5)


def test_without_the_mask_documents_would_mix(model):
    """Guards the test above."""
    one, two = random_ids(13), random_ids(20, 1)
    mixed = model(torch.cat([one, two])[None])[0]
    torch.testing.assert_close(mixed[:13], model(one[None])[0], atol=1e-5, rtol=1e-5)
    assert (mixed[13:] - model(two[None])[0]).abs().max() > 0.1


def test_one_document_needs_no_mask(model):
    ids = random_ids(40)[None]
    torch.testing.assert_close(model(ids, torch.zeros_like(ids)), model(ids), atol=1e-5, rtol=1e-5)


@settings(max_examples=15)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), st.data())
def test_a_change_in_one_document_stays_in_it(lengths, data):
    model = MODELS["llama"]
    changed = data.draw(st.integers(0, len(lengths) - 1))
    numbers = torch.cat([torch.full((length,), n) for n, length in enumerate(lengths)])[None]
    ids = random_ids(sum(lengths))[None]
    other = torch.where(numbers == changed, (ids + 1) % VOCAB, ids)
    same = model(ids, numbers)[numbers != changed], model(other, numbers)[numbers != changed]
    assert torch.equal(*same)


# -- padding and order --------------------------------------------------------------------------------------------


def test_right_padding_is_harmless(model):
    ids = random_ids(25)
    alone = model(ids[None])[0]
    for pad in (0, 7):
        padded = torch.cat([ids, torch.full((30,), pad)])
        rows = torch.stack([padded, random_ids(55, 9)])
        torch.testing.assert_close(model(rows)[0, :25], alone, atol=1e-5, rtol=1e-5)


def test_a_token_sees_only_what_came_before(model):
    ids = random_ids(30)[None]
    changed = ids.clone()
    changed[0, 20] = (ids[0, 20] + 1) % VOCAB
    before, after = model(ids), model(changed)
    torch.testing.assert_close(before[:, :20], after[:, :20], atol=1e-6, rtol=0)
    assert all((before[0, t] - after[0, t]).abs().max() > 1e-4 for t in range(20, 30))


def test_order_matters(model):
    """Rotary positions: the same tokens in another order give other logits at the end."""
    ids = random_ids(20)
    swapped = torch.cat([ids[:8].flip(0), ids[8:]])
    assert (model(ids[None])[0, -1] - model(swapped[None])[0, -1]).abs().max() > 1e-3


# -- the cached path ----------------------------------------------------------------------------------------------


def prefilled(model: Decoder, rows: list[torch.Tensor], lengths: list[int], places: int, noise: int) -> KVCache:
    """A cache full of noise in whose first rows the first `lengths` tokens of `rows` have been written."""
    torch.manual_seed(noise)
    cache = KVCache(model.config, places, POSITIONS, dtype=torch.float32, device=torch.device("cpu"))
    cache.keys.normal_(0, 10)
    cache.values.normal_(0, 10)
    for row, (ids, length) in enumerate(zip(rows, lengths, strict=True)):
        kept: list[tuple[torch.Tensor, torch.Tensor]] = []
        model.hidden(torch.stack([ids[:length], ids[:length] * 0]), kept=kept)
        cache.fill([row], kept, 0, length)
    return cache


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 10)), min_size=1, max_size=5),
    st.sampled_from(sorted(MODELS)),
    st.integers(0, 3),
)
def test_decode_equals_a_full_forward(shapes, name, spare):
    """Rows of different lengths side by side, in a memory that holds other rows' left-overs."""
    model = MODELS[name]
    rows = [random_ids(prompt + new, prompt) for prompt, new in shapes]
    lengths = [prompt for prompt, _ in shapes]
    cache = prefilled(model, rows, lengths, len(rows) + spare, noise=spare)
    full = [model(ids[None])[0] for ids in rows]
    for step in range(min(new for _, new in shapes)):
        positions = torch.tensor([length + step for length in lengths])
        ids = torch.stack([row[at] for row, at in zip(rows, positions.tolist(), strict=True)])
        logits = model.decode(ids, positions, cache, span=int(positions.max()) + 1 + spare)
        for row, at in enumerate(positions.tolist()):
            torch.testing.assert_close(logits[row], full[row][at], atol=1e-4, rtol=1e-4)


def test_moved_rows_go_on(model):
    """After the last row took a place in the middle, both paths still agree."""
    rows = [random_ids(30, seed) for seed in range(3)]
    cache = prefilled(model, rows, [10, 20, 15], 4, noise=1)
    cache.move([2], [0], 15)
    ids, positions = torch.stack([rows[2][15], rows[1][20]]), torch.tensor([15, 20])
    logits = model.decode(ids, positions, cache, span=21)
    torch.testing.assert_close(logits[0], model(rows[2][None])[0, 15], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(logits[1], model(rows[1][None])[0, 20], atol=1e-4, rtol=1e-4)


def test_one_prefill_serves_a_group(model):
    """A prompt's keys and values copied to several rows, each of which goes its own way."""
    prompt, kept = random_ids(12), []
    model.hidden(prompt[None], kept=kept)
    cache = KVCache(model.config, 3, POSITIONS, dtype=torch.float32, device=torch.device("cpu"))
    cache.fill([0, 1, 2], kept, 0, 12)
    new = torch.tensor([3, 4, 5])
    logits = model.decode(new, torch.full((3,), 12), cache, span=13)
    for row in range(3):
        expected = model(torch.cat([prompt, new[row : row + 1]])[None])[0, -1]
        torch.testing.assert_close(logits[row], expected, atol=1e-4, rtol=1e-4)


# -- configuration ------------------------------------------------------------------------------------------------


def test_counts_its_parameters(model):
    assert model.config.parameters() == sum(weight.numel() for weight in model.parameters())


def test_reset_is_a_function_of_the_seed():
    config = MODELS["qwen2"].config
    one, same, other = Decoder(config).reset(3), Decoder(config).reset(3), Decoder(config).reset(4)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.embedding.weight, other.embedding.weight)
    assert one.embedding.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert one.blocks[0].down.weight.std().item() == pytest.approx(0.02 / 6**0.5, rel=0.05)
    assert (one.blocks[0].qkv.bias == 0).all() and (one.norm.weight == 1).all()


@pytest.mark.parametrize(
    ("change", "named"),
    [({"heads": 7}, "width=48 is not a multiple of heads=7"), ({"kv_heads": 4}, "not a multiple of kv_heads=4"),
     ({"heads": 16, "kv_heads": 16}, "head_dim=3 is odd")],
)  # fmt: skip
def test_sizes_that_do_not_fit(change, named):
    with pytest.raises(UserError, match=named):
        decoder(**change)
