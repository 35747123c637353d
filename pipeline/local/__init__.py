"""Runs the DAG on this machine."""
