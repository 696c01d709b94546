# Figures of one pool each.
include: "inputs/pool_plots.smk"


# Seconds each: too short for a queue.
localrules:
    plot_mixture,
    plot_filter,
    plot_ensemble,
    plot_learning_curves,
    plot_entries,
    plot_scores,


rule plot_mixture:
    input:
        metrics=mixture_inputs,
        baselines=shipped_input("resources/baselines.csv"),
    output:
        pdf="results/plots/mixtures/{mixture}.pdf",
        png=report(
            "results/plots/mixtures/{mixture}.png",
            caption="../report/mixture.rst",
            category="Mixtures",
            labels={"mixture": "{mixture}"},
        ),
    log:
        "results/logs/plot_mixture/{mixture}.log",
    benchmark:
        "results/benchmarks/plot_mixture/{mixture}.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        evaluations=mixture_metrics,
        pool="{mixture}",
        members=mixture_members,
        reference=lookup(within=settings, dpath="reference"),
        shifts=sorted(experiment.shifts),
        pools=plotted_pools,
        statistics=lookup(within=settings, dpath="statistics"),
    message:
        "Drawing {wildcards.mixture} between its members"
    script:
        "../scripts/plot_mixture.py"


use rule plot_mixture as plot_filter with:
    input:
        metrics=filter_metrics,
        baselines=shipped_input("resources/baselines.csv"),
    output:
        pdf="results/plots/filters/{filter}.pdf",
        png=report(
            "results/plots/filters/{filter}.png",
            caption="../report/filter.rst",
            category="Filters",
            labels={"filter": "{filter}", "what": "trend"},
        ),
    log:
        "results/logs/plot_filter/{filter}.log",
    benchmark:
        "results/benchmarks/plot_filter/{filter}.tsv"
    params:
        evaluations=filter_metrics,
        pool="{filter}",
        members=filter_origin,
        reference=lookup(within=settings, dpath="reference"),
        shifts=sorted(experiment.shifts),
        pools=plotted_pools,
        statistics=lookup(within=settings, dpath="statistics"),
    message:
        "Drawing {wildcards.filter} beside what it was filtered from"


use rule plot_mixture as plot_ensemble with:
    input:
        metrics=ensemble_metrics,
        baselines=shipped_input("resources/baselines.csv"),
    output:
        pdf="results/plots/ensembles/{ensemble}.pdf",
        png=report(
            "results/plots/ensembles/{ensemble}.png",
            caption="../report/ensemble.rst",
            category="Ensembles",
            labels={"ensemble": "{ensemble}"},
        ),
    log:
        "results/logs/plot_ensemble/{ensemble}.log",
    benchmark:
        "results/benchmarks/plot_ensemble/{ensemble}.tsv"
    params:
        evaluations=ensemble_metrics,
        pool="{ensemble}",
        members=ensemble_members,
        reference=lookup(within=settings, dpath="reference"),
        shifts=sorted(experiment.shifts),
        pools=plotted_pools,
        statistics=lookup(within=settings, dpath="statistics"),
    message:
        "Drawing {wildcards.ensemble} between its members"


rule plot_learning_curves:
    input:
        models=pool_manifests,
    output:
        pdf="results/plots/learning_curves/{pool}.pdf",
        png=report(
            "results/plots/learning_curves/{pool}.png",
            caption="../report/learning_curves.rst",
            category="Learning curves",
            labels={"pool": "{pool}"},
        ),
    log:
        "results/logs/plot_learning_curves/{pool}.log",
    benchmark:
        "results/benchmarks/plot_learning_curves/{pool}.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        models=pool_curves,
    message:
        "Drawing how the models of {wildcards.pool} learnt"
    script:
        "../scripts/plot_learning_curves.py"


rule plot_entries:
    input:
        table="results/tables/entries/{filter}.csv",
        manifest="results/samples/{filter}/manifest.json",
    output:
        pdf="results/plots/entries/{filter}.pdf",
        png=report(
            "results/plots/entries/{filter}.png",
            caption="../report/entries.rst",
            category="Filters",
            labels={"filter": "{filter}", "what": "balance"},
        ),
    log:
        "results/logs/plot_entries/{filter}.log",
    benchmark:
        "results/benchmarks/plot_entries/{filter}.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "Drawing how {wildcards.filter} balances entries"
    script:
        "../scripts/plot_entries.py"


rule plot_scores:
    input:
        scores="results/scores/{filter}/manifest.json",
        manifest="results/samples/{filter}/manifest.json",
    output:
        pdf="results/plots/scores/{filter}.pdf",
        png=report(
            "results/plots/scores/{filter}.png",
            caption="../report/scores.rst",
            category="Filters",
            labels={"filter": "{filter}", "what": "scores"},
        ),
    log:
        "results/logs/plot_scores/{filter}.log",
    benchmark:
        "results/benchmarks/plot_scores/{filter}.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "Drawing the scores behind {wildcards.filter}"
    script:
        "../scripts/plot_scores.py"
