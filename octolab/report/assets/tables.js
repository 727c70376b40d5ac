"use strict";
/* Tables as Markdown and LaTeX, read from the page itself, so that what is copied is what is seen. */

function cellText(cell) {
  return cell.textContent.replace(/[\s\u202f]+/g, " ").replace(/^[✓×?] /, "").trim();
}

function tableRows(table) {
  return [...table.rows].map((row) => [...row.cells].map(cellText));
}

function toMarkdown(table) {
  const rows = tableRows(table).map((row) => row.map((cell) => cell.replace(/\\/g, "\\\\").replace(/\|/g, "\\|")));
  const rule = rows[0].map((_, i) => (i ? "---:" : ":---"));
  return [rows[0], rule, ...rows.slice(1)].map((row) => `| ${row.join(" | ")} |`).join("\n") + "\n";
}

const LATEX = {
  "\\": "\\textbackslash{}", "{": "\\{", "}": "\\}", $: "\\$", "&": "\\&", "#": "\\#", "%": "\\%", _: "\\_",
  "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "→": "$\\to$", "−": "$-$", "×": "$\\times$", "–": "--",
};

function toLatex(table) {
  const rows = tableRows(table).map((row) => row.map((cell) => cell.replace(/[\\{}$&#%_~^→−×–]/g, (c) => LATEX[c])));
  const line = (row) => `  ${row.join(" & ")} \\\\`;
  const columns = "l" + "r".repeat(rows[0].length - 1);
  return [`\\begin{tabular}{${columns}}`, "  \\toprule", line(rows[0]), "  \\midrule", ...rows.slice(1).map(line),
    "  \\bottomrule", "\\end{tabular}", ""].join("\n");
}

async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

document.querySelectorAll("[data-copy]").forEach((button) => {
  const label = button.textContent;
  button.title = `Copy this table as ${label}`;
  button.addEventListener("click", async () => {
    const table = button.closest("figure").querySelector("table");
    await copyText(button.dataset.copy === "latex" ? toLatex(table) : toMarkdown(table));
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = label), 1200);
  });
});
