"""Training: from an architecture to open_clip's trainer, on one device or many, under SLURM or not."""
