"""The error that wrong input ends in."""


class UserError(Exception):
    """Wrong input. The message names the file, line or field, and the remedy. It is shown as one line."""
