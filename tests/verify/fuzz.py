"""Fuzz the verifier by hand: `python tests/verify/fuzz.py --minutes 10 --seed 0`.

Mutates real golds, the pairs of `hostile` and random tokens, and grades them in process. A crash, an answer slower than
`SLOW` seconds or memory beyond `MEMORY_MB` is a finding: it is printed and, with --keep, appended to
fuzz_seeds.jsonl, which the tests replay. Ends with exit code 1 if there was one.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import time
from pathlib import Path

from hostile import GOLDS, hostile

from octolab.verify import VERDICTS, verify

HERE = Path(__file__).parent
SLOW = 1.0  # seconds
MEMORY_MB = 1024
_TOKENS = (
    r"\frac \sqrt { } ( ) [ ] \{ \} ^ _ + - * / = < > \le \ge \ne \in \cup \setminus , ; : | ! % \% \circ \pi e i x y n"
    r" 0 1 2 9 10 0.5 1,000 \pm \mp \infty \log \ln \sin \cos \tan \binom \lfloor \rfloor & \\ or and \cdot \times km"
    r" \begin{pmatrix} \end{pmatrix} \text{ \text{cm} $ \$ \left \right apples (A) \boxed{ \mathbb{R} \ldots '"
    r" \alpha f(x) 12:00 _8 -"
).split(" ")


def one(draw: random.Random, golds: list[str]) -> tuple[str, str]:
    """A gold and a completion."""
    gold = draw.choice(golds)
    kind = draw.random()
    if kind < 0.2:
        return next(hostile(1, draw.randrange(1 << 30)))
    if kind < 0.6:
        text = list(draw.choice(golds))
        for _ in range(draw.randint(1, 6)):
            place = draw.randint(0, len(text))
            if draw.random() < 0.5:
                text.insert(place, draw.choice(_TOKENS))
            elif text:
                del text[place - 1]
        answer = "".join(text)
    else:
        answer = draw.choice(["", " "]).join(draw.choice(_TOKENS) for _ in range(draw.randint(1, 40)))
        if draw.random() < 0.3:
            gold = answer if draw.random() < 0.5 else draw.choice(["", " "]).join(draw.sample(_TOKENS, 8))
    return gold, rf"\boxed{{{answer}}}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--golds", type=Path, help="a jsonl whose `answer` or `gold` column is mutated too")
    parser.add_argument("--keep", action="store_true", help="append findings to fuzz_seeds.jsonl")
    arguments = parser.parse_args()
    golds = list(GOLDS)
    if arguments.golds:
        rows = [json.loads(line) for line in arguments.golds.read_text(encoding="utf-8").splitlines()]
        golds += [str(row.get("answer") or row.get("gold")) for row in rows]
    draw = random.Random(arguments.seed)
    counts = dict.fromkeys(VERDICTS, 0)
    findings, tried, slowest = 0, 0, 0.0
    end = time.monotonic() + 60 * arguments.minutes
    while time.monotonic() < end:
        gold, completion = one(draw, golds)
        start = time.perf_counter()
        problem = None
        try:
            counts[verify(gold, completion).verdict] += 1
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        seconds = time.perf_counter() - start
        tried, slowest = tried + 1, max(slowest, seconds)
        if seconds > SLOW:
            problem = f"{seconds:.1f} s"
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > MEMORY_MB * 1024:
            print(f"memory above {MEMORY_MB} MiB, last at {gold!r} {completion[:200]!r}")
            return 1
        if problem:
            findings += 1
            print(f"{problem}\n  gold {gold[:200]!r}\n  completion {completion[:300]!r}", flush=True)
            if arguments.keep:
                row = {"gold": gold, "completion": completion, "mode": "rl", "verdicts": ["wrong", "unparsed"]}
                with open(HERE / "fuzz_seeds.jsonl", "a", encoding="utf-8") as seeds:
                    seeds.write(json.dumps(row) + "\n")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"tried": tried, "findings": findings, "slowest_s": round(slowest, 3), "peak_mib": peak} | counts))
    return int(findings > 0)


if __name__ == "__main__":
    sys.exit(main())
