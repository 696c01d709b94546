"""The claim about filters with a random control: a random part of the same pool with as many samples."""

from collections.abc import Collection, Sequence

from testbed.experiment.pools import Pool
from testbed.statistics.claim import Claim, Fits, any_differs
from testbed.statistics.settings import Settings

NAME = "selection_moves_the_line"


def selection(fits: Fits, pools: Sequence[Pool], evaluated: Collection[str], settings: Settings) -> list[Claim]:
    """Which samples a filter keeps moves the line, and not only how many. There is no claim without an evaluated control."""
    pairs = [
        (pool["control_of"], pool["name"])
        for pool in pools
        if pool.get("control_of") and set(evaluated).issuperset([pool["control_of"], pool["name"]])
    ]
    if not pairs:
        return []
    return [
        Claim(
            NAME,
            "Which samples a filter keeps moves the line: a random part of the pool with as many samples has another line.",
            "supported if a filtered pool's line differs from that of its random control, in height or slope (intervals for "
            "all comparisons together); contradicted if all lines are equal within the margin",
            *any_differs(NAME, fits, pairs, settings),
        )
    ]
