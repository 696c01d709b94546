# Seconds each: too short for a queue.
localrules:
    retrieve_table,
    fit_baselines,
    measure_reference_models,


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
        tables=lookup(within=settings, dpath="published_tables"),
    message:
        "Fetching the published table {wildcards.table}"
    script:
        "../scripts/retrieve_table.py"


rule fit_baselines:
    input:
        results="results/retrieved/imagenet_testbed.csv",
        types=shipped_input("resources/standard_models.csv"),
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
        baselines=shipped_input("resources/baselines.csv"),
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
        statistics=lookup(within=settings, dpath="statistics"),
        testsets="resources/testsets.csv",
    message:
        "Measuring OpenCLIP's published models"
    script:
        "../scripts/measure_reference_models.py"
