"""What the process that others are forked from imports.

None of its objects is ever garbage. So the collector does not look at them while they are made, nor later: a look
takes time, and writes to memory that the processes share.
"""

import gc

gc.disable()

import models.ranking  # noqa: E402, F401
import pipeline.dag  # noqa: E402
import pipeline.local.beam_workers  # noqa: E402, F401

gc.freeze()
gc.enable()
