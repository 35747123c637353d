"""Beam's arguments that several places give."""

# Without it TFX would pack itself up for every job's workers; they have it.
NOT_PACKED = "--sdk_container_image=none"
# For Beam's simplest runner.
IN_PROCESS = ("--direct_running_mode=in_memory", "--direct_num_workers=1", NOT_PACKED)
