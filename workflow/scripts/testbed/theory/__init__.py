"""Simple models in which robustness and filtering have closed forms or known rates."""
