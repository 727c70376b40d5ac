"""The contract of summary.json: a JSON Schema with a version, checked before anything is written."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
SCHEMA_FILE = Path(__file__).with_name("summary_schema.json")


@cache
def schema() -> dict[str, Any]:
    """The schema as data."""
    return json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))


def validate(summary: dict[str, Any]) -> None:
    """Check a summary.

    Raises:
        jsonschema.ValidationError: it breaks the contract, which is a defect of the report and not of the run.
    """
    import jsonschema  # slow to import

    jsonschema.Draft202012Validator(schema()).validate(summary)
