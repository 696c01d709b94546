"""Training with open_clip's trainer, on one or several devices, with or without SLURM."""
