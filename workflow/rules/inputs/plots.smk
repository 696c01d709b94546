# What plots.smk asks of the experiment.


def reference_models(wildcards):
    """The table of public models that stand behind the experiment's own, where it asks for them."""
    return (
        "results/tables/reference_models.csv"
        if config["reference_models"] != "none"
        else []
    )
