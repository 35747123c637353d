"""The errors of this package. Their messages are meant to be shown as one line."""


class ServingError(Exception):
    """The server or the client cannot do what was asked. The message says what and why."""


class Unavailable(ServingError):
    """The server cannot be reached, or is not ready. The only error that is tried again."""


class NotStarted(ServingError):
    """No server could be asked, which says nothing about its model."""
