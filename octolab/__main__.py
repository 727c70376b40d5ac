"""`python -m octolab`."""

from octolab.cli.main import main

main()
