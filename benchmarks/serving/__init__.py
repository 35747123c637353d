"""Latency and throughput of the server, and of the index inside a servable."""
