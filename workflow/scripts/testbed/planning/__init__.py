"""Before a run: configuration and the files that it names are checked, and costs estimated."""
