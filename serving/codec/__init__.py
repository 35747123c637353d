"""Requests to arrays and arrays to answers. Imports no TensorFlow, so that `worker` starts at once and stays small."""
