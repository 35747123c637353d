"""Errors that are shown as one line, without a traceback."""


class UserError(Exception):
    """Wrong input. The message names the file, line or field, and the remedy."""


class RunError(Exception):
    """A component failed. The message names it and the log."""
