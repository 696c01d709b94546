# Test sets that are fetched, and those that are made from others.
include: "inputs/testsets.smk"


rule retrieve_testset:
    output:
        manifest="results/testsets/{testset}/manifest.json",
    log:
        "results/logs/retrieve_testset/{testset}.log",
    benchmark:
        "results/benchmarks/retrieve_testset/{testset}.tsv"
    wildcard_constraints:
        testset=testsets_by("retrieve"),
    conda:
        "../../envs/download.yaml"
    resources:
        downloads=1,
        mem_mb=1000,
        runtime=growing_time(720),
    params:
        name=lookup(within=settings, dpath="testsets/{testset}/retrieve"),
        origin=lookup(within=settings, dpath="testset_origin"),
    message:
        "Fetching test set {wildcards.testset}"
    script:
        "../scripts/retrieve_testset.py"


rule corrupt_testset:
    input:
        original=original_files,
    output:
        manifest="results/testsets/{testset}/manifest.json",
    log:
        "results/logs/corrupt_testset/{testset}.log",
    benchmark:
        "results/benchmarks/corrupt_testset/{testset}.tsv"
    wildcard_constraints:
        testset=testsets_by("corrupt"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing_time(240),
    params:
        of=original_testset,
        folder=original_folder,
        kind=lookup(within=settings, dpath="testsets/{testset}/corrupt/kind"),
        severity=lookup(within=settings, dpath="testsets/{testset}/corrupt/severity"),
    message:
        "Corrupting the images of {params.of} into {wildcards.testset}"
    script:
        "../scripts/corrupt_testset.py"
