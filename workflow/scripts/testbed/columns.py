"""The columns of results/tables/evaluations.csv, for those who write rows of it and need no pandas for that."""

EVALUATION_COLUMNS = [
    *["model", "architecture", "pool", "size", "seed", "testset", "classes", "metric"],
    *["n", "correct", "value", "value_low", "value_high"],
]
