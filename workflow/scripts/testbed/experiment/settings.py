"""The settings that determine results, in a canonical form. Rules get them as parameters, which Snakemake compares as text.

If the parameters of a rule differ from those of its last run, Snakemake runs it again. So parameters have no settings that
only say how work is done (threads, memory), and equivalent experiments have equal parameters. Scripts read the other
settings from `snakemake.config`, which Snakemake does not compare.
"""

from collections.abc import Mapping
from fractions import Fraction

RUN_ONLY = {
    "": {"costs", "evaluation", "max_runtime", "training"},
    "architectures.*": {
        *("cache_mb", "checkpoint_minutes", "checkpoint_steps", "checkpoints_per_epoch", "cpus_per_gpu", "gpus"),
        *("memory_mb", "nodes", "runtime", "workers"),
    },
    # The outcome of each URL is recorded with its cause; retry_failed tries some again.
    "download": {
        *("backoff", "chunk_deadline", "chunk_size", "contact", "deadline", "hosts", "jobs", "max_bytes", "max_pixels"),
        *("minimum_success", "proxy", "requests_per_second", "retries", "runtime", "threads", "timeout"),
        "user_agent",
    },
    "shards": {"keep_downloads"},
    "shuffle": {"memory", "threads"},
    "testset_origin": {"backoff", "retries", "timeout"},
}
"""Keys, by section, that only say how work is done. Results made with another value stay valid. `*` is any name."""

UNSAID = {"download": {"verify_hashes": True}}
"""Keys, by section, that are left out with this value, so that results from before the key existed stay valid."""


def product_settings(config: Mapping) -> dict:
    """Return the experiment `config` (with defaults) in canonical form, without the keys in `RUN_ONLY` and `UNSAID`.

    Shares are scaled to add up to one.
    """
    return canonical(_without_run_only(config, ()))


def canonical(value: object) -> object:
    """Return `value` with the keys of all mappings sorted and whole numbers as `int`: 1 and 1.0 have the same text.

    Lists keep their order.
    """
    if isinstance(value, Mapping):
        return {key: canonical(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [canonical(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def quotas(shares: Mapping[str, float]) -> dict[str, Fraction]:
    """Return `shares` scaled to add up to one and sorted by name: their order and their sum do not matter."""
    exact = {name: Fraction(str(share)) for name, share in sorted(shares.items())}
    total = sum(exact.values())
    return {name: share / total for name, share in exact.items()}


def _without_run_only(value: object, path: tuple[str, ...]) -> object:
    if not isinstance(value, Mapping):
        return value
    if path[-1:] == ("shares",):
        return {name: float(share) for name, share in quotas(value).items()}
    run_only = RUN_ONLY.get(".".join((path[0], "*", *path[2:]) if len(path) > 1 else path), ())
    unsaid = UNSAID.get(".".join(path), {})
    return {
        key: _without_run_only(inner, (*path, key))
        for key, inner in value.items()
        if key not in run_only and not (key in unsaid and inner == unsaid[key])
    }
