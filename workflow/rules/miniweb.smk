# Sources and test sets of the mini-web.
include: "inputs/miniweb.smk"


# Seconds each: too short for a queue.
localrules:
    make_miniweb,
    make_testset,


rule make_miniweb:
    output:
        manifest="results/miniweb/{source}/manifest.json",
    log:
        "results/logs/make_miniweb/{source}.log",
    benchmark:
        "results/benchmarks/make_miniweb/{source}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        kind=lookup(within=settings, dpath="sources/{source}/metadata/miniweb"),
        pairs=lookup(within=settings, dpath="sources/{source}/samples"),
        seed=lookup(within=settings, dpath="miniweb/seed"),
        testset_images=images_near,
    message:
        "Drawing the list of {wildcards.source}"
    script:
        "../scripts/make_miniweb.py"


rule make_testset:
    output:
        manifest="results/testsets/{testset}/manifest.json",
    log:
        "results/logs/make_testset/{testset}.log",
    benchmark:
        "results/benchmarks/make_testset/{testset}.tsv"
    wildcard_constraints:
        testset=testsets_by("miniweb"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        kind=lookup(within=settings, dpath="testsets/{testset}/miniweb"),
        images=lookup(within=settings, dpath="miniweb/testset_images"),
        seed=lookup(within=settings, dpath="miniweb/seed"),
    message:
        "Drawing test set {wildcards.testset}"
    script:
        "../scripts/make_testset.py"
