"""The settings that decide what products are, in one form: what rules get as parameters, which Snakemake compares as text.

Where the parameters of a rule are others than those that its product was made with, the product is made again. So they hold
nothing that only says how work is done, and they are equal where experiments mean the same. Scripts read how to work from
`snakemake.config`, which is not compared.
"""

from collections.abc import Mapping
from fractions import Fraction

RUN_ONLY = {
    "": {"costs", "evaluation", "training"},
    "architectures.*": {"cpus_per_gpu", "gpus", "memory_mb", "nodes", "runtime"},
    # Which images came is recorded by URL and cause; retry_failed asks again.
    "download": {
        *("backoff", "chunk_deadline", "chunk_size", "contact", "deadline", "hosts", "jobs", "max_bytes", "max_pixels"),
        *("minimum_success", "proxy", "requests_per_second", "retries", "threads", "timeout"),
        "user_agent",
    },
    "shards": {"keep_downloads"},
    "shuffle": {"memory", "threads"},
    "testset_origin": {"backoff", "retries", "timeout"},
}
"""Keys, by section, that only say how work is done: with another value, what is done would not be wrong. `*` is any name."""


def product_settings(config: Mapping) -> dict:
    """The experiment `config`, with all defaults filled in: without the keys in `RUN_ONLY`, in the form of `canonical`.

    Shares are scaled to add up to one.
    """
    return canonical(_deciding(config, ()))


def canonical(value: object) -> object:
    """`value` with the keys of all its mappings sorted and whole numbers as `int`: 1 and 1.0 have one text.

    Lists keep their order.
    """
    if isinstance(value, Mapping):
        return {key: canonical(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [canonical(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def quotas(shares: Mapping[str, float]) -> dict[str, Fraction]:
    """`shares`, scaled to add up to one, sorted by name: neither their order nor their sum matters."""
    exact = {name: Fraction(str(share)) for name, share in sorted(shares.items())}
    total = sum(exact.values())
    return {name: share / total for name, share in exact.items()}


def _deciding(value: object, path: tuple[str, ...]) -> object:
    if not isinstance(value, Mapping):
        return value
    if path[-1:] == ("shares",):
        return {name: float(share) for name, share in quotas(value).items()}
    run_only = RUN_ONLY.get(".".join((path[0], "*", *path[2:]) if len(path) > 1 else path), ())
    return {key: _deciding(inner, (*path, key)) for key, inner in value.items() if key not in run_only}
