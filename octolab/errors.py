"""The one exception that means: the user can mend this.

Its message is one sentence that names what was wrong, where, and the nearest fix. The command line prints
the sentence without a traceback and exits with code 2. Anything else that escapes is a defect of OctoLab.
"""

from __future__ import annotations


class UserError(Exception):
    """A mistake in a recipe, a file or the surroundings that the user can put right."""
