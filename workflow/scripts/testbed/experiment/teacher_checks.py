"""Checks of teachers: the models that score the pairs of a filter, or that measure similarity, before any work."""

from collections.abc import Iterator

from testbed.experiment.errors import ExperimentError, did_you_mean
from testbed.experiment.experiment import Experiment


def teacher_problems(experiment: Experiment, valid: list[str], filter: str | None = None) -> Iterator[str]:
    """Yield a line for each problem of the teacher of `filter`, or without a filter of the teacher of `similarity`.

    Its size is checked if its pool is `valid`.
    """
    problems = list(_model_problems(experiment, valid, filter))
    yield from problems or _precision_problems(experiment, filter)


def _model_problems(experiment: Experiment, valid: list[str], filter: str | None) -> Iterator[str]:
    key, teacher = experiment.teacher_entry(filter)
    own, public = {"pool", "size", "architecture", "seed"}, {"model", "tag", "checkpoint", "device"}
    given = ", ".join(part for part in teacher if part != "precision")
    if "pool" not in teacher:
        if "model" not in teacher or ("tag" in teacher) == ("checkpoint" in teacher) or set(teacher) & own:
            yield (
                f"{key}: has {given or 'no model'}. Give pool and size of a model of this experiment, or model and either "
                "tag or checkpoint."
            )
        return
    if set(teacher) & public or "size" not in teacher:
        yield f"{key}: has {given}. A model of this experiment is named by pool, size, architecture and seed."
        return
    try:
        experiment.teacher(filter)
    except ExperimentError as error:
        yield str(error)
    pool, size = teacher["pool"], teacher["size"]
    known = {
        "pool": experiment.pools,
        "architecture": experiment.config["architectures"],
        "seed": experiment.config["seeds"],
    }
    for part, names in known.items():
        if part in teacher and teacher[part] not in names:
            yield (
                f"{key}.{part}: this experiment has no {part} {teacher[part]}.{did_you_mean(teacher[part], names)} Name one "
                f"of: {', '.join(map(str, names))}."
            )
    if pool in valid and size not in (sizes := experiment.sizes(pool)):
        yield (
            f"{key}.size: {pool} has no model of size {size}, only of {', '.join(map(str, sizes)) or 'none'} "
            f"({experiment.sizes_key(pool)}). Name one of these, or add {size} there."
        )


def _precision_problems(experiment: Experiment, filter: str | None) -> Iterator[str]:
    """Yield the problem of a precision that the device of the teacher does not have. The teacher has no other problem."""
    key, teacher = experiment.teacher_entry(filter)
    if teacher["precision"] == "tf32" and experiment.device_of_teacher(filter) == "cpu":
        yield (
            f"{key}.precision: tf32 is a precision of GPUs, and the teacher runs on the CPU. Set fp32 or bf16, or run it on "
            "a GPU (device: cuda)."
        )
