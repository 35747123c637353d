"""Source tables and examples: where they are, how they are read in blocks, how examples are written in shards."""
