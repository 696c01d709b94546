# From parts of a shuffled list to images.
include: "inputs/download.smk"


rule download_images:
    input:
        shuffled="results/shuffled/{source}/manifest.json",
        miniweb=miniweb_manifest,
    output:
        manifest="results/downloads/{source}/{part}/manifest.json",
    log:
        "results/logs/download_images/{source}-{part}.log",
    benchmark:
        "results/benchmarks/download_images/{source}-{part}.tsv"
    conda:
        "../../envs/download.yaml"
    resources:
        downloads=1,
        mem_mb=growing(download_memory(config["download"])),
        runtime=growing_time(config["download"]["runtime"]),
    params:
        part="results/shuffled/{source}/{part}.parquet",
        options=lookup(within=settings, dpath="download"),
        pages=page_files,
    message:
        "Downloading part {wildcards.part} of {wildcards.source}"
    script:
        "../scripts/download_images.py"
