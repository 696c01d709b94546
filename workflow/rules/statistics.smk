# Seconds each: too short for a queue.
localrules:
    count_joint_correct,
    fit_trends,
    fit_scaling,
    measure_dilution,
    fit_mixture_law,
    check_claims,


rule count_joint_correct:
    input:
        predictions=predictions_of(experiment.evaluated()),
    output:
        joint_correct="results/tables/joint_correct.parquet",
    log:
        "results/logs/count_joint_correct.log",
    benchmark:
        "results/benchmarks/count_joint_correct.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    message:
        "Counting images that two models both classify correctly"
    script:
        "../scripts/count_joint_correct.py"


rule fit_trends:
    input:
        evaluations="results/tables/evaluations.csv",
        joint_correct="results/tables/joint_correct.parquet",
        baselines=shipped_input("resources/baselines.csv"),
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
        pools=plotted_pools,
        reference=lookup(within=settings, dpath="reference"),
        statistics=lookup(within=settings, dpath="statistics"),
    message:
        "Fitting trends"
    script:
        "../scripts/fit_trends.py"


rule fit_scaling:
    input:
        evaluations="results/tables/evaluations.csv",
    output:
        scaling=report(
            "results/tables/scaling.csv",
            caption="../report/scaling.rst",
            category="Tables",
        ),
    log:
        "results/logs/fit_scaling.log",
    benchmark:
        "results/benchmarks/fit_scaling.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        pools=plotted_pools,
        statistics=lookup(within=settings, dpath="statistics"),
    message:
        "Fitting accuracy over samples"
    script:
        "../scripts/fit_scaling.py"


rule measure_dilution:
    input:
        evaluations="results/tables/evaluations.csv",
        joint_correct="results/tables/joint_correct.parquet",
    output:
        dilution=report(
            "results/tables/dilution.csv",
            caption="../report/dilution.rst",
            category="Tables",
        ),
    log:
        "results/logs/measure_dilution.log",
    benchmark:
        "results/benchmarks/measure_dilution.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        pools=plotted_pools,
        reference=lookup(within=settings, dpath="reference"),
        statistics=lookup(within=settings, dpath="statistics"),
    message:
        "Measuring what mixing does"
    script:
        "../scripts/measure_dilution.py"


rule fit_mixture_law:
    input:
        dilution="results/tables/dilution.csv",
    output:
        law=report(
            "results/tables/mixture_law.csv",
            caption="../report/mixture_law.rst",
            category="Tables",
        ),
    log:
        "results/logs/fit_mixture_law.log",
    benchmark:
        "results/benchmarks/fit_mixture_law.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        pools=plotted_pools,
    message:
        "Fitting a law of mixtures"
    script:
        "../scripts/fit_mixture_law.py"


rule check_claims:
    input:
        evaluations="results/tables/evaluations.csv",
        joint_correct="results/tables/joint_correct.parquet",
    output:
        claims=report(
            "results/claims.csv",
            caption="../report/claims.rst",
            category="Claims",
            labels={"content": "table"},
        ),
        comparisons=report(
            "results/tables/comparisons.csv",
            caption="../report/comparisons.rst",
            category="Claims",
            labels={"content": "comparisons"},
        ),
        page=report(
            "results/report/claims.html",
            caption="../report/claims.rst",
            category="Claims",
            labels={"content": "page"},
        ),
    log:
        "results/logs/check_claims.log",
    benchmark:
        "results/benchmarks/check_claims.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        pools=plotted_pools,
        reference=lookup(within=settings, dpath="reference"),
        claims=lookup(within=settings, dpath="claims"),
        statistics=lookup(within=settings, dpath="statistics"),
    message:
        "Checking the paper's findings"
    script:
        "../scripts/check_claims.py"
