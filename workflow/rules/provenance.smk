# Where results come from, and what to cite.
from testbed.experiment.products import traced_models

traced = traced_models(experiment)


# Seconds each: too short for a queue.
localrules:
    trace_provenance,
    collect_citations,


rule trace_provenance:
    input:
        evaluations="results/tables/evaluations.csv",
        metrics=[f"results/evaluations/{name}/metrics.csv" for name in traced],
        manifests=[entry["manifest"] for entry in traced.values() if entry["manifest"]],
        # What the chains lead to, which may be made again without a model being trained again.
        shards=[
            f"results/shards/{source}/manifest.json" for source in experiment.sources
        ],
    output:
        table=report(
            "results/provenance.csv",
            caption="../report/provenance.rst",
            category="Provenance",
        ),
        experiment=report(
            "results/experiment.json",
            caption="../report/experiment.rst",
            category="Provenance",
        ),
        chains=[f"results/provenance/{name}.json" for name in traced],
    log:
        "results/logs/trace_provenance.log",
    benchmark:
        "results/benchmarks/trace_provenance.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        models=dict(sorted(traced.items())),
        experiment=settings,
    message:
        "Tracing models to their lists"
    script:
        "../scripts/trace_provenance.py"


rule collect_citations:
    input:
        provenance="results/provenance.csv",
        library=shipped_input("resources/citations.bib"),
    output:
        citations=report(
            "results/citations.bib",
            caption="../report/citations.rst",
            category="Provenance",
        ),
    log:
        "results/logs/collect_citations.log",
    benchmark:
        "results/benchmarks/collect_citations.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        experiment=settings,
    message:
        "Collecting what to cite"
    script:
        "../scripts/collect_citations.py"
