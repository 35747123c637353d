"""Beam's arguments that several places give."""

# Without it TFX would pack itself up for every job's workers; they have it.
NOT_PACKED = "--sdk_container_image=none"
# What one worker does, Beam's local runners do in the process that asks for it.
ONE_WORKER = "--direct_num_workers=1"
# For Beam's simplest runner.
IN_PROCESS = ("--direct_running_mode=in_memory", ONE_WORKER, NOT_PACKED)
