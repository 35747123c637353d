"""What the process that others are forked from imports.

Its objects are millions, and none of them is ever garbage: they are kept out of every later look for it, which also
leaves their memory shared among the processes.
"""

import gc

gc.disable()

import models.ranking  # noqa: E402, F401
import pipeline.dag  # noqa: E402
import pipeline.local.beam_workers  # noqa: E402, F401

gc.freeze()
gc.enable()
