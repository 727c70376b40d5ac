"""The result of a run in a few sentences, written from the numbers.

In goes a summary, out come sentences: what RL did to each model on the first zero-shot set, with intervals;
which models gain more than the baseline; what holds on the other sets; and, said plainly, where a model
solves almost nothing, so that no curve below is mistaken for a finding. Names stand in back quotes.
"""

from __future__ import annotations

from typing import Any

from octolab.report.claims import FAILS, FEW_SHOT, HOLDS, UNKNOWN
from octolab.report.text import percent, plural, points

ALMOST_NOTHING = 0.02
"""Accuracy below which a model is said to solve almost nothing."""

Record = dict[str, Any]


def zero_shot_sets(summary: Record) -> list[str]:
    """Zero-shot sets in the order in which they were evaluated."""
    scores = [s for model in summary["models"].values() for s in (model["before"], model["after"] or {})]
    return list(dict.fromkeys(name for score in scores for name in score if not name.endswith(FEW_SHOT)))


def accuracy(summary: Record, name: str, when: str, set_: str) -> float | None:
    """Accuracy of a model before or after RL on one set, None where it was not measured."""
    return ((summary["models"][name][when] or {}).get(set_) or {}).get("acc")


def answer(summary: Record) -> list[str]:
    """Sentences for the top of the report, the most telling first."""
    sets = zero_shot_sets(summary)
    stated = _stated(summary)
    if not sets:
        trained = plural(len(summary["train"]), "training stage")
        return [f"No model of this run has been evaluated zero-shot yet; {trained} finished."]
    gains = {c["id"]: c for c in summary["claims"] if c["id"].startswith("gain/")}
    told = [g for name in summary["rl"] if (g := gains.get(f"gain/{name}/{sets[0]}")) and g["effect"] is not None]
    if not told:
        return [_without_rl(summary, sets[0]), *_nothing_solved(summary, sets[0])[0]]
    said = _moved(summary, told, sets[0]) + stated
    if not stated:
        said += _against_baseline(summary, sets[0]) + _other_sets(summary, sets[1:])
    low, everyone = _nothing_solved(summary, sets[0])
    return low + said if everyone else said + low


def _stated(summary: Record) -> list[str]:
    """The recipe's own claims in a sentence."""
    claims = [claim for claim in summary["claims"] if "parts" in claim]
    if not claims:
        return []
    parts = []
    for verdict, words in ((HOLDS, "hold"), (FAILS, "do not"), (UNKNOWN, "cannot be told from this run")):
        found = [f"`{claim['id']}`" for claim in claims if claim["verdict"] == verdict]
        if found:
            parts.append(f"{len(found)} {words} ({_join(found)})")
    return [f"Of the {len(claims)} claims that were written down beforehand, {'; '.join(parts)}."]


def _name(claim: Record) -> str:
    return claim["id"].removeprefix("gain/").removeprefix("gains_more/").removesuffix(f"/{claim['set']}")


def _moved_words(summary: Record, claim: Record) -> str:
    name, set_ = _name(claim), claim["set"]
    before, after = (percent(accuracy(summary, name, when, set_)) for when in ("before", "after"))
    return f"`{name}` from {before} to {after} ({_change(claim)})"


def _change(claim: Record) -> str:
    low, high = claim["ci95"]
    interval = f"95\u202f% interval {points(low)} to {points(high)}"
    return f"{points(claim['effect'])} points, {interval}, n\u00a0=\u00a0{claim['n']:,}"


def _moved(summary: Record, claims: list[Record], set_: str) -> list[str]:
    if len(claims) == 1:
        return [f"On `{set_}`, RL moved {_moved_words(summary, claims[0])}; {_verdict_words(claims[0])}."]
    ranked = sorted(claims, key=lambda c: -c["effect"])
    most, least = (_moved_words(summary, claim) for claim in (ranked[0], ranked[-1]))
    if all(claim["verdict"] == UNKNOWN for claim in claims):
        every = f"On `{set_}`, this run cannot tell whether RL moved any of its {len(claims)} models"
        if ranked[0]["effect"] == ranked[-1]["effect"]:
            return [f"{every}: each by {_change(ranked[0])}."]
        furthest = _moved_words(summary, max(ranked, key=lambda c: abs(c["effect"])))
        return [f"{every}; the furthest went {furthest}, and every interval includes zero."]
    first = f"On `{set_}`, RL moved {most}, the most of {len(claims)} models, and {least}, the least."
    if len(claims) == 2:
        first = f"On `{set_}`, RL moved {most} and {least}."
    parts: dict[str, list[str]] = {}
    for claim in ranked:
        parts.setdefault(_verdict_words(claim), []).append(f"`{_name(claim)}`")
    return [first, f"For {'; for '.join(f'{_join(names)} {words}' for words, names in parts.items())}."]


def _verdict_words(claim: Record) -> str:
    if claim["verdict"] == HOLDS:
        return "the whole interval is above zero"
    if claim["verdict"] == UNKNOWN:
        return "the interval includes zero: cannot tell"
    return "no part of the interval is above zero"


def _against_baseline(summary: Record, set_: str) -> list[str]:
    more = [c for c in summary["claims"] if c["id"].startswith("gains_more/") and c["set"] == set_]
    if not more or all(c["effect"] is None for c in more):
        return []
    baseline = next(iter(summary["rl"]))
    words = {HOLDS: "shown for", UNKNOWN: "undecided for"}
    parts: dict[str, list[str]] = {}
    for claim in more:
        parts.setdefault(words.get(claim["verdict"], "not so for"), []).append(f"`{_name(claim)}`")
    listed = "; ".join(f"{word} {_join(names)}" for word, names in parts.items())
    return [f"That RL gains more than on the baseline `{baseline}` is {listed}."]


def _other_sets(summary: Record, sets: list[str]) -> list[str]:
    words = {HOLDS: "raises", UNKNOWN: "may or may not raise"}
    lines = []
    for set_ in sets:
        claims = [c for c in summary["claims"] if c["id"].startswith("gain/") and c["set"] == set_ and c["ci95"]]
        parts: dict[str, list[str]] = {}
        for claim in sorted(claims, key=lambda c: -c["effect"]):
            word = words.get(claim["verdict"], "does not raise")
            parts.setdefault(word, []).append(f"`{_name(claim)}` ({points(claim['effect'])})")
        if parts:
            lines.append(f"On `{set_}`, RL {'; '.join(f'{word} {_join(names)}' for word, names in parts.items())}.")
    return lines


def _without_rl(summary: Record, set_: str) -> str:
    known = {n: m["before"][set_] for n, m in summary["models"].items() if set_ in m["before"]}
    if not known:
        return "RL ran, but no model was evaluated both before and after it, so this run cannot tell what it did."
    best = max(known, key=lambda name: known[name]["acc"] or 0.0)
    score = known[best]
    spread = ""
    if score["ci95"]:
        low, high = (percent(edge, unit=False) for edge in score["ci95"])
        spread = f" (95\u202f% interval {low} to {high}, n = {score['n']})"
    first = "No model was evaluated both before and after RL." if summary["rl"] else "No RL ran in this run."
    most = f", the most of {len(known)} models evaluated" if len(known) > 1 else ""
    return f"{first} `{best}` solves {percent(score['acc'])} of `{set_}`{spread}{most}."


def _nothing_solved(summary: Record, set_: str) -> tuple[list[str], bool]:
    """A sentence about models that solve almost nothing, if there are any, and whether that is all of them."""
    known = {}
    for name in summary["models"]:
        both = [accuracy(summary, name, when, set_) for when in ("before", "after")]
        if any(value is not None for value in both):
            known[name] = max(value for value in both if value is not None)
    low = [name for name, best in known.items() if best < ALMOST_NOTHING]
    if not low:
        return [], False
    limit, when = f"{100 * ALMOST_NOTHING:g}\u202f%", ", before or after RL" if summary["rl"] else ""
    if len(low) == len(known):
        none = f"No model here solves as much as {limit} of `{set_}`{when}"
        return [f"{none}: this shows that the road works, not where it leads."], True
    verb = "solves" if len(low) == 1 else "solve"
    return [
        f"{_join([f'`{name}`' for name in low])} {verb} almost nothing of `{set_}` (less than {limit}{when})."
    ], False


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
