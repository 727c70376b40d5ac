"use strict";
/* Rollouts to read. Their text is the models' own and is only ever set as text, never as markup. */

let ROLLOUTS = []; // unpacked by readRollouts, when the reader comes near them
const TONES = JSON.parse(document.getElementById("palette").textContent);
const PER_PAGE = 8;
const CHIP = { correct: ["good", "✓"], wrong: ["bad", "×"] };
let room = PER_PAGE;

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined && text !== null) node.textContent = text;
  return node;
}

function chipOf(verdict) {
  const [kind, sign] = CHIP[verdict] || ["open", "?"];
  return make("span", `chip ${kind}`, `${sign} ${verdict.replace("_", " ")}`);
}

/* The text with the answer that was read from it marked at its last place. */
function marked(text, span) {
  const pre = make("pre");
  const at = span ? text.lastIndexOf(span) : -1;
  if (at < 0) {
    pre.textContent = text || "(no text)";
    return pre;
  }
  pre.append(text.slice(0, at), make("mark", "", span), text.slice(at + span.length));
  return pre;
}

function sideOf(side) {
  const box = make("div", "side");
  const head = make("p");
  head.append(make("span", "", side.label), chipOf(side.verdict || "unknown"));
  if (side.tokens !== null) head.append(make("span", "", `${side.tokens} tokens`));
  if (side.finish === "length") head.append(make("span", "", "cut off at the cap"));
  if (side.span) head.append(make("span", "", `read as ${side.span}`));
  box.append(head, marked(side.text || "", side.span));
  return box;
}

function cardOf(pair) {
  const card = make("article", "rollout");
  card.style.setProperty("--tone", `var(--m${TONES[pair.model]})`);
  const head = make("p");
  head.append(make("b", "", pair.model), make("span", "", pair.set ? `${pair.when}, ${pair.set}` : pair.when));
  head.append(make("span", "", pair.heap));
  if (pair.tally) head.append(make("span", "", pair.tally));
  head.append(make("span", "", `gold ${pair.gold}`));
  const sides = make("div", "sides");
  sides.append(...pair.sides.map(sideOf));
  card.append(head, make("div", "question", pair.question), sides);
  return card;
}

const FACETS = {
  model: (pair) => [pair.model],
  when: (pair) => [pair.when],
  heap: (pair) => [pair.heap],
  verdict: (pair) => pair.sides.map((side) => side.verdict),
};

function picked() {
  const wanted = Object.keys(FACETS).map((name) => [name, document.getElementById(`pick-${name}`).value]);
  return ROLLOUTS.filter((pair) => wanted.every(([name, value]) => !value || FACETS[name](pair).includes(value)));
}

function showRollouts() {
  const pairs = picked();
  document.getElementById("rollout-list").replaceChildren(...pairs.slice(0, room).map(cardOf));
  const shown = Math.min(room, pairs.length);
  document.getElementById("picked").textContent = pairs.length ? `${shown} of ${pairs.length} pairs` : "none like that";
  document.getElementById("more-rollouts").hidden = shown === pairs.length;
}

async function unpacked(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

async function readRollouts() {
  ROLLOUTS = await unpacked("rollouts-data");
  for (const [name, values] of Object.entries(FACETS)) {
    const select = document.getElementById(`pick-${name}`);
    const known = [...new Set(ROLLOUTS.flatMap(values))].filter(Boolean);
    select.append(new Option("all", ""), ...known.map((value) => new Option(value, value)));
    select.addEventListener("change", () => {
      room = PER_PAGE;
      showRollouts();
    });
  }
  document.getElementById("more-rollouts").addEventListener("click", () => {
    room += PER_PAGE;
    showRollouts();
  });
  showRollouts();
}

if (document.getElementById("picks")) {
  const near = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      near.disconnect();
      readRollouts();
    },
    { rootMargin: "1200px" },
  );
  near.observe(document.getElementById("picks"));
}
