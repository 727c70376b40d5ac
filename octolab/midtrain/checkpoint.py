"""Saving and taking up training: weights, Adam's moments, and where the logs stood.

`checkpoints/step-00000120/` is a whole Hugging Face folder (any tool opens it) with a subfolder `trainer`:
`moments.safetensors` by parameter name and `state.json` (step, counters, log offsets). Folders appear by rename
only; the newest one counts, older ones are removed after it is there. A branch reads the moments and ignores
the state: new plan, new schedule.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from octolab.errors import UserError
from octolab.model.decoder import Decoder
from octolab.model.hf import load_checkpoint, save_checkpoint
from octolab.store.atomic import PARTIAL, new_folder, read_json, write_json
from octolab.tokens.tokenizer import Tokenizer

MOMENTS = ("exp_avg", "exp_avg_sq")


def step_folder(out: Path, step: int) -> Path:
    """Folder of one save."""
    return out / "checkpoints" / f"step-{step:08d}"


def latest(out: Path) -> Path | None:
    """The newest whole save below `out`, if any."""
    saves = sorted(path for path in (out / "checkpoints").glob("step-*") if path.suffix != PARTIAL)
    return saves[-1] if saves else None


def find_checkpoint(folder: Path) -> Path:
    """The checkpoint in a Hugging Face folder or in a stage's folder of a run.

    Raises:
        UserError: there is none.
    """
    for place in (folder, latest(folder), folder / "checkpoint"):
        if place is not None and (place / "config.json").exists():
            return place
    raise UserError(f"{folder} holds no checkpoint; give a Hugging Face folder or a stage's folder of a run")


def save_training(
    out: Path,
    step: int,
    model: Decoder,
    tokenizer: Tokenizer,
    optimizer: torch.optim.AdamW,
    state: dict[str, Any],
) -> Path:
    """Write a save and remove older ones."""
    from safetensors.torch import save_file

    folder = step_folder(out, step)
    with new_folder(folder) as partial:
        save_checkpoint(model, partial, bos_id=tokenizer.bos_id, eos_ids=tokenizer.eos_ids)
        tokenizer.save(partial)
        (partial / "trainer").mkdir()
        save_file(_moments(model, optimizer), partial / "trainer" / "moments.safetensors")
        write_json(partial / "trainer" / "state.json", {"step": step} | state)
    for path in (out / "checkpoints").iterdir():
        if path != folder:
            shutil.rmtree(path, ignore_errors=True)
    return folder


def _moments(model: Decoder, optimizer: torch.optim.AdamW) -> dict[str, torch.Tensor]:
    moments = {}
    for name, weight in model.named_parameters():
        state = optimizer.state.get(weight, {})
        for part in (*MOMENTS, "step"):
            if part in state:
                moments[f"{name}:{part}"] = state[part].detach().cpu().contiguous()
    return moments


def restore_optimizer(folder: Path, model: Decoder, optimizer: torch.optim.AdamW) -> bool:
    """Put a save's moments into `optimizer`; false where the checkpoint has none (it came from elsewhere).

    Raises:
        UserError: the file is torn.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = folder / "trainer" / "moments.safetensors"
    if not file.exists():
        return False
    try:
        moments = load_file(file)
    except SafetensorError as error:
        raise UserError(f"{file} is torn ({error}); redo the stage that wrote it with --redo") from error
    for name, weight in model.named_parameters():
        if f"{name}:step" not in moments:
            continue
        state = {part: moments[f"{name}:{part}"].to(weight.device) for part in MOMENTS}
        optimizer.state[weight] = state | {"step": moments[f"{name}:step"].to(weight.device)}
    return True


def load_training(folder: Path, model: Decoder, optimizer: torch.optim.AdamW) -> dict[str, Any]:
    """Put a save's weights and moments into place; returns its state."""
    stored = load_checkpoint(folder)
    with torch.no_grad():
        for weight, value in zip(model.parameters(), stored.parameters(), strict=True):
            weight.copy_(value)
    restore_optimizer(folder, model, optimizer)
    return read_json(folder / "trainer" / "state.json")
