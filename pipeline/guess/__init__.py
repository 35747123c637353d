"""A first configuration, guessed from a person's files."""
