"""Check the paper's findings against this run: whether it supports, contradicts, or does not decide each of them.

In:  results/tables/evaluations.csv and joint_correct.parquet
Out: results/claims.csv, a row per claim; results/tables/comparisons.csv, a row for each comparison of a claim;
     results/report/claims.html, both as a page
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from testbed.experiment.pools import in_order
from testbed.experiment.titles import title_of, title_of_pool
from testbed.records.log import log_to
from testbed.statistics.claim import Claim
from testbed.statistics.claims import all_claims
from testbed.statistics.comparisons import CONTRADICTED, FRACTION, GAIN, HEIGHT, SLOPE, SUPPORTED, UNDECIDED, Comparison
from testbed.statistics.intervals import INDEPENDENT
from testbed.statistics.joint_correct import JointCorrect, read_joint_correct
from testbed.statistics.settings import Settings
from testbed.statistics.tables import pair_with_reference, read_evaluations

if TYPE_CHECKING:
    from snakemake.script import snakemake

DIFFERENCE_COLUMNS = [
    *["measure", "reference_value", "difference", "difference_low", "difference_high", "confidence", "tests"],
    *["images_error", "models_error", "freedom", "heterogeneity", "crossing"],
]
CLAIM_COLUMNS = [
    *["claim", "statement", "verdict", "comparisons", SUPPORTED, CONTRADICTED, UNDECIDED],
    *["subject", "architecture", "testset", *DIFFERENCE_COLUMNS, "lacks", "rule"],
]
COMPARISON_COLUMNS = ["claim", "pool", "other", "architecture", "testset", *DIFFERENCE_COLUMNS, "verdict", "lacks"]

PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Claims</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a;
  overflow-wrap: break-word }}
table {{ border-collapse: collapse; width: 100%; font-size: 13px }}
caption {{ text-align: left; color: #555; padding: .2rem 0 }}
th, td {{ text-align: left; padding: .25rem .5rem; border-bottom: 1px solid #ddd; vertical-align: top }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }}
.scroll {{ overflow-x: auto }} .scroll td, .scroll th {{ overflow-wrap: normal }}
section {{ margin: 1.6rem 0; border-left: 4px solid #999; padding-left: 1rem }}
h2 {{ font-size: 1.05rem; margin: 0 }}
.verdict {{ font-weight: 700 }}
.supported {{ border-color: #00714e }} .supported > p > .verdict {{ color: #00714e }}
.contradicted {{ border-color: #b3261e }} .contradicted > p > .verdict {{ color: #b3261e }}
.rule {{ color: #555; font-size: 13px }}
</style>
<a href="explore.html">Explore the models</a>
<h1>What this run says of the paper's findings</h1>
<p>{summary}</p>
<p class="rule">Pools are compared by their trends: in <i>height</i>, percentage points of shifted accuracy at a reference
accuracy that they have in common, and in <i>slope</i>. A <i>gain</i> is in percentage points of reference accuracy at equal
size, a <i>fraction</i> a part of the distance between a mixture's worst and best member. All are positive where the first
pool is higher. Intervals are at {confidence} %, for one comparison, or for as many together as the last column but one says.
They contain two errors: that of the test images, and that another training, on another sample of the same pool, gives
another model. Another crawl of the same source is not in them. Where a claim is about equality, differences of up to
{margin} count as none.</p>
{sections}
</html>
"""
SECTION = """<section class="{verdict}">
<h2>{statement}</h2>
<p><span class="verdict">{mark} {verdict}</span> &mdash; {counts}{statistic}</p>
<p class="rule">{rule}.</p>
<details><summary>{comparisons} comparisons</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Comparisons of {name}"><table>
{head}
{rows}
</table></div></details>
</section>"""
HEAD = "<tr>" + "".join(
    f"<th>{title}</th>"
    for title in [
        *["pool", "other pool", "test set", "architecture", "measure", "at", "difference", "interval"],
        *["error: images", "models", "together", "verdict"],
    ]
)
ROW = (
    "<tr><td>{pool}</td><td>{other}</td><td>{testset}</td><td>{architecture}</td><td>{measure}</td>"
    "<td class=number>{at}</td><td class=number>{value}</td><td class=number>{interval}</td><td class=number>{images}</td>"
    "<td class=number>{models}</td><td class=number>{tests}</td><td>{verdict}{lacks}</td></tr>"
)
MARKS = {SUPPORTED: "&#10003;", CONTRADICTED: "&#10007;", UNDECIDED: "?"}


def check_claims(
    evaluations: pd.DataFrame,
    pools: Sequence[Mapping],
    reference: str,
    named: Sequence[Mapping],
    settings: Settings,
    joint: JointCorrect = INDEPENDENT,
) -> list[Claim]:
    """The claims about `pools` (see `testbed.experiment.pools.Pool`) on `evaluations`; `named` are the experiment's own.

    `joint` is how often models are right about the same image.
    """
    return all_claims(
        pair_with_reference(evaluations, reference, settings.minimum_reference),
        pools,
        named,
        settings,
        joint,
        reference,
    )


def claims_table(claims: Sequence[Claim], settings: Settings) -> pd.DataFrame:
    """One row of `CLAIM_COLUMNS` per claim; the statistic's cells are empty for a claim without comparisons."""
    rows = []
    for claim in claims:
        row = {"claim": claim.name, "statement": claim.statement, "verdict": claim.verdict, "rule": claim.rule}
        row |= {"comparisons": len(claim.comparisons), **_counts(claim)}
        if one := claim.statistic:
            row |= {
                "subject": f"{one.pool} minus {one.other}",
                **_difference_columns(one, settings),
                "lacks": one.lacks,
            }
            row |= {"architecture": one.architecture, "testset": one.testset}
        rows.append(row)
    return pd.DataFrame(rows, columns=CLAIM_COLUMNS).astype({"tests": "Int64"})


def comparisons_table(claims: Sequence[Claim], settings: Settings) -> pd.DataFrame:
    """One row of `COMPARISON_COLUMNS` per comparison of `claims`.

    Differences are in percentage points, but for slopes and fractions, which have no unit.
    """
    names = ["claim", "pool", "other", "architecture", "testset", "verdict", "lacks"]
    rows = [
        {name: getattr(one, name) for name in names} | _difference_columns(one, settings)
        for claim in claims
        for one in claim.comparisons
    ]
    return pd.DataFrame(rows, columns=COMPARISON_COLUMNS)


def _difference_columns(one: Comparison, settings: Settings) -> dict[str, object]:
    values = [one.measure, one.at, one.value, one.low, one.high, settings.line_confidence, one.tests]
    values += [one.images, one.models, one.freedom, one.heterogeneity, one.crossing]
    return dict(zip(DIFFERENCE_COLUMNS, values, strict=True))


def claims_page(claims: Sequence[Claim], settings: Settings, pools: Sequence[Mapping] = ()) -> str:
    """A self-contained HTML page: each claim with its verdict, and its comparisons in a collapsible table.

    Names are the titles of `pools`, if they have titles.
    """
    titles = {pool["name"]: title_of_pool(pool) for pool in pools}
    claims = [_titled(claim, titles) for claim in claims]
    verdicts = [claim.verdict for claim in claims]
    counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in (SUPPORTED, CONTRADICTED, UNDECIDED)]
    sections = []
    for claim in claims:
        number = _counts(claim)
        text = (
            ", ".join(f"{number[verdict]} {verdict}" for verdict in number)
            if claim.comparisons
            else "nothing to compare"
        )
        sections.append(
            SECTION.format(
                verdict=claim.verdict,
                mark=MARKS[claim.verdict],
                statement=escape(claim.statement),
                rule=escape(claim.rule.capitalize()),
                counts=text,
                name=escape(claim.name),
                statistic=_statistic(claim),
                head=HEAD,
                comparisons=len(claim.comparisons),
                rows="\n".join(_row(one) for one in claim.comparisons),
            )
        )
    summary = f"Of {len(claims)} findings it leaves: {', '.join(counts)}."
    confidence = f"{100 * settings.line_confidence:g}"
    margin = f"{settings.margin:g} percentage point{'' if settings.margin == 1 else 's'}"
    return PAGE.format(summary=summary, confidence=confidence, margin=margin, sections="\n".join(sections))


def _titled(claim: Claim, titles: Mapping[str, str]) -> Claim:
    """The claim with readable names of pools and test sets."""

    def named(one: Comparison) -> Comparison:
        pool, other = (titles.get(name, name) for name in (one.pool, one.other))
        return replace(one, pool=pool, other=other, testset=title_of(one.testset))

    statistic = None if claim.statistic is None else named(claim.statistic)
    return replace(claim, comparisons=tuple(map(named, claim.comparisons)), statistic=statistic)


def _counts(claim: Claim) -> dict[str, int]:
    verdicts = [comparison.verdict for comparison in claim.comparisons]
    return {verdict: verdicts.count(verdict) for verdict in (SUPPORTED, CONTRADICTED, UNDECIDED)}


def _statistic(claim: Claim) -> str:
    """A sentence about the comparison whose difference is in the table of claims."""
    one = claim.statistic
    if one is None or not np.isfinite(one.low):
        return ""
    label = "Decisive" if claim.verdict != UNDECIDED else "Nearest to a decision"
    lacks = f"; it needs {one.lacks}" if claim.verdict == UNDECIDED and one.lacks else ""
    return escape(f". {label}: {difference_in_words(one)}{lacks}")


def difference_in_words(one: Comparison) -> str:
    """A sentence: which pool of a comparison is above or below the other and by how much, or that this is not certain."""
    value, low, high = one.value, one.low, one.high
    if one.measure == FRACTION:
        one_for_all = f"; one fraction for all: p = {one.heterogeneity:.2g}" if np.isfinite(one.heterogeneity) else ""
        numbers = f"{value:.2f} ({low:.2f} to {high:.2f})".replace("-", "\u2212")
        return f"over all comparisons together, the fraction is {numbers}{one_for_all}"
    where, unit = f"on {one.testset}", UNITS[one.measure]
    if low <= 0 <= high:
        return (
            f"no certain difference{unit.of} between {one.pool} and {one.other} {where}, "
            f"{unit.signed(value)}{unit.name} ({unit.signed(low)} to {unit.signed(high)})"
        )
    way = unit.above
    if value < 0:
        way, value, low, high = unit.below, -value, -high, -low
    numbers = [f"{number:.{unit.digits}f}" for number in (value, low, high)]
    return f"{one.pool} {way} {one.other} {where} by {numbers[0]}{unit.name} ({numbers[1]} to {numbers[2]})"


class Unit(NamedTuple):
    """How a measure is written: its name, digits, and the words for its direction."""

    name: str
    digits: int
    of: str
    above: str
    below: str

    def signed(self, value: float) -> str:
        """`value` with a sign, as the figures have it: with a minus and not a hyphen."""
        return f"{value:+.{self.digits}f}".replace("-", "\u2212")


UNITS = {
    HEIGHT: Unit(" points", 1, "", "above", "below"),
    SLOPE: Unit("", 2, " of slope", "steeper than", "flatter than"),
    GAIN: Unit(" points", 1, " at equal size", "above, at equal size,", "below, at equal size,"),
    FRACTION: Unit("", 2, "", "above", "below"),
}


def _row(one: Comparison) -> str:
    names = {name: escape(getattr(one, name)) for name in ("pool", "other", "testset", "architecture", "measure")}
    known, unit = np.isfinite(one.value), UNITS[one.measure]
    at = f"{100 * one.at:.1f} %" if np.isfinite(one.at) else "" if one.measure == FRACTION else "none in common"
    if one.measure == SLOPE and np.isfinite(one.crossing):
        at = f"lines cross at {100 * one.crossing:.1f} %"
    errors = {
        name: f"{getattr(one, name):.{unit.digits}f}" if np.isfinite(getattr(one, name)) else ""
        for name in ("images", "models")
    }
    return ROW.format(
        **names,
        **errors,
        at=at,
        value=unit.signed(one.value) if known else "",
        interval=f"{unit.signed(one.low)} to {unit.signed(one.high)}" if np.isfinite(one.low) else "",
        tests=one.tests if np.isfinite(one.low) else "",
        verdict=one.verdict,
        lacks=f": needs {escape(one.lacks)}" if one.lacks else "",
    )


if __name__ == "__main__":
    log_to(snakemake.log[0])
    settings = Settings(**snakemake.params.statistics)
    pools = in_order(snakemake.params.pools, snakemake.config)
    claims = check_claims(
        read_evaluations(snakemake.input.evaluations),
        pools,
        snakemake.params.reference,
        snakemake.params.claims,
        settings,
        read_joint_correct(snakemake.input.joint_correct),
    )
    claims_table(claims, settings).to_csv(snakemake.output.claims, index=False)
    comparisons_table(claims, settings).to_csv(snakemake.output.comparisons, index=False)
    Path(snakemake.output.page).write_text(claims_page(claims, settings, pools), encoding="utf-8")
