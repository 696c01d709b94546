# Figures.
include: "inputs/plots.smk"


# Seconds each: too short for a queue.
localrules:
    plot_effective_robustness,
    explore_robustness,
    plot_mixture,
    plot_data_efficiency,
    plot_learning_curves,
    plot_entries,
    plot_scores,


rule plot_effective_robustness:
    input:
        evaluations="results/tables/evaluations.csv",
        trends="results/tables/trends.csv",
        baselines=shipped_input("resources/baselines.csv"),
        models=reference_models,
        published=[
            f"results/evaluations/{name}/metrics.csv" for name in experiment.pretrained
        ],
    output:
        pdf="results/plots/effective_robustness.pdf",
        png=report(
            "results/plots/effective_robustness.png",
            caption="../report/effective_robustness.rst",
            category="Effective robustness",
            labels={"content": "figure"},
        ),
    log:
        "results/logs/plot_effective_robustness.log",
    benchmark:
        "results/benchmarks/plot_effective_robustness.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        reference=lookup(within=settings, dpath="reference"),
        shifts=sorted(experiment.shifts),
        pools=plotted_pools,
        statistics=lookup(within=settings, dpath="statistics"),
    message:
        "Drawing effective robustness"
    script:
        "../scripts/plot_effective_robustness.py"


rule explore_robustness:
    input:
        evaluations="results/tables/evaluations.csv",
        baselines=shipped_input("resources/baselines.csv"),
        models=reference_models,
        published=[
            f"results/evaluations/{name}/metrics.csv" for name in experiment.pretrained
        ],
    output:
        page=report(
            "results/report/explore.html",
            caption="../report/explore.rst",
            category="Effective robustness",
            labels={"content": "interactive"},
        ),
    log:
        "results/logs/explore_robustness.log",
    benchmark:
        "results/benchmarks/explore_robustness.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        experiment=lookup(within=settings, dpath="experiment"),
        reference=lookup(within=settings, dpath="reference"),
        shifts=sorted(experiment.shifts),
        pools=plotted_pools,
        statistics=lookup(within=settings, dpath="statistics"),
    message:
        "Writing the interactive scatter"
    script:
        "../scripts/explore_robustness.py"


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
        mixture="{mixture}",
        members=mixture_members,
        reference=lookup(within=settings, dpath="reference"),
        shifts=sorted(experiment.shifts),
        pools=plotted_pools,
        statistics=lookup(within=settings, dpath="statistics"),
    message:
        "Drawing {wildcards.mixture} between its members"
    script:
        "../scripts/plot_mixture.py"


rule plot_data_efficiency:
    input:
        evaluations="results/tables/evaluations.csv",
    output:
        pdf="results/plots/data_efficiency.pdf",
        png=report(
            "results/plots/data_efficiency.png",
            caption="../report/data_efficiency.rst",
            category="Data efficiency",
        ),
    log:
        "results/logs/plot_data_efficiency.log",
    benchmark:
        "results/benchmarks/plot_data_efficiency.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        testsets=sorted(experiment.classifications),
        pools=plotted_pools,
        statistics=lookup(within=settings, dpath="statistics"),
    message:
        "Drawing accuracy over samples"
    script:
        "../scripts/plot_data_efficiency.py"


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
