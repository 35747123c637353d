"""What larger data costs: pipeline, training and index."""
