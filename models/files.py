"""Names that the Trainers' component and their functions agree on."""

VALIDATION_FILE = "validation.json"  # What a Trainer measured.
ITEM_FILES = "item_files"  # Key of custom_config: patterns of the items' examples.
