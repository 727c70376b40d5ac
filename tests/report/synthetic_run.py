"""A synthetic run directory in the formats of the project: deterministic, small, and hostile in its texts."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from octolab.store.logs import JsonLines, ZstdJsonLines

HOSTILE = "</script><img src=x onerror=alert(1)>"
SETS = ("word", "search", "word@few_shot")
SOURCES = ("general", "web", "qa_bare", "qa_short", "qa_long", "instruct")
TREE = {"plain": None, "stable": "plain", "short": "stable", "long": "stable", "hybrid": "stable"}
SKILL = {  # accuracy before and after RL, mean length before and after
    "plain": (0.04, 0.06, 40, 118),
    "stable": (0.12, 0.55, 34, 36),
    "short": (0.55, 0.83, 30, 31),
    "long": (0.31, 0.88, 74, 92),
    "hybrid": (0.42, 0.79, 50, 44),
}
ENVIRONMENT = {
    "python": "3.11.9",
    "torch": "2.13.0+cpu",
    "threads": 2,
    "machine": "x86_64, 2 cores",
    "compile": "inductor",
    "octolab": "0.1.0",
}


class Builder:
    """Writes stages into a run directory, one method a kind."""

    def __init__(self, root: Path, seed: int, problems: int, steps: int, rl_steps: int) -> None:
        self.root, self.problems, self.steps, self.rl_steps = root, problems, steps, rl_steps
        self.rng = np.random.default_rng(seed)
        self.seed = seed
        self.minute = 0

    def stage(self, node: str, kind: str, parents: list[str], summary: dict[str, Any], **more: Any) -> Path:
        folder = self.root / "stages" / node
        folder.mkdir(parents=True, exist_ok=True)
        self.minute += 1
        manifest = {
            "node": node,
            "kind": kind,
            "status": "finished",
            "key": f"{abs(hash_of(node)):016x}",
            "base_key": f"{abs(hash_of(node + '/base')):016x}",
            "stage_version": 1,
            "spec": {"kind": kind},
            "parents": {f"p{i}": parent for i, parent in enumerate(parents)},
            "outputs": {},
            "summary": summary,
            "seconds": 7.25 * self.minute,
            "finished_at": f"2025-01-01T10:{self.minute:02d}:00+00:00",
            "environment": ENVIRONMENT,
        } | more
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        return folder

    def corpus(self) -> None:
        page = "Free shipping on all orders. Subscribe to our newsletter. 3 + 4 = 7 said the clerk. " * 3
        dropped = {"exact duplicate": 130, "boilerplate": 220}
        steps = [
            {
                "name": "extract",
                "in": 2400,
                "out": 2391,
                "dropped": {"empty page": 9},
                "examples": {"empty page": [{"id": "p0007", "excerpt": ""}]},
            },
            {
                "name": "deduplicate",
                "in": 2391,
                "out": 2041,
                "dropped": dropped,
                "examples": {reason: [{"id": f"p{i:04d}", "excerpt": page} for i in (12, 90)] for reason in dropped},
            },
            {
                "name": "decontaminate",
                "in": 2041,
                "out": 1990,
                "dropped": {"13-gram overlap": 51},
                "examples": {"13-gram overlap": [{"id": "p1204", "excerpt": f"leaked: {HOSTILE}"}]},
            },
        ]
        self.stage("pages", "curate", [], {"documents": 1990, "characters": 1_734_112, "steps": steps})
        self.stage("words", "tokenizer", ["pages"], {"vocab_size": 1024, "hash": "9f3ab1c2"})
        for i, source in enumerate(SOURCES):
            counts = {
                "source": source,
                "documents": 4000 + 900 * i,
                "tokens": 400_000 + 130_000 * i,
                "bytes": 1_500_000,
            }
            self.stage(
                f"shards/{source}",
                "shards",
                ["words"],
                counts | {"rows": 3200, "padding_fraction": 0.013, "heldout_documents": 40, "bad": {}},
            )

    def train(self, node: str, parent: str, budget: int, start: float, end: float) -> None:
        sources = list(SOURCES[:3]) if parent == "plain" else list(SOURCES)
        folder = self.stage(node, "train", [parent, *(f"shards/{s}" for s in sources)], {})
        log = JsonLines(folder / "metrics.jsonl")
        rows = []
        for step in range(1, self.steps + 1):
            part = step / self.steps
            loss = end + (start - end) * math.exp(-5 * part) + 0.03 * self.rng.normal()
            by_source = {f"loss/{s}": loss + 0.15 * (i - 2) for i, s in enumerate(sources)}
            rows.append(
                {
                    "step": step,
                    "tokens": int(budget * part),
                    "loss": loss,
                    "lr": 2e-3 * (1 - part),
                    "grad_norm": 0.8,
                    **by_source,
                }
                | {"tokens_per_s": 27_000.0 + self.rng.normal(), "seconds": 0.04}
            )
        log.append(rows)
        log.close()
        share = [0.4, 0.25, 0.15, 0.1, 0.06, 0.04][: len(sources)]
        split = {s: int(budget * w / sum(share)) for s, w in zip(sources, share)}
        summary = {"steps": self.steps, "tokens": budget, "loss": end, "parameters": 868_000, "skipped_steps": 0}
        summary |= {"tokens_by_source": split, "epochs": {s: t / 400_000 for s, t in split.items()}}
        self.stage(node, "train", [parent, *(f"shards/{s}" for s in sources)], summary)

    def text(self, right: bool, tokens: int, answer: int) -> str:
        middle = " So the next one is 17 and that leaves 9." * max(1, tokens // 12)
        return f" Let us count.{middle} The answer is \\boxed{{{answer if right else answer + 1}}}."

    def rl(self, name: str) -> None:
        before, after, short, long = SKILL[name]
        rows, folder = [], self.stage(f"rl/{name}", "rl", [name], {})
        rollouts = ZstdJsonLines(folder / "rollouts.jsonl.zst")
        for step in range(1, self.rl_steps + 1):
            part = 1 - math.exp(-4 * step / self.rl_steps)
            accuracy = min(0.99, max(0.0, before + (after - before) * part + 0.02 * self.rng.normal()))
            length = short + (long - short) * part
            rows.append(self.rl_row(step, accuracy, length, part, name))
            rollouts.append(self.rollout_step(step, accuracy, int(length)))
        rollouts.close()
        log = JsonLines(folder / "metrics.jsonl")
        log.append(rows)
        log.close()
        summary = {"steps": self.rl_steps, "accuracy_first": rows[0]["accuracy"], "accuracy_last": rows[-1]["accuracy"]}
        summary |= {"length_first": short, "length_last": long, "truncated_first": 0.02, "truncated_last": 0.05}
        self.stage(f"rl/{name}", "rl", [name], summary | {"settings": {"algorithm": "modern", "lr": 2e-4}})

    def rl_row(self, step: int, accuracy: float, length: float, part: float, name: str) -> dict[str, Any]:
        cut = 0.1 + 0.75 * part if name == "plain" else 0.03
        mixed = 4 * accuracy * (1 - accuracy)
        outcome = {
            "groups/all_wrong": (1 - mixed) * (1 - accuracy),
            "groups/all_right": (1 - mixed) * accuracy,
            "groups/mixed": mixed,
            "truncated": cut,
            "no_answer": cut * 0.8,
            "unscorable": 0,
            "verdict/correct": int(512 * accuracy),
            "verdict/wrong": int(512 * (1 - accuracy)),
            "repetition": 0.6 * part if name == "plain" else 0.05,
        }
        lengths = {
            "length/all": length,
            "length/min": 6,
            "length/max": 128,
            "length/correct": None if step == 1 and name == "plain" else length * 0.9,
            "length/wrong": length * 1.2,
            "length/truncated": 128 if cut > 0.05 else None,
            "max_tokens": 128,
        }
        update = {
            "loss": 0.01 * self.rng.normal(),
            "grad_norm": 0.4 + 0.1 * self.rng.random(),
            "lr": 2e-4,
            "padding": 0.2,
        }
        update |= {"clip/low": 0.001, "clip/high": 0.002, "ratio/mean": 1.0, "ratio/max": 1.4}
        update |= {"engine_gap/mean": 2e-7, "engine_gap/max": 4e-6}
        speed = {"tokens_per_s/generate": 12_000.0 + self.rng.normal(), "tokens_per_s/train": 20_000.0}
        speed |= {"seconds/generate": 1.1, "seconds/reward": 0.1, "seconds/train": 1.0, "seconds": 2.3}
        entropy = 0.9 * math.exp(-1.5 * part) + 0.02 * self.rng.normal()
        reward = {"reward/mean": accuracy, "reward/std": math.sqrt(accuracy * (1 - accuracy)), "accuracy": accuracy}
        return {"step": step, "entropy": entropy} | reward | outcome | lengths | update | speed

    def rollout_step(self, step: int, accuracy: float, length: int) -> list[dict[str, Any]]:
        records = []
        for group in range(8):
            for sample in range(4):
                right = bool(self.rng.random() < accuracy)
                text = self.text(right, length, 10 + group) + (HOSTILE if group == 0 else "")
                records.append(
                    {
                        "step": step,
                        "problem_id": f"rl-{step}-{group}",
                        "group": group,
                        "sample": sample,
                        "prompt_ids": [1, 2, 3],
                        "ids": [5] * length,
                    }
                    | {
                        "logprobs": [-0.5] * length,
                        "finish": "stop",
                        "reward": float(right),
                        "advantage": 0.0,
                        "gold": str(10 + group),
                    }
                    | {"verdict": "correct" if right else "wrong", "span": str(10 + group + (not right)), "text": text}
                    | {"question": f"Ann has {group} pens and buys 10 more. How many pens has she? {HOSTILE}"}
                )
        return records

    def evaluate(self, model: str, accuracy: float, length: int) -> None:
        folder = self.stage(f"eval/{model}", "evaluate", [model], {})
        records, sets = [], {}
        for set_ in SETS:
            level = accuracy * (0.7 if set_ == "search" else 0.5 if "@" in set_ else 1.0)
            samples = 1 if "@" in set_ else 4
            right = self.rng.random((self.problems, samples)) < np.clip(
                level + 0.15 * self.rng.normal(size=(self.problems, 1)), 0, 1
            )
            for p in range(self.problems):
                for s in range(samples):
                    ok = bool(right[p, s])
                    records.append(
                        {
                            "set": set_,
                            "problem_id": f"{set_}-{p:04d}",
                            "sample": s,
                            "question": f"Tom has {p} apples. {HOSTILE}",
                            "gold": str(p),
                        }
                        | {
                            "text": self.text(ok, length, p),
                            "ids": [7] * length,
                            "finish": "stop",
                            "tokens": length,
                            "correct": ok,
                        }
                        | {
                            "verdict": "correct" if ok else "wrong",
                            "span": str(p),
                            "family": "apples" if p % 2 else "pens",
                            "level": str(p % 3 + 1),
                        }
                    )
            sets[set_] = self.scores(right, length)
        log = JsonLines(folder / "samples.jsonl")
        log.append(records)
        log.close()
        bits = {
            s: 0.8 + 0.1 * i + (0.05 if model.startswith("rl/") else 0) + (0.3 if model == "plain" else 0)
            for i, s in enumerate(SOURCES)
        }
        (folder / "scores.json").write_text(
            json.dumps({"model": model, "sets": sets, "bits_per_byte": bits}), encoding="utf-8"
        )

    def scores(self, right: np.ndarray, length: int) -> dict[str, Any]:
        mean, samples = float(right.mean()), right.shape[1]
        half = 1.96 * float(right.mean(1).std()) / math.sqrt(len(right))
        any_right = {"1": mean} | ({"4": float(right.any(1).mean())} if samples >= 4 else {})
        parts = {
            name: {"acc": float(right[i::2].mean()), "n": len(right[i::2])} for i, name in enumerate(("pens", "apples"))
        }
        lengths = {"length": float(length), "length_correct": float(length) if right.any() else float("nan")}
        rates = {"truncation": 0.03, "no_answer": 0.02, "timeouts": 0, "pass_at": any_right}
        interval = [max(0.0, mean - half), min(1.0, mean + half)]
        levels = {"1": parts["pens"], "2": parts["apples"]}
        counts = {"acc": mean, "ci95": interval, "n": len(right), "samples": samples}
        return counts | lengths | rates | {"by_family": parts, "by_level": levels}


def hash_of(text: str) -> int:
    """A hash that does not change from process to process."""
    return int.from_bytes(text.encode().ljust(8, b"#")[-8:], "big") >> 1


def build_run(
    root: Path,
    models: tuple[str, ...] = ("plain", "short"),
    seed: int = 0,
    problems: int = 24,
    steps: int = 20,
    rl_steps: int = 6,
    rl: bool = True,
    corpus: bool = True,
) -> Path:
    """Write a run directory and return it."""
    kept = [n for n in TREE if n in models or (n == "stable" and {"short", "long", "hybrid"} & set(models))]
    stages: dict[str, Any] = {n: {"kind": "train", "from": TREE[n]} for n in kept if n != "plain"}
    stages |= {"rl": {"kind": "rl", "from": list(models)}} if rl else {}
    recipe = {
        "name": root.name,
        "seed": seed,
        "models": {"plain": {"init": {"width": 128}}},
        "sources": {s: {"path": f"{s}.jsonl"} for s in SOURCES},
        "stages": stages | {"eval": {"kind": "evaluate"}},
    }
    root.mkdir(parents=True, exist_ok=True)
    (root / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    build = Builder(root, seed, problems, steps, rl_steps)
    if corpus:
        build.corpus()
    build.stage("plain", "model", [], {"parameters": 868_000, "family": "llama"})
    for name in kept:
        if name != "plain":
            build.train(
                name,
                str(TREE[name]),
                2_000_000 if name == "stable" else 1_000_000,
                5.0 if name == "stable" else 2.6,
                2.2,
            )
    for name in models:
        build.evaluate(name, SKILL[name][0], SKILL[name][2])
        if rl:
            build.rl(name)
            build.evaluate(f"rl/{name}", SKILL[name][1], SKILL[name][3])
    return root
