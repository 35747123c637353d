"""`python -m serving serve …` and `python -m serving predict …`."""

from serving.cli import main

main()
