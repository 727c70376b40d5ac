"""What `octolab verify` does with a file: grade every row, count the verdicts, list what two graders disagree about.

In go rows with a gold and a completion, out come a summary and, if asked for, a file of verdicts. A killed run goes
on from its last chunk; the output has its own name only when it is whole.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from octolab.errors import UserError
from octolab.store.keys import fingerprint_path, key_of
from octolab.store.logs import JsonLines, read_log
from octolab.tasks.rows import BadCounts, read_rows
from octolab.verify import Item, Verdict, Verifier, gold_audit, type_gold

CHUNK = 2048  # rows graded between two writes
SHOWN = 20  # disagreements and bad golds in the text summary
GOLD_FIELDS = ("gold", "answer", "ground_truth", "gt", "gt_answer")
COMPLETION_FIELDS = ("completion", "text", "response", "prediction", "output")
SECOND = "octolab.verify.second:math_verify"


def record_of(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON."""
    names = ("verdict", "correct", "span", "gold_type", "method", "ms", "score")
    return {name: getattr(verdict, name) for name in names}


def grade_file(
    path: str,
    fields: tuple[str | None, str | None],
    mode: str,
    task: str | None,
    pool: Mapping[str, Any],
    audit: bool,
    out: Path | None,
    console: Console,
) -> dict[str, Any]:
    """Grade the rows of a file and return the summary.

    fields: names of the gold's and the completion's column; None for the usual names. pool: arguments of `Verifier`.
    audit: grade by Math-Verify too. out: file for one JSON record a row. Raises UserError for a missing file or column.
    """
    if audit:
        from octolab.verify.second import check_installed

        check_installed()
    bad, counter = BadCounts(), _Counter(audit)
    total = sum(1 for _ in read_rows(path, lambda row: None))
    log: JsonLines | None = None
    part: Path | None = None
    done: list[dict[str, Any]] = []
    if out is not None:
        what = [fingerprint_path(Path(path)) if Path(path).exists() else path, *fields, mode, task, dict(pool), audit]
        part = out.with_name(f"{out.name}.{key_of(what)[:8]}.part")
        log, done = _resumed(part)
    columns = (TextColumn("verify"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Math-Verify is slower, so it has twice the deadline.
    asked = Verifier(pool["workers"], 2 * pool["seconds"], grader=SECOND) if audit else nullcontext()
    with Verifier(**pool) as ours, asked as second, Progress(*columns, console=console) as bar:
        shown = bar.add_task("verify", total=total)
        items = _items(path, fields, mode, task, bad)
        for record in done:
            next(items)
            counter.add(record)
            bar.advance(shown)
        while chunk := list(islice(items, CHUNK)):
            verdicts = ours.grade(item for _, item in chunk)
            records = [
                {"row": row, "gold": item.gold, **record_of(verdict)}
                for (row, item), verdict in zip(chunk, verdicts, strict=True)
            ]
            if second is not None:
                for record, verdict in zip(records, second.grade(item for _, item in chunk), strict=True):
                    record["second"] = verdict.verdict
            for record in records:
                counter.add(record)
            if log is not None:
                log.append(records)
            bar.advance(shown, len(chunk))
    if log is not None and part is not None and out is not None:
        log.offset()
        log.close()
        os.replace(part, out)
    if not counter.rows:
        reasons = "; ".join(f"{count} {reason}" for reason, count in bad.counts.items())
        raise UserError(f"{path} holds no row with a gold and a completion{f' ({reasons})' if reasons else ''}")
    return {**counter.summary(), "bad": bad.counts, "bad_examples": bad.examples, "out": str(out) if out else None}


def audit_golds(path: str, field: str | None) -> dict[str, Any]:
    """Types of a file's golds, and those that do not verify against themselves."""
    bad = BadCounts()
    golds = [
        str(row[name]) for row in read_rows(path, bad.on_bad) if (name := _column(row, field, GOLD_FIELDS)) is not None
    ]
    if not golds:
        raise UserError(f"{path} has no column {field or ' or '.join(GOLD_FIELDS)}; name it with --gold")
    found = gold_audit(golds)
    return {
        "golds": len(golds),
        "types": dict(Counter(type_gold(gold).kind for gold in golds).most_common()),
        "unmatched": [{"row": one.index, "gold": one.gold[:300], "method": one.verdict.method} for one in found],
        "bad": bad.counts,
    }


class _Counter:
    """The running summary of graded rows."""

    def __init__(self, audit: bool) -> None:
        self.audit, self.rows, self.ms = audit, 0, 0.0
        self.verdicts: Counter[str] = Counter()
        self.disagree: list[dict[str, Any]] = []
        self.differing = 0

    def add(self, record: Mapping[str, Any]) -> None:
        self.rows += 1
        self.ms += record["ms"]
        self.verdicts[record["verdict"]] += 1
        if self.audit and (record["second"] == "correct") != record["correct"]:
            self.differing += 1
            if len(self.disagree) < SHOWN:
                self.disagree.append({name: record[name] for name in ("row", "gold", "span", "verdict", "second")})

    def summary(self) -> dict[str, Any]:
        correct = self.verdicts["correct"]
        value = {
            "rows": self.rows,
            "accuracy": round(correct / self.rows, 6) if self.rows else None,
            "verdicts": dict(self.verdicts.most_common()),
            "ms_per_answer": round(self.ms / self.rows, 4) if self.rows else None,
        }
        return value | ({"disagreements": self.differing, "disagree": self.disagree} if self.audit else {})


def _resumed(part: Path) -> tuple[JsonLines, list[dict[str, Any]]]:
    """The log of a run that was cut off, and its whole records; a torn last line is cut away."""
    whole = part.read_bytes().rfind(b"\n") + 1 if part.exists() else 0
    log = JsonLines(part, whole)
    return log, list(read_log(part))


def _items(
    path: str, fields: tuple[str | None, str | None], mode: str, task: str | None, bad: BadCounts
) -> Iterator[tuple[int, Item]]:
    """(row number, item) of each usable row."""
    for number, row in enumerate(read_rows(path, bad.on_bad)):
        gold, completion = _column(row, fields[0], GOLD_FIELDS), _column(row, fields[1], COMPLETION_FIELDS)
        if gold is None or completion is None:
            missing = fields[0] or "gold" if gold is None else fields[1] or "completion"
            bad.add(f"no column {missing}", f"row {number}")
            continue
        yield number, Item(str(row[gold]), str(row[completion]), mode, task)


def _column(row: Mapping[str, Any], named: str | None, usual: Iterable[str]) -> str | None:
    names = (named,) if named else usual
    return next((name for name in names if isinstance(row.get(name), str | int | float)), None)


def summary_text(value: Mapping[str, Any]) -> str:
    """The summary for people."""
    lines = [f"{value['rows']:,} answers, {value['accuracy']:.1%} correct, {value['ms_per_answer']:.3f} ms each"]
    lines += [f"  {name:10} {count:,}" for name, count in value["verdicts"].items()]
    lines += [f"passed over: {count} {reason}" for reason, count in value["bad"].items()]
    if "disagreements" in value:
        lines.append(f"Math-Verify disagrees on {value['disagreements']:,}:")
        lines += [
            f"  row {one['row']}: gold {one['gold'][:60]!r}, read {(one['span'] or '')[:60]!r}: "
            f"{one['verdict']}, Math-Verify: {one['second']}"
            for one in value["disagree"]
        ]
    return "\n".join([*lines, f"written to {value['out']}"] if value["out"] else lines)


def golds_text(value: Mapping[str, Any]) -> str:
    """The gold audit for people."""
    lines = [f"{value['golds']:,} golds: " + ", ".join(f"{count:,} {kind}" for kind, count in value["types"].items())]
    lines.append(f"{len(value['unmatched'])} do not verify against themselves")
    lines += [f"  row {one['row']}: {one['gold'][:80]!r} ({one['method']})" for one in value["unmatched"][:SHOWN]]
    return "\n".join(lines)
