"""The tiny recipe, a finished run of it, and the command line as a function."""

from tiny_recipe import finished, octolab, one_thread, recipe, world  # noqa: F401 - fixtures
