"""The experiment: its YAML file, whether its parts fit together, and the lists of targets. It knows no stage."""
