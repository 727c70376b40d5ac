"""Which answers are shown to the reader, by a rule that is printed beside them.

For every RL model: its first and its last rollout step. In each, prompt groups are taken from three heaps in
turn: mixed groups with the most correct answers, mixed groups with the fewest, and groups without any
difference between the rewards of their answers; each shows its highest-reward and its lowest-reward
completion side by side. For every model evaluated before and after RL: problems whose verdict RL changed, and
some that it did not, before beside after. At most 2,000 completions are shown, long ones with their middle cut.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import zstandard

from octolab.errors import UserError
from octolab.report.claims import FEW_SHOT
from octolab.report.read import Record, Run

SHOWN = 2000
PER_STEP = 24
PER_MODEL_EVALUATED = 30
MAX_CHARACTERS = 4000

RULE = (
    "For every RL model, groups of its first and of its last rollout step: mixed groups with the most and with "
    "the fewest correct answers, and groups whose answers all fared alike, taken in turn; of each group the "
    "completion with the highest and the one with the lowest reward. For every model evaluated before and after "
    "RL, problems that RL solved, problems that it lost and problems that it left as they were, taken in turn. "
    f"At most {SHOWN:,} completions; of one longer than {MAX_CHARACTERS:,} characters the middle is cut."
)


def frames(path: Path) -> list[tuple[int, int]]:
    """(offset, bytes) of every zstd frame in `path`, found by walking block headers (RFC 8878, 3.1.1).

    Nothing is decompressed, so the last step of a long run is as near as the first.

    Raises:
        UserError: the file is torn.
    """
    found = []
    size = path.stat().st_size
    with open(path, "rb") as handle:
        start = 0
        while start < size:
            handle.seek(start)
            head = handle.read(18)
            try:
                end = start + zstandard.frame_header_size(head)
                checksum = 4 if zstandard.get_frame_parameters(head).has_checksum else 0
            except zstandard.ZstdError as error:
                raise UserError(f"{path} is torn at byte {start}; redo this stage with --redo") from error
            last = False
            while not last:
                handle.seek(end)
                block = int.from_bytes(handle.read(3), "little")
                last = bool(block & 1) or end >= size
                end += 3 + (1 if (block >> 1) & 3 == 1 else block >> 3)
            end += checksum
            if end > size:
                raise UserError(f"{path} is torn at byte {start}; redo this stage with --redo")
            found.append((start, end - start))
            start = end
    return found


def read_frame(path: Path, frame: tuple[int, int]) -> list[Record]:
    """Records of one frame.

    Raises:
        UserError: the frame does not decompress, or a line of it is not JSON.
    """
    with open(path, "rb") as handle:
        handle.seek(frame[0])
        raw = handle.read(frame[1])
    try:
        lines = zstandard.ZstdDecompressor().decompressobj().decompress(raw).splitlines()
        return [json.loads(line) for line in lines if line]
    except (zstandard.ZstdError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is torn at byte {frame[0]}; redo this stage with --redo") from error


def first_and_last(run: Run) -> dict[str, list[list[Record]]]:
    """Name of each RL model -> records of its first and last step (one list where there is one step)."""
    found = {}
    for name, node in run.rl_names().items():
        path = run.stages[node].folder / "rollouts.jsonl.zst"
        if not path.exists():
            raise UserError(f"{path} does not exist; check the run directory or redo this stage with --redo")
        where = frames(path)
        found[name] = [read_frame(path, frame) for frame in dict.fromkeys([*where[:1], *where[-1:]])]
    return found


def chosen(run: Run, steps: dict[str, list[list[Record]]]) -> list[Record]:
    """Pairs of completions for the reader, by the rule above, at most `SHOWN` completions.

    Each is {"model", "when", "heap", "set", "problem_id", "question", "gold", "sides": [side, ...]} with
    side {"label", "verdict", "reward", "tokens", "finish", "span", "text"}.
    """
    queues: list[list[Record]] = []
    for name, node in run.rl_names().items():
        queues += [_from_step(name, records) for records in steps[name] if records]
        queues.append(_from_evaluation(name, run, node))
    taken: list[Record] = []
    room = SHOWN
    for pair in (p for turn in zip_longest(*queues) for p in turn if p is not None):
        if len(pair["sides"]) > room:
            break
        room -= len(pair["sides"])
        taken.append(pair)
    return taken


def _in_turn(heaps: dict[str, list[Any]], most: int) -> Iterator[tuple[str, Any]]:
    """One from each heap after another until `most` are taken."""
    rows = zip_longest(*([(name, item) for item in heap] for name, heap in heaps.items()))
    taken = (pair for pair in chain.from_iterable(rows) if pair is not None)
    yield from (pair for pair, _ in zip(taken, range(most)))


def _from_step(name: str, records: list[Record]) -> list[Record]:
    groups: dict[Any, list[Record]] = {}
    for record in records:
        groups.setdefault(record["group"], []).append(record)

    def mean(group: list[Record]) -> float:
        return sum(r.get("reward") or 0.0 for r in group) / len(group)

    ranked = sorted(groups.values(), key=mean, reverse=True)
    mixed = [g for g in ranked if len({r.get("reward") or 0.0 for r in g}) > 1]
    half = (len(mixed) + 1) // 2
    alike = [g for g in ranked if not any(g is m for m in mixed)]
    heaps = {"most right": mixed[:half], "fewest right": mixed[half:][::-1], "all alike": alike}
    return [_group_pair(name, heap, group) for heap, group in _in_turn(heaps, PER_STEP)]


def _group_pair(name: str, heap: str, group: list[Record]) -> Record:
    ranked = sorted(group, key=lambda r: -(r.get("reward") or 0.0))
    shown = [ranked[0], ranked[-1]] if len(ranked) > 1 else ranked
    right = sum(r.get("verdict") == "correct" for r in group)
    pair = _pair(name, f"step {shown[0]['step']}", heap, shown[0], [_side(f"sample {r['sample']}", r) for r in shown])
    return pair | {"tally": f"{right} of {len(group)} correct"}


def _from_evaluation(name: str, run: Run, node: str) -> list[Record]:
    parent = run.model_parent(run.stages[node])
    before = _first_samples(run.samples.get(parent or "", []))
    after = _first_samples(run.samples.get(node, []))
    heaps: dict[str, list[Any]] = {"solved by RL": [], "lost by RL": [], "as before": []}
    for key in before:
        if key in after:
            was, is_ = bool(before[key]["correct"]), bool(after[key]["correct"])
            heap = "as before" if was == is_ else "solved by RL" if is_ else "lost by RL"
            heaps[heap].append((before[key], after[key]))
    return [
        _pair(name, "evaluation", heap, old, [_side("before RL", old), _side("after RL", new)])
        for heap, (old, new) in _in_turn(heaps, PER_MODEL_EVALUATED)
    ]


def _first_samples(samples: list[Record]) -> dict[tuple[str, str], Record]:
    """(set, problem) -> its first sample, zero-shot sets only."""
    found: dict[tuple[str, str], Record] = {}
    for record in samples:
        if not record["set"].endswith(FEW_SHOT):
            found.setdefault((record["set"], str(record["problem_id"])), record)
    return found


def _pair(name: str, when: str, heap: str, record: Record, sides: list[Record]) -> Record:
    facts = {key: record.get(key) for key in ("set", "problem_id")}
    texts = {key: _cut(record.get(key)) for key in ("question", "gold")}
    return {"model": name, "when": when, "heap": heap, **facts, **texts, "sides": sides}


def _side(label: str, record: Record) -> Record:
    ids = record.get("ids")
    tokens = record.get("tokens", len(ids) if ids is not None else None)
    span = record.get("span")
    if isinstance(span, list) and len(span) == 2 and all(isinstance(edge, int) for edge in span):
        span = str(record.get("text") or "")[span[0] : span[1]]
    kept = {key: record.get(key) for key in ("verdict", "reward", "finish")}
    return {"label": label, "tokens": tokens, "span": _cut(span), "text": _cut(record.get("text")), **kept}


def _cut(text: Any) -> str | None:
    """`text` with its middle replaced by a note of how much is missing, if it is too long to read."""
    if text is None:
        return None
    text = str(text)
    if len(text) <= MAX_CHARACTERS:
        return text
    half = MAX_CHARACTERS // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters not shown …]\n{text[-half:]}"
