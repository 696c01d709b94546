"""What two or more scripts share: manifests, the experiment, scaled accuracies, the mini-web."""
