"""The report in a browser: drawn, usable, silent on console and network, at home on a laptop and a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from report_browser import CHROMIUM, Page

from octolab.report import write_report

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}")


@pytest.fixture(scope="module")
def report(small_run: Path) -> Path:
    return write_report(small_run)


@pytest.fixture(scope="module")
def laptop(report: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    page = Page(tmp_path_factory.mktemp("laptop"), 1366)
    page.open(report)
    yield page
    page.close()


@pytest.fixture(scope="module")
def phone(report: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    page = Page(tmp_path_factory.mktemp("phone"), 390, 844, dark=True)
    page.open(report)
    yield page
    page.close()


def test_every_visible_figure_is_drawn(laptop: Page) -> None:
    visible = "[...document.querySelectorAll('.canvas')].filter(c => !c.closest('details:not([open])'))"
    assert laptop.run(f"{visible}.length") > 12
    assert laptop.run(f"{visible}.every(c => c.querySelector('.main-svg'))")
    assert laptop.run("document.querySelectorAll('.canvas .scatterlayer .trace').length") > 30


def test_figures_in_a_closed_part_are_drawn_when_it_opens(laptop: Page) -> None:
    drawn = "document.querySelectorAll('[data-figure=\"rl-grad_norm\"] .main-svg').length"
    assert laptop.run(drawn) == 0
    laptop.run(
        "new Promise(done => {const d = document.querySelector('[data-figure=\"rl-grad_norm\"]').closest('details');"
        "d.addEventListener('toggle', () => setTimeout(done, 0)); d.open = true})"
    )
    assert laptop.run(drawn) > 0


def test_rollouts_are_unpacked_only_when_the_reader_comes_to_them(laptop: Page) -> None:
    assert laptop.run("ROLLOUTS.length") == 0
    laptop.come_to("#rollouts", "document.querySelectorAll('.rollout').length > 0")
    assert laptop.run("ROLLOUTS.length") > 3
    laptop.run("scrollTo(0, 0)")


def test_filters_choose_rollouts(laptop: Page) -> None:
    def pick(name: str, value: str) -> list[str]:
        change = f"s.value = '{value}'; s.dispatchEvent(new Event('change'))"
        laptop.run(f"(s => {{{change}}})(document.getElementById('pick-{name}'))")
        return laptop.run("[...document.querySelectorAll('.rollout > p')].map(p => p.textContent)")

    assert len(pick("model", "")) > 3
    assert all(head.startswith("short") for head in pick("model", "short"))
    last = pick("when", "step 6")
    assert last and all(head.startswith("shortstep 6") for head in last)
    pick("when", "")
    pick("verdict", "wrong")
    assert laptop.run("[...document.querySelectorAll('.rollout')].every(r => r.textContent.includes('× wrong'))")
    pick("verdict", "")
    pick("model", "")
    before = laptop.run("document.querySelectorAll('.rollout').length")
    laptop.run("document.getElementById('more-rollouts').click()")
    assert laptop.run("document.querySelectorAll('.rollout').length") > before


def test_a_model_can_be_hidden_in_all_plots(laptop: Page) -> None:
    lines = "document.querySelectorAll('[data-figure=\"rl-accuracy\"] .scatterlayer .trace').length"
    before = laptop.run(lines)
    switch = "document.querySelector('#dynamics [data-model=short]')"
    wait = "new Promise(done => setTimeout(done, 600))"
    laptop.run(f"{switch}.click(), {wait}")
    assert laptop.run(lines) == before / 2
    assert laptop.run(f"{switch}.getAttribute('aria-pressed')") == "false"
    laptop.run(f"{switch}.click(), {wait}")
    assert laptop.run(lines) == before


def test_tables_copy_as_markdown_and_latex(laptop: Page) -> None:
    markdown = laptop.run("toMarkdown(document.querySelector('#claims table'))").splitlines()
    assert markdown[0] == "| Claim | Set | Verdict | Effect | Problems |"
    assert markdown[1].startswith("| :--- | ---: |")
    assert markdown[2].startswith(
        "| RL raises plain's accuracy on word | word | cannot tell | +7.3 [−2.1, +16.7] | 24 |"
    )
    latex = laptop.run("toLatex(document.querySelector('#few-shot table'))")
    assert latex.startswith("\\begin{tabular}{lrrrrrrr}\n  \\toprule\n  Model & Before, \\% &")
    assert "$\\to$" in latex and latex.count("\\\\") == 3
    copied = laptop.run(
        "(async () => {let got; copyText = async t => {got = t};"
        "document.querySelector('#claims [data-copy=markdown]').click(); await 0; return got})()"
    )
    assert copied.splitlines() == markdown


def test_figures_can_be_saved(laptop: Page) -> None:
    url = laptop.run(
        "(f => Plotly.toImage(f, {format: 'svg', width: 720, height: 440}))"
        "(painted(FIGURES['rl-accuracy'], 'light', true))"
    )
    assert url.startswith("data:image/svg+xml") and "Accuracy" in url


def test_hostile_text_is_seen_as_text(laptop: Page) -> None:
    assert laptop.run("document.querySelectorAll('#rollouts img, #corpus img, header img').length") == 0
    assert laptop.run("document.querySelector('#rollout-list').textContent.includes('<img src=x onerror=alert(1)>')")


def test_phone_shows_the_list_and_never_scrolls_sideways(phone: Page) -> None:
    assert phone.run("document.documentElement.scrollWidth") == 390
    assert phone.run("getComputedStyle(document.querySelector('.road-narrow')).display") == "block"
    assert phone.run("getComputedStyle(document.querySelector('.road-wide')).display") == "none"
    assert phone.run(
        "[...document.querySelectorAll('.canvas .main-svg')].every(s => s.getBoundingClientRect().right <= 390)"
    )


def test_dark_follows_the_system(phone: Page, laptop: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    assert phone.run(background) == "rgb(19, 20, 23)"
    assert laptop.run(background) == "rgb(251, 250, 247)"
    line = "document.querySelector('[data-figure=\"rl-accuracy\"] .scatterlayer .js-line').style.stroke"
    assert phone.run(line) != laptop.run(line)


def test_silent_on_console_and_network(laptop: Page, phone: Page, report: Path) -> None:
    for page in (laptop, phone):
        assert page.errors == []
        assert {url for url in page.requests if not url.startswith(("data:", "blob:"))} == {report.resolve().as_uri()}
