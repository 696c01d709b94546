"""Further options of open_clip's trainer (`architectures.*.extra`): which exist, and which would break the experiment."""

import io
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr

from testbed.experiment.errors import did_you_mean
from testbed.training.recipe import TrainingError, device_batch

OF_THE_EXPERIMENT = {
    *("batch-size", "beta1", "beta2", "device", "epochs", "eps", "log-every-n-steps", "logs", "lr", "model", "name"),
    *("precision", "report-to", "resume", "save-frequency", "seed", "train-data", "train-num-samples"),
    *("dataset-type", "wandb-project-name", "warmup", "wd", "workers"),
}
"""Options that train_clip sets, from keys of the experiment or for itself."""

OF_THE_SAMPLES = {"dataset-resampled", "train-data-upsampling-factors"}
"""Options that draw samples at random, where a training sees each sample once an epoch."""

OF_THE_MODEL = {
    "pretrained",
    "pretrained-image",
    "force-quick-gelu",
    "force-custom-text",
    "force-image-size",
    "force-context-length",
    "image-mean",
    "image-std",
    "image-interpolation",
    "image-resize-mode",
}
"""Options that change the network, its first weights or its images, of which an evaluation would not hear."""

OF_THE_CHECKPOINTS = {"save-most-recent", "delete-previous-checkpoint"}
"""Options that keep other checkpoints than a restarted training looks for."""

OF_THE_EVALUATION = {
    "val-data",
    "val-num-samples",
    "val-frequency",
    "zeroshot-frequency",
    "imagenet-val",
    "imagenet-v2",
}
"""Options of evaluations between two epochs of open_clip's trainer, for which a training is one epoch."""

REFUSED = (
    (OF_THE_EXPERIMENT, "is set by the experiment. Take it out; config/README.md says which key stands for it."),
    (
        OF_THE_SAMPLES,
        "changes which samples are seen, and a training sees each of its trainset once an epoch. Take it out.",
    ),
    (
        OF_THE_MODEL,
        "changes the model, of which its evaluation would not know. Take it out, and set model to a folder whose "
        "open_clip_config.json says the same (config/README.md).",
    ),
    (OF_THE_CHECKPOINTS, "changes the checkpoints, from which an interrupted training goes on. Take it out."),
    (
        OF_THE_EVALUATION,
        "evaluates during a training, which is not done: test sets are evaluated afterwards. Take it out.",
    ),
)


def architecture_problems(architectures: Mapping[str, Mapping]) -> Iterator[str]:
    """A line for each mistake in `extra` of the experiment's `architectures`, or for a batch that cannot be cut for them."""
    for name, architecture in architectures.items():
        faults = list(option_faults(architecture["extra"]))
        yield from (f"architectures.{name}.extra: {option}: {fault}" for option, fault in faults)
        if not faults:
            try:
                device_batch(architecture)
            except TrainingError as error:
                yield f"architectures.{name}.{error}"


def option_faults(extra: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The options of `extra` that open_clip's trainer does not know or that are refused here, and why."""
    if not extra:
        return
    # Takes a moment, and imports no torch.
    from open_clip_train.params import parse_args

    known = {name.replace("_", "-") for name in vars(parse_args([]))}
    for option, value in extra.items():
        reasons = [reason for options, reason in REFUSED if option in options]
        if option not in known:
            # The trainer itself would take the beginning of a name for the whole.
            yield (
                option,
                f"open_clip's trainer has no such option.{did_you_mean(option, known)} Correct it or take it out.",
            )
        elif reasons:
            yield option, reasons[0]
        elif fault := fault_of(option, value):
            yield option, f"{value!r} is no value of this option ({fault}). Correct it."
        elif option == "accum-freq" and int(value) < 1:
            yield option, f"{value!r} batches make no step. Give 1 or more."


def fault_of(option: str, value: object) -> str | None:
    """What open_clip's trainer says of a `value` that an option cannot have; true and false are for options without one."""
    from open_clip_train.params import parse_args

    said = io.StringIO()
    try:
        with redirect_stderr(said):
            parse_args([f"--{option}" if isinstance(value, bool) else f"--{option}={value}"])
    except SystemExit:
        return said.getvalue().strip().rpartition(f"argument --{option}: ")[2]
    except (ValueError, SyntaxError) as error:
        return str(error)
    return None
