"""Names of files that the Trainers write."""

VALIDATION_FILE = "validation.json"
