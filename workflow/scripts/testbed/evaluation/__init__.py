"""Evaluation: test sets, preprocessing, models that answer, metrics, class subsets and corruptions."""
