"""Evaluating one checkpoint: problems in, a log of graded samples and the scores out.

Each benchmark is asked zero-shot with the RL template and graded by the reward's own rule (set `<benchmark>`),
and, where wanted, few-shot and graded by the looser rule for base models (set `<benchmark>@few_shot`). The two
are never mixed. Work goes in fixed chunks: a chunk's samples are logged together, and a killed run goes on with
the next one, so the tokens do not depend on where it was cut. Scores are computed from the log alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from octolab.engine.base import Completion, Request, Sampling
from octolab.engine.local import LocalEngine
from octolab.engine.stopping import StopStrings
from octolab.errors import UserError
from octolab.evaluate.bits_per_byte import bits_per_byte
from octolab.evaluate.metrics import set_scores
from octolab.midtrain.trainer import pick_device
from octolab.model.hf import load_checkpoint, to_hf
from octolab.recipe.stages import EvaluateStage
from octolab.store.atomic import read_json, write_json
from octolab.store.logs import JsonLines, finite, read_log
from octolab.store.stage import StageIO
from octolab.tasks.problems import Problem
from octolab.tokens.tokenizer import Tokenizer
from octolab.verify import Item, Verifier

CHUNK = 1024
"""Completions between two saves of the log; fixed, since the batch layout may decide near ties."""
FEW_SHOT = "@few_shot"


@dataclass(frozen=True)
class Prompted:
    """One set ready to ask: prompts as text, the strings that end an answer, and the grading mode."""

    name: str
    benchmark: str
    problems: Sequence[Problem]
    prompts: Sequence[str]
    stop_strings: tuple[str, ...]
    mode: str


def evaluate(
    stage: EvaluateStage,
    checkpoint: Path,
    node: str,
    sets: Sequence[Prompted],
    heldout: Mapping[str, Sequence[str]],
    seed: int,
    io: StageIO,
) -> dict[str, Any]:
    """Sample, grade and score all sets, from where the log stands.

    Args:
        stage: settings.
        checkpoint: Hugging Face folder.
        node: the model's name in scores.json.
        sets: what to ask.
        heldout: source -> held-out texts for bits per byte.
        seed: seed of sampling.
        io: the stage's folder, progress and log.

    Returns:
        The scores, also written to scores.json.

    Raises:
        UserError: a prompt does not fit the model's context.
    """
    tokenizer = Tokenizer.load(checkpoint)
    device = pick_device()
    model = load_checkpoint(checkpoint, device)
    prompts = [[(*tokenizer.prefix, *tokenizer.encode(text)) for text in one.prompts] for one in sets]
    for one, ids in zip(sets, prompts, strict=True):
        _check_room(one, ids, model.config.positions)
    engine = LocalEngine(
        model.config,
        tokenizer,
        rows=stage.rows,
        device=device,
        dtype=torch.bfloat16 if device.type == "cuda" else torch.float32,
    )
    engine.load_weights(to_hf(model), 0)
    chunks = _chunks(sets, stage.samples)
    state_file = io.out / "progress.json"
    state = read_json(state_file) if state_file.exists() else {"chunks": 0, "offset": 0}
    log = JsonLines(io.out / "samples.jsonl", state["offset"])
    with Verifier(workers=stage.verifier_workers) as verifier:
        for number, (at, part) in enumerate(chunks):
            io.progress(number, len(chunks), sets[at].name)
            if number < state["chunks"]:
                continue
            one = sets[at]
            done = _generate(engine, stage, one, prompts[at], part, seed)
            log.append(_grade(one, part, done, tokenizer, verifier))
            write_json(state_file, {"chunks": number + 1, "offset": log.offset()})
    log.close()
    io.progress(len(chunks), len(chunks), "bits per byte")
    records = list(read_log(io.out / "samples.jsonl"))
    scores = {
        "model": node,
        "sets": {one.name: set_scores(r for r in records if r["set"] == one.name) for one in sets},
        "bits_per_byte": {name: bits_per_byte(model, tokenizer, texts) for name, texts in heldout.items()},
    }
    write_json(io.out / "scores.json", finite(scores))
    return scores


def _check_room(one: Prompted, ids: Sequence[tuple[int, ...]], positions: int) -> None:
    longest = max(range(len(ids)), key=lambda index: len(ids[index]))
    if len(ids[longest]) >= positions:
        raise UserError(
            f"set {one.name}: the prompt of problem {one.problems[longest].id} has {len(ids[longest])} tokens, the "
            f"model's context is {positions}; lower few_shot.shots, leave the problem out or raise positions"
        )


def _chunks(sets: Sequence[Prompted], samples: int) -> list[tuple[int, range]]:
    size = max(1, CHUNK // samples)
    return [
        (at, range(start, min(start + size, len(one.problems))))
        for at, one in enumerate(sets)
        for start in range(0, len(one.problems), size)
    ]


def _generate(
    engine: LocalEngine,
    stage: EvaluateStage,
    one: Prompted,
    prompts: Sequence[tuple[int, ...]],
    part: range,
    seed: int,
) -> list[Completion]:
    sampling = Sampling(
        temperature=stage.temperature,
        top_p=stage.top_p,
        max_tokens=stage.max_tokens,
        stop_ids=engine.tokenizer.eos_ids,
        stop_strings=one.stop_strings,
        seed=seed,
    )
    # Longest prompts first: rows that run side by side then have similar lengths.
    order = sorted(part, key=lambda index: (-len(prompts[index]), index))
    requests = [Request(f"{one.name}/{one.problems[index].id}", prompts[index], stage.samples) for index in order]
    place = {request.key: index for request, index in zip(requests, order, strict=True)}
    done = list(engine.generate(requests, sampling))
    return sorted(done, key=lambda completion: (place[completion.key], completion.sample))


def _grade(
    one: Prompted, part: range, done: Sequence[Completion], tokenizer: Tokenizer, verifier: Verifier
) -> list[dict[str, Any]]:
    stops = StopStrings(tokenizer, one.stop_strings)
    samples = len(done) // len(part)
    problems = [one.problems[index] for index in part for _ in range(samples)]
    texts = [stops.cut(tokenizer.decode(completion.ids, skip_special=True)) for completion in done]
    items = [Item(p.answer, text, one.mode, one.benchmark) for p, text in zip(problems, texts, strict=True)]
    return [
        {
            "set": one.name,
            "problem_id": problem.id,
            "sample": completion.sample,
            "question": problem.question,
            "gold": problem.answer,
            "text": text,
            "ids": completion.ids,
            "finish": completion.finish,
            "tokens": len(completion.ids),
            "verdict": verdict.verdict,
            "correct": verdict.correct,
            "span": verdict.span,
            "family": problem.metadata.get("family"),
            "level": problem.metadata.get("level"),
        }
        for problem, completion, text, verdict in zip(problems, done, texts, verifier.grade(items), strict=True)
    ]
