# Figures of all pools together.
include: "inputs/plots.smk"


# Seconds each: too short for a queue.
localrules:
    plot_effective_robustness,
    plot_claims,
    explore_robustness,
    plot_data_efficiency,
    plot_mixture_ratios,


rule plot_effective_robustness:
    input:
        evaluations="results/tables/evaluations.csv",
        trends="results/tables/trends.csv",
        joint_correct="results/tables/joint_correct.parquet",
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
            labels={"content": "sources"},
        ),
        all_pdf="results/plots/effective_robustness_of_all_pools.pdf",
        all_png=report(
            "results/plots/effective_robustness_of_all_pools.png",
            caption="../report/effective_robustness.rst",
            category="Effective robustness",
            labels={"content": "all pools"},
        ),
        shifts=expand(
            "results/plots/shifts/{shift}.pdf", shift=sorted(experiment.shifts)
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


rule plot_claims:
    input:
        claims="results/claims.csv",
        comparisons="results/tables/comparisons.csv",
        dilution="results/tables/dilution.csv",
    output:
        pdf="results/plots/claims.pdf",
        png=report(
            "results/plots/claims.png",
            caption="../report/claims_figure.rst",
            category="Claims",
            labels={"content": "figure"},
        ),
    log:
        "results/logs/plot_claims.log",
    benchmark:
        "results/benchmarks/plot_claims.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        pools=plotted_pools,
        statistics=lookup(within=settings, dpath="statistics"),
    message:
        "Drawing the claims"
    script:
        "../scripts/plot_claims.py"


rule explore_robustness:
    input:
        evaluations="results/tables/evaluations.csv",
        joint_correct="results/tables/joint_correct.parquet",
        baselines=shipped_input("resources/baselines.csv"),
        models=reference_models,
        similarity=accuracy_by_similarity,
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
        teacher=similarity_teacher_title,
    message:
        "Writing the interactive scatter"
    script:
        "../scripts/explore_robustness.py"


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
    message:
        "Drawing accuracy over samples"
    script:
        "../scripts/plot_data_efficiency.py"


rule plot_mixture_ratios:
    input:
        law="results/tables/mixture_law.csv",
    output:
        pdf="results/plots/mixture_ratios.pdf",
        png=report(
            "results/plots/mixture_ratios.png",
            caption="../report/mixture_law.rst",
            category="Mixtures",
            labels={"mixture": "all shares"},
        ),
    log:
        "results/logs/plot_mixture_ratios.log",
    benchmark:
        "results/benchmarks/plot_mixture_ratios.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        shifts=sorted(experiment.shifts),
        pools=plotted_pools,
        statistics=lookup(within=settings, dpath="statistics"),
    message:
        "Drawing mixtures over their shares"
    script:
        "../scripts/plot_mixture_ratios.py"
