"""What the process that others are forked from imports."""

from pipeline.collector import nothing_collected

with nothing_collected():
    import models.ranking  # noqa: F401
    import pipeline.dag
    import pipeline.local.beam_workers  # noqa: F401
