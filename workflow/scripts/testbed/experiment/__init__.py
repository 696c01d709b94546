"""The experiment: its YAML file, the consistency of its parts, and its lists of targets. It imports no stage."""
