# Seconds each: too short for a queue.
localrules:
    retrieve_table,
    fit_baselines,
    measure_reference_models,
    fit_trends,
    plot_effective_robustness,
    plot_mixture,
    plot_learning_curves,


rule retrieve_table:
    output:
        table="results/retrieved/{table}.csv",
    log:
        "results/logs/retrieve_table/{table}.log",
    benchmark:
        "results/benchmarks/retrieve_table/{table}.tsv"
    conda:
        "../../envs/download.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        tables="resources/tables.csv",
        proxy=lookup(within=config, dpath="download/proxy"),
    message:
        "Fetching the published table {wildcards.table}"
    script:
        "../scripts/retrieve_table.py"


rule fit_baselines:
    input:
        results="results/retrieved/imagenet_testbed.csv",
        types="resources/standard_models.csv",
    output:
        baselines="results/tables/baselines.csv",
    log:
        "results/logs/fit_baselines.log",
    benchmark:
        "results/benchmarks/fit_baselines.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "Fitting the lines of standard ImageNet models"
    script:
        "../scripts/fit_baselines.py"


rule measure_reference_models:
    input:
        results="results/retrieved/openclip.csv",
        baselines="resources/baselines.csv",
    output:
        models="results/tables/reference_models.csv",
    log:
        "results/logs/measure_reference_models.log",
    benchmark:
        "results/benchmarks/measure_reference_models.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        statistics=lookup(within=config, dpath="statistics"),
        testsets="resources/testsets.csv",
    message:
        "Measuring OpenCLIP's published models"
    script:
        "../scripts/measure_reference_models.py"


rule fit_trends:
    input:
        evaluations="results/tables/evaluations.csv",
        baselines="resources/baselines.csv",
    output:
        trends=report(
            "results/tables/trends.csv",
            caption="../report/trends.rst",
            category="Tables",
        ),
        effective_robustness=report(
            "results/tables/effective_robustness.csv",
            caption="../report/effective_robustness_table.rst",
            category="Tables",
        ),
    log:
        "results/logs/fit_trends.log",
    benchmark:
        "results/benchmarks/fit_trends.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        reference=lookup(within=config, dpath="reference"),
        statistics=lookup(within=config, dpath="statistics"),
    message:
        "Fitting trends"
    script:
        "../scripts/fit_trends.py"


rule plot_effective_robustness:
    input:
        evaluations="results/tables/evaluations.csv",
        trends="results/tables/trends.csv",
        baselines="resources/baselines.csv",
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
        reference=lookup(within=config, dpath="reference"),
        shifts=experiment.shifts,
        pools=experiment.plotted_pools(),
        statistics=lookup(within=config, dpath="statistics"),
    message:
        "Drawing effective robustness"
    script:
        "../scripts/plot_effective_robustness.py"


rule plot_mixture:
    input:
        metrics=mixture_inputs,
        baselines="resources/baselines.csv",
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
        reference=lookup(within=config, dpath="reference"),
        shifts=experiment.shifts,
        pools=experiment.plotted_pools(),
        statistics=lookup(within=config, dpath="statistics"),
    message:
        "Drawing {wildcards.mixture} between its members"
    script:
        "../scripts/plot_mixture.py"


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
