from snakemake.utils import min_version

min_version("9.12")


report: "workflow/report/workflow.rst"


include: "workflow/rules/configuration.smk"


configfile: readable(shipped("config/config.yaml"))


add_experiment()


include: "workflow/rules/common.smk"
include: "workflow/rules/hooks.smk"
include: "workflow/rules/miniweb.smk"
include: "workflow/rules/metadata.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/local.smk"
include: "workflow/rules/shards.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/testsets.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/pretrained.smk"
include: "workflow/rules/filters.smk"
include: "workflow/rules/entries.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/duplicates.smk"
include: "workflow/rules/baselines.smk"
include: "workflow/rules/statistics.smk"
include: "workflow/rules/similarity.smk"
include: "workflow/rules/plots.smk"
include: "workflow/rules/pool_plots.smk"
include: "workflow/rules/cards.smk"
include: "workflow/rules/theory.smk"
include: "workflow/rules/provenance.smk"
include: "workflow/rules/checks.smk"


localrules:
    all,


rule all:
    default_target: True
    input:
        products,
    message:
        "All results of the experiment"
