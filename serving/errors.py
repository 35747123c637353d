"""The errors of this package, fit to be shown as one line."""


class ServingError(Exception):
    """Server or client cannot do what was asked. The message says what and why."""


class NotStarted(ServingError):
    """There is no server to ask, which tells nothing of its model."""
