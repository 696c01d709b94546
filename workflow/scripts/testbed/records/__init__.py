"""What all stages use: files, manifests, locks, processes, logs, tables in parts, and the provenance of results."""
