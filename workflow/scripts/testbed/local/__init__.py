"""Sources from local files: WebDataset tars, and what is known of the samples in them."""
