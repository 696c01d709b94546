"""What all stages stand on: files and manifests, locks and processes, logs, tables in parts, and where results come from."""
