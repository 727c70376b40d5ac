"""`python -m octolab.cli`."""

from octolab.cli.main import main

main()
