"""Statistics: scales, lines with intervals, trends, baselines, effective robustness, comparisons, claims, power laws."""
