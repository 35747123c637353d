"""The data of a run: MovieLens's editions, generated data, and the checks before anything starts."""
