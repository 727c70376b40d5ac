"""`octolab sample`: completions of one prompt by a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from octolab.errors import UserError


def complete(
    checkpoint: Path, prompt: str, n: int, max_tokens: int, temperature: float, template: str | None, seed: int
) -> list[dict[str, Any]]:
    """`n` completions, each with text, finish reason and tokens.

    Raises:
        UserError: the checkpoint is absent, or the prompt is empty or too long.
    """
    from octolab.engine.base import Request, Sampling
    from octolab.engine.local import LocalEngine
    from octolab.midtrain.checkpoint import find_checkpoint
    from octolab.midtrain.trainer import pick_device
    from octolab.model.hf import load_checkpoint, to_hf
    from octolab.tasks.templates import template as named
    from octolab.tokens.tokenizer import Tokenizer

    folder = find_checkpoint(checkpoint)
    if not prompt:
        raise UserError("the prompt is empty; give some text")
    frame = named(template) if template else None
    tokenizer = Tokenizer.load(folder)
    ids = (*tokenizer.prefix, *tokenizer.encode(frame.render(prompt) if frame else prompt))
    model = load_checkpoint(folder)
    engine = LocalEngine(model.config, tokenizer, rows=n, device=pick_device())
    engine.load_weights(to_hf(model), 0)
    sampling = Sampling(
        temperature=temperature,
        max_tokens=max_tokens,
        stop_ids=tokenizer.eos_ids,
        stop_strings=frame.stop_strings if frame else (),
        seed=seed,
    )
    done = sorted(engine.generate([Request("sample", ids, n)], sampling), key=lambda one: one.sample)
    return [
        {"text": tokenizer.decode(one.ids, skip_special=True), "finish": one.finish, "tokens": len(one.ids)}
        for one in done
    ]
