"""Everything after the push, with its own commands: `python -m serving --help`. Imports nothing else of ours."""
