"""The page: whole, offline, hostile text kept as text, and the answer in words."""

from __future__ import annotations

import base64
import gzip
import json
import re
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from synthetic_run import HOSTILE

from octolab.report import collect, write_report
from octolab.report.answer import answer
from octolab.report.plots import binned
from octolab.report.text import compact, duration, esc, fixed, json_block, percent, points, printable

MakeRun = Callable[..., Path]


class Seen(HTMLParser):
    """What a browser would see: tags with attributes, and the text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._raw = "", ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._raw = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self._raw = ""

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.text += data


@pytest.fixture(scope="module")
def html(small_run: Path) -> str:
    return write_report(small_run).read_text(encoding="utf-8")


def block(html: str, id_: str) -> Any:
    found = re.search(rf'<script type="application/json" id="{id_}">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def packed(html: str, id_: str) -> Any:
    found = re.search(rf'<script type="application/gzip;base64" id="{id_}">([A-Za-z0-9+/=]*)</script>', html)
    assert found
    return json.loads(gzip.decompress(base64.b64decode(found[1])))


def test_both_files_are_written_whole_and_agree(small_run: Path, html: str) -> None:
    assert json.loads((small_run / "summary.json").read_text()) == collect(small_run)
    assert html.startswith("<!doctype html>") and html.endswith("</html>\n")
    assert not list(small_run.glob("*.partial"))


def test_two_reports_of_a_run_are_equal(small_run: Path, html: str) -> None:
    summary = (small_run / "summary.json").read_bytes()
    assert write_report(small_run).read_text(encoding="utf-8") == html
    assert (small_run / "summary.json").read_bytes() == summary


def test_it_is_fast(small_run: Path) -> None:
    write_report(small_run)
    start = time.perf_counter()
    write_report(small_run)
    assert time.perf_counter() - start < 2.0


def test_nothing_is_fetched_and_only_our_scripts_may_run(html: str) -> None:
    seen = Seen(html)
    for tag, attributes in seen.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in ("src", "srcset", "action", "background"), (tag, name)
            assert name != "href" or (value or "").startswith("#"), value
            assert "url(" not in (value or "")
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style and "url(" not in style[1] and "@import" not in style[1]
    policy = next(
        a["content"] for t, a in seen.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy and policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe-eval" not in policy


def test_hostile_text_stays_text(html: str) -> None:
    assert HOSTILE not in html
    assert not [a for t, a in Seen(html).tags if t == "img"]
    assert "leaked: " + HOSTILE in Seen(html).text  # the excerpt of a dropped page
    assert any(HOSTILE in pair["question"] for pair in packed(html, "rollouts-data"))


def test_hostile_names_stay_text(make_run: MakeRun) -> None:
    run = make_run(models=("plain",), corpus=False)
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe | {"name": HOSTILE}))
    for log in ("eval/plain", "eval/rl/plain"):
        folder = run / "stages" / log
        for name in ("samples.jsonl", "scores.json"):
            text = (folder / name).read_text()
            (folder / name).write_text(text.replace('"search"', json.dumps(HOSTILE)))
    html = write_report(run).read_text()
    assert HOSTILE not in html
    assert Seen(html).text.count(HOSTILE) > 5


def test_lone_surrogates_do_not_stop_the_report(make_run: MakeRun) -> None:
    run = make_run(models=("plain",), corpus=False)
    samples = run / "stages" / "eval" / "plain" / "samples.jsonl"
    samples.write_text(samples.read_text().replace("Let us count", "Let us \\ud83d count"))
    assert "Let us" in json.dumps(packed(write_report(run).read_text(encoding="utf-8"), "rollouts-data"))


def test_sections_appear_with_what_they_need(html: str, make_run: MakeRun) -> None:
    def anchors(page: str) -> list[str]:
        return re.findall(r'<section id="([^"]+)">', page)

    everything = ["road", "claims", "evaluation", "pass", "few-shot", "dynamics", "training", "forgetting", "corpus"]
    assert anchors(html) == [*everything, "rollouts", "provenance"]
    bare = write_report(make_run(rl=False, corpus=False)).read_text()
    assert anchors(bare) == ["road", "evaluation", "pass", "few-shot", "training", "forgetting", "provenance"]


def test_figures_hold_the_logged_values(small_run: Path, html: str) -> None:
    figures = block(html, "figures")
    rows = [json.loads(x) for x in (small_run / "stages" / "rl" / "short" / "metrics.jsonl").read_text().splitlines()]
    raw = next(t for t in figures["rl-accuracy"]["data"] if t["name"] == "short" and t.get("opacity"))
    assert raw["y"] == pytest.approx([100 * row["accuracy"] for row in rows], rel=1e-4)
    correct = next(t for t in figures["rl-length-correct"]["data"] if t["name"] == "plain" and t.get("opacity"))
    assert correct["y"][0] is None  # none correct at the first step: a gap, not a zero
    lengths = [figures[f"rl-length-{k}"]["layout"]["yaxis"]["range"] for k in ("all", "correct", "wrong", "truncated")]
    assert lengths == [lengths[0]] * 4
    loss = {t["name"]: t for t in figures["train-loss"]["data"]}
    assert min(loss["short"]["x"]) > max(loss["stable"]["x"])  # a branch leaves where its parent ended


def test_long_curves_are_averaged_in_bins() -> None:
    x, y = binned([float(i) for i in range(5000)], [2.0] * 4999 + [None])
    assert len(x) == len(y) == 400
    assert x == sorted(v for v in x if v is not None) and set(y) == {2.0}
    assert binned([1.0], [None]) == ([1.0], [None])


def summary_of(scores: dict[str, tuple[float, float]], claims: list[dict[str, Any]], rl: bool = True) -> dict[str, Any]:
    def score(acc: float) -> dict[str, Any]:
        return {"gsm8k": {"acc": acc, "ci95": [acc, acc], "n": 200}}

    models = {n: {"before": score(b), "after": score(a) if rl else None} for n, (b, a) in scores.items()}
    return {"models": models, "rl": {n: {} for n in scores} if rl else {}, "claims": claims, "train": {}}


def claim(name: str, effect: float, low: float, high: float, verdict: str, kind: str = "gain") -> dict[str, Any]:
    facts = {"effect": effect, "ci95": [low, high], "verdict": verdict, "n": 200}
    return {"id": f"{kind}/{name}/gsm8k", "set": "gsm8k", "statement": "", **facts}


def test_answer_says_cannot_tell_and_that_nothing_is_solved() -> None:
    told = answer(summary_of({"bare": (0.0, 0.004)}, [claim("bare", 0.4, -0.2, 1.0, "cannot tell")]))
    text = " ".join(told).replace("\u202f", " ").replace("\u00a0", " ")
    assert told[0].startswith("No model here solves as much as 2")
    assert "`bare` from 0.0 % to 0.4 % (+0.4 points, 95 % interval −0.2 to +1.0, n = 200)" in text
    assert "the interval includes zero: cannot tell" in text


def test_answer_leads_with_most_and_least_and_names_the_rest() -> None:
    gains = [
        claim("plain", 1, -1, 3, "cannot tell"),
        claim("short", 30, 25, 35, "holds"),
        claim("long", 50, 45, 55, "holds"),
    ]
    more = [claim(n, 29, 20, 38, "holds", "gains_more") for n in ("short", "long")]
    told = answer(summary_of({"plain": (0.04, 0.05), "short": (0.5, 0.8), "long": (0.3, 0.8)}, gains + more))
    assert told[0].index("`long`") < told[0].index("`plain`")
    above, within = "the whole interval is above zero", "the interval includes zero: cannot tell"
    assert told[1] == f"For `long` and `short` {above}; for `plain` {within}."
    assert told[2] == "That RL gains more than on the baseline `plain` is shown for `short` and `long`."


def test_answer_does_not_rank_what_it_cannot_tell() -> None:
    gains = [claim("plain", 1, -1, 3, "cannot tell"), claim("short", -2, -5, 1, "cannot tell")]
    told = answer(summary_of({"plain": (0.04, 0.05), "short": (0.5, 0.48)}, gains))
    assert told[0].startswith(
        "On `gsm8k`, this run cannot tell whether RL moved any of its 2 models; the furthest went `short`"
    )
    same = [claim(name, 0, -9, 9, "cannot tell") for name in ("plain", "short")]
    told = answer(summary_of({"plain": (0.5, 0.5), "short": (0.5, 0.5)}, same))
    assert "any of its 2 models: each by 0.0 points" in told[0]


def test_answer_says_when_rl_did_harm() -> None:
    told = answer(summary_of({"m": (0.5, 0.3)}, [claim("m", -20, -28, -12, "does not hold")]))
    assert told[0].endswith("no part of the interval is above zero.")


def test_answer_without_rl() -> None:
    told = answer(summary_of({"m": (0.5, 0.0), "k": (0.2, 0.0)}, [], rl=False))
    assert told[0].startswith("No RL ran in this run. `m` solves 50.0")
    assert told[0].endswith("the most of 2 models evaluated.")


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (percent(0.004), "0.4\u202f%"),
        (percent(None), "–"),
        (percent(float("nan")), "–"),
        (points(-0.04), "0.0"),
        (points(1.25), "+1.2"),
        (points(-3), "−3.0"),
        (fixed(True), "–"),
        (compact(999), "999"),
        (compact(12_345), "12.3k"),
        (compact(2_000_000), "2M"),
        (duration(3725), "1\u202fh 2\u202fmin"),
        (esc('<a b="c">'), "&lt;a b=&quot;c&quot;&gt;"),
        (printable("a\ud800b")[0], "a"),
    ],
)
def test_numbers_and_names_as_shown(shown: str, expected: str) -> None:
    assert shown == expected


def test_json_blocks_cannot_be_closed_and_read_back() -> None:
    value = {"a": [HOSTILE, "<!--", "&lt;", "\u2028"], "b": None}
    written = json_block("x", value)
    assert written.count("<") == 2  # its own two tags
    assert json.loads(written[written.index(">") + 1 : -len("</script>")]) == value
