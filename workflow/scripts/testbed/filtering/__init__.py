"""Filters: lists of entries, matching, balancing, SQL conditions, and simple rules."""
