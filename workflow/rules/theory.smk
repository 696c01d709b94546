# Under a minute each: too short for a queue.
localrules:
    simulate_theory,
    plot_theory,
    simulate_contrastive,
    plot_contrastive,


rule simulate_theory:
    output:
        comparisons=report(
            "results/tables/theory.csv",
            caption="../report/theory_table.rst",
            category="Theory",
        ),
        models="results/tables/theory_models.csv",
    log:
        "results/logs/simulate_theory.log",
    benchmark:
        "results/benchmarks/simulate_theory.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        seed=lookup(within=settings, dpath="seed"),
    message:
        "Simulating the simple setting"
    script:
        "../scripts/simulate_theory.py"


rule plot_theory:
    input:
        comparisons="results/tables/theory.csv",
        models="results/tables/theory_models.csv",
    output:
        pdf="results/plots/theory.pdf",
        png=report(
            "results/plots/theory.png",
            caption="../report/theory.rst",
            category="Theory",
        ),
    log:
        "results/logs/plot_theory.log",
    benchmark:
        "results/benchmarks/plot_theory.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "Drawing the simple setting"
    script:
        "../scripts/plot_theory.py"


rule simulate_contrastive:
    output:
        errors="results/tables/contrastive.csv",
        rates=report(
            "results/tables/contrastive_rates.csv",
            caption="../report/contrastive_table.rst",
            category="Theory",
        ),
    log:
        "results/logs/simulate_contrastive.log",
    benchmark:
        "results/benchmarks/simulate_contrastive.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        seed=lookup(within=settings, dpath="seed"),
    message:
        "Simulating linear contrastive models"
    script:
        "../scripts/simulate_contrastive.py"


rule plot_contrastive:
    input:
        errors="results/tables/contrastive.csv",
        rates="results/tables/contrastive_rates.csv",
    output:
        pdf="results/plots/contrastive.pdf",
        png=report(
            "results/plots/contrastive.png",
            caption="../report/contrastive.rst",
            category="Theory",
        ),
    log:
        "results/logs/plot_contrastive.log",
    benchmark:
        "results/benchmarks/plot_contrastive.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "Drawing linear contrastive models"
    script:
        "../scripts/plot_contrastive.py"
