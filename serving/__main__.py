"""`python -m serving serve …`, `predict …` and `explore …`."""

from serving.cli import cli, main
from serving.explore.command import explore

cli.add_command(explore)  # Here, as `serving.cli` is part of what a candidate's server is, and the page is not.
main()
