"""The face of a run: what it showed, in numbers (summary.json) and as a page (report.html).

In goes a run directory, and nothing else is read. `collect` gives the numbers, `write_report` writes both files.
"""

from octolab.report.collect import collect
from octolab.report.write import write_report

__all__ = ["collect", "write_report"]
