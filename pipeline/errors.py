"""The error that a failed run ends in."""


class RunError(Exception):
    """A component failed. The message names it and the log. It is shown as one line."""
