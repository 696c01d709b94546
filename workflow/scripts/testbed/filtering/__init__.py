"""Filters: lists of entries, matching and balancing, conditions, and rules that samples are selected by."""
