"""Saves: weights and moments to the bit, whole or not there, the newest one counts."""

from __future__ import annotations

import pytest
import torch

from octolab.errors import UserError
from octolab.midtrain import checkpoint
from octolab.midtrain.checkpoint import latest, load_training, restore_optimizer, save_training, step_folder
from octolab.midtrain.optimizer import guarded_step, make_optimizer
from octolab.model.decoder import Decoder
from octolab.model.hf import load_checkpoint


def stepped(world, steps=3):
    """A model and its optimizer after a few steps."""
    model = Decoder(world.config).reset(5)
    optimizer = make_optimizer(model, 0.1, (0.9, 0.95))
    for step in range(steps):
        ids = torch.randint(0, 250, (2, 16), generator=torch.Generator().manual_seed(step))
        model(ids).logsumexp(-1).mean().backward()
        guarded_step(optimizer, model, 1e-3, 1.0)
    return model, optimizer


def same_bits(one: torch.Tensor, two: torch.Tensor) -> bool:
    return one.dtype == two.dtype and torch.equal(one.view(torch.int32), two.view(torch.int32))


@pytest.mark.parametrize("steps", [3, 0])
def test_round_trip_to_the_bit(world, tmp_path, steps):
    model, optimizer = stepped(world, steps)
    folder = save_training(tmp_path, 3, model, world.tokenizer, optimizer, {"tokens_seen": 99})
    other = Decoder(world.config).reset(6)
    fresh = make_optimizer(other, 0.1, (0.9, 0.95))
    assert load_training(folder, other, fresh) == {"step": 3, "tokens_seen": 99}
    for (name, mine), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        assert same_bits(mine, theirs), name
        assert optimizer.state[mine].keys() == fresh.state[theirs].keys()
        for part, value in optimizer.state[mine].items():
            assert same_bits(value, fresh.state[theirs][part]), (name, part)


def test_training_goes_on_as_if_nothing_had_happened(world, tmp_path):
    model, optimizer = stepped(world)
    folder = save_training(tmp_path, 3, model, world.tokenizer, optimizer, {})
    other = Decoder(world.config)
    fresh = make_optimizer(other, 0.1, (0.9, 0.95))
    load_training(folder, other, fresh)
    for pair in ((model, optimizer), (other, fresh)):
        pair[0](torch.arange(20)[None]).logsumexp(-1).mean().backward()
        guarded_step(pair[1], pair[0], 1e-3, 1.0)
    assert all(same_bits(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_newest_counts_and_older_ones_go(world, tmp_path):
    assert latest(tmp_path) is None
    model, optimizer = stepped(world, 1)
    for step in (9, 10, 100):
        save_training(tmp_path, step, model, world.tokenizer, optimizer, {})
        assert latest(tmp_path) == step_folder(tmp_path, step)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000100"]


def test_a_half_written_save_does_not_count(world, tmp_path, monkeypatch):
    model, optimizer = stepped(world, 1)
    save_training(tmp_path, 1, model, world.tokenizer, optimizer, {})

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_json", full)
    with pytest.raises(UserError, match=r"step-00000002: the disk is full"):
        save_training(tmp_path, 2, model, world.tokenizer, optimizer, {})
    assert latest(tmp_path) == step_folder(tmp_path, 1)
    (tmp_path / "checkpoints" / "step-00000007.partial").mkdir()  # as a kill would leave it
    assert latest(tmp_path) == step_folder(tmp_path, 1)
    load_training(step_folder(tmp_path, 1), model, optimizer)


def test_every_save_is_a_checkpoint_for_other_tools(world, tmp_path):
    transformers = pytest.importorskip("transformers")
    model, optimizer = stepped(world, 1)
    folder = save_training(tmp_path, 1, model, world.tokenizer, optimizer, {})
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = torch.arange(30)[None]
    torch.testing.assert_close(theirs(ids).logits, model(ids), atol=1e-4, rtol=0)
    assert transformers.AutoTokenizer.from_pretrained(folder).encode("3+4=7") == world.tokenizer.encode("3+4=7")


def test_checkpoint_from_elsewhere_has_no_moments(world):
    model = load_checkpoint(world.parent)
    optimizer = make_optimizer(model, 0.1, (0.9, 0.95))
    assert restore_optimizer(world.parent, model, optimizer) is False
    assert not optimizer.state


def test_torn_moments_are_named(world, tmp_path):
    model, optimizer = stepped(world, 1)
    folder = save_training(tmp_path, 1, model, world.tokenizer, optimizer, {})
    file = folder / "trainer" / "moments.safetensors"
    file.write_bytes(file.read_bytes()[:-64])
    with pytest.raises(UserError, match=r"moments\.safetensors is torn"):
        restore_optimizer(folder, model, optimizer)
