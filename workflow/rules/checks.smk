localrules:
    plan,
    status,
    verify,


rule plan:
    log:
        "results/logs/plan.log",
    conda:
        "../../envs/data.yaml"
    params:
        sources="resources/sources.csv",
        testsets=lookup(within=config, dpath="testset_origin/table"),
    message:
        "What this experiment takes"
    script:
        "../scripts/plan.py"


rule status:
    log:
        "results/logs/status.log",
    conda:
        "../../envs/data.yaml"
    message:
        "What is done, under way and failing"
    script:
        "../scripts/status.py"


rule verify:
    log:
        "results/logs/verify.log",
    conda:
        "../../envs/data.yaml"
    params:
        results="results",
    message:
        "Hashing every file that a manifest under results/ records"
    script:
        "../scripts/verify.py"
