localrules:
    plan,
    verify,


rule plan:
    log:
        "results/logs/plan.log",
    conda:
        "../../envs/data.yaml"
    params:
        experiment=config,
    message:
        "What this experiment takes"
    script:
        "../scripts/plan.py"


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
