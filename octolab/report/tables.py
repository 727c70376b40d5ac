"""Tables of the report as HTML: claims, scores, forgetting, signs, provenance.

In goes the summary, out come `<table>` fragments inside a frame with buttons that copy them as Markdown or
LaTeX. Every name and every text passes `esc` here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from octolab.report.answer import zero_shot_sets
from octolab.report.claims import FEW_SHOT, HOLDS, UNKNOWN
from octolab.report.health import SIGNS
from octolab.report.text import ARROW, DASH, MINUS, duration, esc, fixed, number, percent, points

Record = dict[str, Any]
CHIPS = {HOLDS: ("good", "✓"), UNKNOWN: ("open", "?")}


def frame(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], note: str = "") -> str:
    """A captioned table. Cells are HTML; the first of each row is its heading, the rest are set as figures."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>' for row in rows
    )
    about = f'<span class="note">{note}</span>' if note else ""
    return (
        f'<figure class="table"><figcaption><span class="words"><span class="title">{title}</span>{about}</span>'
        '<span class="tools"><button type="button" data-copy="markdown">Markdown</button>'
        '<button type="button" data-copy="latex">LaTeX</button></span></figcaption>'
        f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div></figure>'
    )


def chip(verdict: str) -> str:
    """A verdict as a small label: sign, word and colour."""
    kind, sign = CHIPS.get(verdict, ("bad", "×"))
    return f'<span class="chip {kind}"><i aria-hidden="true">{sign}</i> {esc(verdict)}</span>'


def swatch(name: str, palette: dict[str, int], kind: str = "m", label: str | None = None) -> str:
    """A name (or a shorter label for it) behind a dot of its colour."""
    colour = palette.get(name)
    dot = "" if colour is None else f'<i class="swatch" style="background:var(--{kind}{colour})"></i>'
    return f'{dot}<span class="who">{esc(label or name)}</span>'


def change(before: str, after: str) -> str:
    """`before → after`; one value where the other was not measured."""
    if after == DASH:
        return before
    return f'<span class="was">{before}</span> <span class="to">{ARROW}</span> {after}'


def interval(low_high: Sequence[float] | None, show: Any = points) -> str:
    """A small `[low, high]`, or nothing."""
    if not low_high:
        return ""
    return f" <small>[{show(low_high[0])}, {show(low_high[1])}]</small>"


def claims_table(summary: Record) -> str:
    """The recipe's own claims, each bound of theirs, and what is asked of every run; the last two may be folded."""
    stated = [claim for claim in summary["claims"] if "parts" in claim]
    general = _general_claims([claim for claim in summary["claims"] if "parts" not in claim])
    if not stated:
        return general
    rows = [
        [
            f"{esc(claim['statement'])} <small><code>{esc(claim['id'])}</code></small>",
            chip(claim["verdict"]),
            *_effect(_deciding(claim)),
        ]
        for claim in stated
    ]
    head = ["Claim", "Verdict", "Effect", "Limit", "Problems"]
    note = "the bound that decides; in accuracy points or tokens [95\u202f% interval]"
    bounds = [
        [
            f"<code>{esc(claim['id'])}</code>",
            _sum(part),
            esc(", ".join(part["sets"])),
            chip(part["verdict"]),
            *_effect(part),
        ]
        for claim in stated
        for part in claim["parts"]
    ]
    table = frame("Every bound", ["Claim", "Sum", "Sets", "Verdict", "Effect", "Limit", "Problems"], bounds)
    folded = f'<details class="more"><summary>Every bound of these claims</summary>{table}</details>'
    asked = f'<details class="more"><summary>Gain of every model on every set</summary>{general}</details>'
    return frame("Claims", head, rows, note) + folded + (asked if general else "")


def _general_claims(claims: list[Record]) -> str:
    rows = []
    for claim in claims:
        n = f"{claim['n']:,}" if claim["n"] else DASH
        rows.append([esc(claim["statement"]), esc(claim["set"]), chip(claim["verdict"]), _amount(claim, points), n])
    note = "effect in accuracy points [95\u202f% interval]"
    return frame("Claims", ["Claim", "Set", "Verdict", "Effect", "Problems"], rows, note) if rows else ""


def _deciding(claim: Record) -> Record:
    """The part whose effect the claim shows."""
    told = ("effect", "ci95", "n", "verdict")
    return next(
        (part for part in claim["parts"] if part["verdict"] == claim["verdict"] and part["effect"] == claim["effect"]),
        claim["parts"][0] | {key: claim[key] for key in told},
    )


def _effect(part: Record) -> list[str]:
    """Effect with its intervals, limit and number of problems of one bound."""
    show = _tokens if part["measure"] == "length" else points
    ((limit, value),) = part["limit"].items()
    sign = {"at_least": "≥", "at_most": "≤", "above": ">", "within": "±"}[limit]
    shown = _amount(part, show)
    if part["ci95_seeds"]:
        shown += f"<small>seeds [{show(part['ci95_seeds'][0])}, {show(part['ci95_seeds'][1])}]</small>"
    return [shown, f"{sign} {fixed(value, 0)}", f"{part['n']:,}" if part["n"] else DASH]


def _amount(told: Record, show: Any) -> str:
    return f"{show(told['effect'])}{interval(told['ci95'], show)}"


def _tokens(value: Any) -> str:
    return fixed(value, 1, sign=True)


def _sum(part: Record) -> str:
    """`rl/short − short`, with what is measured where that is not accuracy."""
    text = ""
    for node, factor in part["sum"].items():
        sign = MINUS if factor < 0 else "+"
        amount = "" if abs(factor) == 1 else f"{abs(factor):g} × "
        text += f" {sign} {amount}{node}" if text or factor < 0 else f"{amount}{node}"
    measure = "" if part["measure"] == "accuracy" else f"{part['measure']}: "
    family = f", {part['family']} only" if part["family"] else ""
    return esc(f"{measure}{text.strip()}{family}")


def scores_tables(summary: Record, models: dict[str, int], few_shot: bool) -> str:
    """One table a set: models down; before and after across."""
    found = []
    for set_ in _few_shot_sets(summary) if few_shot else zero_shot_sets(summary):
        rows = [_score_row(summary, name, set_, models) for name in summary["models"] if _has(summary, name, set_)]
        ks = [
            k
            for name in summary["models"]
            for when in ("before", "after")
            for k in _score(summary, name, when, set_).get("pass_at", {})
        ]
        top = max((int(k) for k in ks), default=1)
        n, samples = _shape(summary, set_)
        head = [
            "Model",
            "Before, %",
            "After, %",
            "Gain, points",
            f"pass@{top}, %",
            "Truncated, %",
            "No answer, %",
            "Length, tokens",
        ]
        for row in rows:
            row[4] = row[4].get(str(top), DASH)
        if not any(_score(summary, name, "after", set_) for name in summary["models"]):
            head = ["Model", "Accuracy, %", *head[4:]]
            rows = [row[:2] + row[4:] for row in rows]
        note = f"{n:,} problems × {samples} sample{'s' * (samples != 1)}"
        found.append(frame(esc(set_), head, rows, note))
    return "".join(found)


def _few_shot_sets(summary: Record) -> list[str]:
    scores = [s for model in summary["models"].values() for s in (model["before"], model["after"] or {})]
    return list(dict.fromkeys(name for score in scores for name in score if name.endswith(FEW_SHOT)))


def _score(summary: Record, name: str, when: str, set_: str) -> Record:
    return (summary["models"][name][when] or {}).get(set_) or {}


def _has(summary: Record, name: str, set_: str) -> bool:
    return any(_score(summary, name, when, set_) for when in ("before", "after"))


def _shape(summary: Record, set_: str) -> tuple[int, int]:
    told = [s for name in summary["models"] for when in ("before", "after") if (s := _score(summary, name, when, set_))]
    return max(s["n"] for s in told), max(s["samples"] for s in told)


def _score_row(summary: Record, name: str, set_: str, models: dict[str, int]) -> list[Any]:
    before, after = (_score(summary, name, when, set_) for when in ("before", "after"))

    def bare(value: Any) -> str:
        return percent(value, unit=False)

    def both(field: str, show: Any = bare) -> str:
        return change(show(before.get(field)), show(after.get(field)))

    accs = [f"{bare(score.get('acc'))}{interval(score.get('ci95'), bare)}" for score in (before, after)]
    gain = next((c for c in summary["claims"] if c["id"] == f"gain/{name}/{set_}"), None)
    if gain:
        moved = f"{points(gain['effect'])}{interval(gain['ci95'])}"
    else:
        pair = [number(score.get("acc")) for score in (before, after)]
        moved = DASH if None in pair else points(100 * (pair[1] - pair[0]))  # type: ignore[operator]
    ks = {**before.get("pass_at", {}), **after.get("pass_at", {})}
    passes = {k: change(bare(before.get("pass_at", {}).get(k)), bare(after.get("pass_at", {}).get(k))) for k in ks}
    tail = [both("truncation"), both("no_answer"), both("length", fixed)]
    return [swatch(name, models), *accs, moved, passes, *tail]


def parts_table(summary: Record, models: dict[str, int], part: str, title: str) -> str:
    """Accuracy by family or by level, one table a set; empty where items carry no such label."""
    found = []
    for set_ in zero_shot_sets(summary):
        names = list(summary["models"])
        labels = dict.fromkeys(
            label for n in names for w in ("before", "after") for label in _score(summary, n, w, set_).get(part, {})
        )
        if len(labels) < 2:
            continue
        rows = []
        for name in (n for n in names if _has(summary, n, set_)):
            both = [_score(summary, name, when, set_).get(part, {}) for when in ("before", "after")]
            shares = [[percent(side.get(label, {}).get("acc"), unit=False) for side in both] for label in labels]
            cells = [change(before, after) for before, after in shares]
            rows.append([swatch(name, models), *cells])
        found.append(frame(f"{esc(set_)} {title}", ["Model", *map(esc, labels)], rows, "accuracy in percent"))
    return "".join(found)


def bits_table(summary: Record, models: dict[str, int], sources: dict[str, int]) -> str:
    """Bits per byte of held-out text: what RL (and mid-training before it) made the model forget."""
    scored = [(n, m["before_bits_per_byte"], m["after_bits_per_byte"] or {}) for n, m in summary["models"].items()]
    names = dict.fromkeys(s for _, before, after in scored for s in [*before, *after])
    rows = []
    for name, before, after in scored:
        cells = [change(fixed(before.get(s), 3), fixed(after.get(s), 3)) for s in names]
        rows.append([swatch(name, models), *cells])
    head = ["Model", *(swatch(name, sources, "s") for name in names)]
    return frame("Bits per byte", head, rows, "held-out text, before → after RL; lower is better") if names else ""


def signs_table(summary: Record, models: dict[str, int]) -> str:
    """Readings for the failure modes of RL; those past their limit are marked."""
    rows = []
    for name, told in summary["rl"].items():
        cells = []
        for sign in SIGNS:
            value = told["signs"].get(sign.id)
            text = percent(value, unit=False) if sign.percent else fixed(value, 2)
            over = value is not None and value > sign.limit
            cells.append(f'<span class="watch">{text} <i title="past the limit">!</i></span>' if over else text)
        rows.append([swatch(name, models), *cells])
    head = ["Model"]
    for sign in SIGNS:
        limit = percent(sign.limit, unit=False) if sign.percent else fixed(sign.limit)
        unit = ", %" if sign.percent else ", ×"
        head.append(f'<span title="{esc(sign.meaning)}">{esc(sign.title)}{unit} <small>(over {limit})</small></span>')
    return frame("Signs of trouble", head, rows, "! marks a reading past its limit") if rows else ""


def stages_table(summary: Record) -> str:
    """Kind, key and time of every stage."""
    rows = []
    for node, told in summary["provenance"]["stages"].items():
        times = summary["times"]["stages"].get(node, {})
        when = str(times.get("finished_at") or DASH)[:19].replace("T", " ")
        key = f"<code>{esc(told['key'] or DASH)}</code>"
        rows.append([f"<code>{esc(node)}</code>", esc(told["kind"]), key, duration(times.get("seconds")), esc(when)])
    return frame("Stages", ["Stage", "Kind", "Key", "Time", "Finished"], rows)
