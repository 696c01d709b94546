"""Evaluation: test sets, preprocessing, logits, metrics, class subsets and corruptions."""
