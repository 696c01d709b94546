"""WebDataset shards, and the tables of their samples."""
