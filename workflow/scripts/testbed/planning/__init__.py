"""Work before a run: checks of the configuration and of the files that it names, and estimates of costs."""
