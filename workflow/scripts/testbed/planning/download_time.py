"""How long downloads take at least: a list whose images are on one host is fetched no faster than the host is asked."""

from collections.abc import Mapping

from testbed.experiment.experiment import Experiment
from testbed.planning.stages import HOUR, Expected, Stage
from testbed.web.rate_limit import RateLimiter


def least_download_hours(
    experiment: Experiment, expected: Mapping[str, Expected], known: Mapping[str, Mapping[str, str]]
) -> dict[str, tuple[str, float, float]]:
    """Return the main host of each source with one, the requests per second to it, and the hours that they still take.

    `known` are the facts of `released_sources`. Sources that are fetched already and hosts without a limit are left out.
    All jobs together keep the rate, so more jobs do not lower the hours.
    """
    options = experiment.config["download"]
    limits = RateLimiter(options["requests_per_second"], options["hosts"])
    found = {}
    for name, source in experiment.sources.items():
        host = known.get(source.get("metadata", {}).get("format"), {}).get("main_host")
        if not host or not (rate := limits.rate(host)):
            continue
        parts = [f"results/downloads/{name}/{part}/manifest.json" for part in experiment.parts(name)]
        if left := Stage("download_images", "", parts).share_left:
            found[name] = host, rate, expected[name].urls * left / rate / HOUR
    return found
