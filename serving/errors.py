"""The errors of this package, fit to be shown as one line."""


class ServingError(Exception):
    """Server or client cannot do what was asked. The message says what and why."""


class NotLoaded(ServingError):
    """The server is there, and says that the model does not load."""
