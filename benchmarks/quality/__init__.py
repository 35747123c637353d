"""Recommendation quality beside baselines, on identical splits and queries."""
