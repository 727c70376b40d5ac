"""Side-by-side measurement: ours and a peer on the same work, as alternating subprocesses.

A benchmark file defines cases and two jobs. The harness runs job after job, ours and the peer's in turn, each in
its own interpreter (the peer's from `.venv-peers`, made by `make peers`), takes the best of each, prints a table
and, as the last line, JSON. Best, not mean: on a shared machine noise only ever slows a run down. A matmul probe
runs in between, so that a slow machine shows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".venv-peers" / "bin" / "python"
Job = Callable[[Mapping[str, Any]], dict[str, float]]


def probe() -> float:
    """fp32 matmul GFLOP/s of this machine now."""
    import torch

    a = torch.randn(1536, 1536)
    best = float("inf")
    for _ in range(6):
        begun = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - begun)
    return 2 * 1536**3 / best / 1e9


def best_rate(work: Callable[[], float], repeats: int) -> float:
    """Highest units per second over `repeats` calls of `work`, which returns the units it did."""
    best = 0.0
    for _ in range(repeats):
        begun = time.perf_counter()
        units = work()
        best = max(best, units / (time.perf_counter() - begun))
    return best


def _run(python: str, script: str, job: str, case: Mapping[str, Any]) -> dict[str, float]:
    command = [python, script, "--job", job, "--case", json.dumps(case)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{job} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main(
    script: str,
    title: str,
    unit: str,
    cases: list[dict[str, Any]],
    jobs: Mapping[str, Job],
    flops_per_unit: Callable[[Mapping[str, Any]], float] | None = None,
) -> None:
    """Entry point of a benchmark file.

    `cases` have `name`, optionally `target` (the ratio aimed at) and what the jobs need; the first is the headline.
    `jobs` map `peer` and one or more of ours (`ours`, `ours compiled`) to functions that return {"rate": units/s} and
    whatever else is worth a line below the table.
    `flops_per_unit` gives the physical limit of a case: the probe's best rate over the FLOPs of one unit.
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--job", choices=list(jobs))
    parser.add_argument("--case", type=json.loads)
    parser.add_argument("--rounds", type=int, default=2, help="alternations of ours and the peer")
    parser.add_argument("--only", help="run only the case of this name")
    arguments = parser.parse_args()
    if arguments.job:
        print(json.dumps(jobs[arguments.job](arguments.case)))
        return
    if not PEERS.exists():
        sys.exit("the peers are not installed; run `make peers` first")
    results, probes = [], [probe()]
    for case in [case for case in cases if arguments.only in (None, case["name"])]:
        rates, others = dict.fromkeys(jobs, 0.0), {}
        for _ in range(arguments.rounds):
            for job in jobs:
                python = str(PEERS) if job == "peer" else sys.executable
                found = _run(python, script, job, case)
                rates[job] = max(rates[job], found.pop("rate"))
                others[job] = found
            probes.append(probe())
        for job in jobs:
            if job != "peer":
                ratio = rates[job] / rates["peer"]
                entry = {"name": f"{case['name']}, {job}", "ours": rates[job], "peer": rates["peer"], "ratio": ratio}
                found = {"ours": others[job], "peer": others["peer"]}
                results.append(entry | {"target": case.get("target"), "others": found})
    print(f"{title}\n\n| case | ours ({unit}) | peer ({unit}) | ratio |\n|---|---|---|---|")
    for entry in results:
        print(f"| {entry['name']} | {entry['ours']:,.0f} | {entry['peer']:,.0f} | {entry['ratio']:.2f} |")
    for entry in results:
        for side, numbers in entry["others"].items():
            if numbers:
                print(f"{entry['name']}, {side}: " + ", ".join(f"{name} {value:,g}" for name, value in numbers.items()))
    print(f"\nmatmul probe: {min(probes):.0f} to {max(probes):.0f} GFLOP/s\n")
    headline = results[0]
    limit = None
    if flops_per_unit is not None:
        most = max(probes) * 1e9 / flops_per_unit(cases[0])
        limit = {"rate": most, "share": headline["ours"] / most, "why": "all FLOPs at the probe's matmul rate"}
        print(f"limit of {headline['name']}: {most:,.0f} {unit}, reached {limit['share']:.0%}\n")
    print(json.dumps({
        "ratio": headline["ratio"], "headline": headline["name"], "cases": results, "limit": limit,
        "probe": {"lowest": min(probes), "highest": max(probes)},
    }))  # fmt: skip
