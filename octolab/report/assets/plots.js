"use strict";
/* Figures come without colours; they are painted here for light, dark and, always light, for export. */

function block(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

const FIGURES = block("figures");
const THEME = block("theme");
const DARK = window.matchMedia("(prefers-color-scheme: dark)");
const CONFIG = { displayModeBar: false, scrollZoom: false };
const hidden = new Set([...document.querySelectorAll('[data-model][aria-pressed="false"]')].map((b) => b.dataset.model));
const SIZES = new ResizeObserver((entries) => {
  for (const { target } of entries) if (target.clientWidth && target.data) Plotly.Plots.resize(target);
});

function painted(figure, mode, forPaper) {
  const look = THEME[mode];
  const data = figure.data.map((trace) => {
    const [palette, index] = trace.meta.tone;
    const color = look[palette][index % look[palette].length];
    const shown = !hidden.has(trace.meta.model || trace.name);
    return { ...trace, visible: shown, line: { ...trace.line, color }, marker: { ...trace.marker, color }, hoverlabel: { namelength: 40 } };
  });
  const axis = { gridcolor: look.grid, linecolor: look.line, zeroline: false, tickfont: { size: 11, color: look.muted }, automargin: true };
  const title = (given) => ({ ...given.title, font: { size: 11, color: look.muted }, standoff: 6 });
  const { xaxis, yaxis } = figure.layout;
  const layout = {
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: look.ink },
    paper_bgcolor: forPaper ? "#ffffff" : "rgba(0,0,0,0)",
    plot_bgcolor: forPaper ? "#ffffff" : "rgba(0,0,0,0)",
    margin: forPaper ? { l: 56, r: 16, t: 40, b: 48 } : { l: 46, r: 8, t: 8, b: 34 },
    title: forPaper ? { text: figure.title, font: { size: 15 } } : undefined,
    showlegend: Boolean(forPaper),
    hovermode: "x unified",
    hoverlabel: { bgcolor: look.card, bordercolor: look.line, font: { size: 12, color: look.ink } },
    xaxis: { ...axis, showgrid: false, ...xaxis, title: title(xaxis) },
    yaxis: { ...axis, nticks: 5, ...yaxis },
  };
  return { data, layout };
}

function canvasOf(id) {
  return document.querySelector(`[data-figure="${CSS.escape(id)}"] .canvas`);
}

function draw(id) {
  const canvas = canvasOf(id);
  if (!canvas || canvas.closest("details:not([open])")) return; // drawn when it opens
  const { data, layout } = painted(FIGURES[id], DARK.matches ? "dark" : "light", false);
  Plotly.react(canvas, data, layout, CONFIG);
  SIZES.observe(canvas);
}

function drawAll(ids) {
  const [first, ...rest] = ids;
  if (first === undefined) {
    document.documentElement.dataset.drawn = document.querySelectorAll(".canvas .main-svg").length;
    return;
  }
  draw(first);
  setTimeout(() => drawAll(rest), 0); // one at a time, so that the page stays alive
}

drawAll(Object.keys(FIGURES));
DARK.addEventListener("change", () => drawAll(Object.keys(FIGURES)));

document.querySelectorAll("details").forEach((details) => {
  details.addEventListener("toggle", () => {
    details.querySelectorAll("[data-figure]").forEach((figure) => draw(figure.dataset.figure));
  });
});

document.querySelectorAll("[data-model]").forEach((button) => {
  button.title = "Show or hide in all plots";
  button.addEventListener("click", () => {
    const name = button.dataset.model;
    if (!hidden.delete(name)) hidden.add(name);
    document.querySelectorAll(`[data-model="${CSS.escape(name)}"]`).forEach((twin) => {
      twin.setAttribute("aria-pressed", String(!hidden.has(name)));
    });
    drawAll(Object.keys(FIGURES));
  });
});

document.querySelectorAll("[data-image]").forEach((button) => {
  button.title = "Save this plot, light, for a paper";
  button.addEventListener("click", () => {
    const id = button.closest("[data-figure]").dataset.figure;
    const { data, layout } = painted(FIGURES[id], "light", true);
    const filename = id.replace(/[^\w@-]+/g, "-");
    Plotly.downloadImage({ data, layout }, { format: button.dataset.image, filename, width: 720, height: 440, scale: 2 });
  });
});
