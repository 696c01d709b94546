"""WebDataset shards, and what is known of their samples."""
