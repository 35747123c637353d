"""Everything after the push. Imports neither TFX nor `pipeline`."""
