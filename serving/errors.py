"""The error of this package, fit to be shown as one line."""


class ServingError(Exception):
    """Server or client cannot do what was asked. The message says what and why."""
