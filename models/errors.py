"""The error that wrong input ends in."""


class UserError(Exception):
    """Wrong input. The message names the file, line or field, and the remedy. It is one line, whatever it quotes."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.splitlines()))
