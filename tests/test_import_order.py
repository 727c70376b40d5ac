"""The layout is the import order: a folder imports only from folders above it."""

from __future__ import annotations

import ast
from pathlib import Path

import octolab

ROOT = Path(octolab.__file__).parent
ORDER = [
    "errors", "recipe", "store", "verify", "tasks", "corpus", "tokens", "model", "midtrain", "engine", "rl",
    "evaluate", "lab", "report", "pipeline", "cluster", "cli",
]  # fmt: skip


def imported(path: Path) -> set[str]:
    """Folders of octolab that a module imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "octolab" else [f"octolab.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("octolab.")}
    return found


def test_folders_import_only_upwards():
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).parts
        if len(parts) == 1:
            continue
        here = ORDER.index(parts[0])
        wrong += [f"{path.relative_to(ROOT)} imports {one}" for one in imported(path) if ORDER.index(one) > here]
    assert not wrong


def test_only_the_heavy_folders_import_torch_at_the_top():
    """What does not compute starts fast: recipes, stores, corpora and reports load without torch."""
    light = set(ORDER) - {"model", "midtrain", "engine", "rl", "evaluate"}
    wrong = []
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).parts
        if parts[0] in light:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in tree.body:
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                heavy = ("torch", "transformers", "datasets", "pyarrow", "plotly")
                wrong += [f"{path.relative_to(ROOT)}: {name}" for name in names if name.split(".")[0] in heavy]
    assert not wrong


def test_the_lab_is_read_by_nobody():
    """No lab constant is read outside octolab/lab: recipes name it as text."""
    readers = [p for p in ROOT.rglob("*.py") if "lab" in imported(p) and p.relative_to(ROOT).parts[0] != "lab"]
    assert not readers
