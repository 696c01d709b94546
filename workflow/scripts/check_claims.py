"""Check the paper's findings against this run: whether it supports, contradicts, or does not decide each of them.

In:  results/tables/evaluations.csv
Out: results/claims.csv, a row per claim; results/tables/comparisons.csv, a row for each comparison of a claim;
     results/report/claims.html, both as a page
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from testbed.experiment.pools import in_order
from testbed.records.log import log_to
from testbed.statistics.claims import Claim, all_claims
from testbed.statistics.tables import pair_with_reference, read_evaluations
from testbed.statistics.trends import Settings
from testbed.statistics.verdicts import CONTRADICTED, SUPPORTED, UNDECIDED, Comparison

if TYPE_CHECKING:
    from snakemake.script import snakemake

CLAIM_COLUMNS = [
    *["claim", "statement", "verdict", "comparisons", SUPPORTED, CONTRADICTED, UNDECIDED],
    *["subject", "architecture", "testset", "reference_value", "difference", "difference_low", "difference_high"],
    *["confidence", "tests", "rule"],
]
COMPARISON_COLUMNS = [
    *["claim", "pool", "other", "architecture", "testset", "reference_value"],
    *["difference", "difference_low", "difference_high", "confidence", "tests", "verdict"],
]

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
<p class="rule">Pools are compared by their trends at a reference accuracy that they have in common. Differences are in
percentage points of shifted accuracy, each positive where the first pool is higher. Intervals are at {confidence} % for all
comparisons of a claim together (Student's t, one residual variance per shift, Bonferroni). Differences of up to
{margin} count as none. What another set of images of the same sources would change is not in the intervals.</p>
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
    for title in ["pool", "other pool", "test set", "architecture", "at", "difference, points", "interval", "verdict"]
)
ROW = (
    "<tr><td>{pool}</td><td>{other}</td><td>{testset}</td><td>{architecture}</td><td class=number>{at}</td>"
    "<td class=number>{value}</td><td class=number>{interval}</td><td>{verdict}</td></tr>"
)
MARKS = {SUPPORTED: "&#10003;", CONTRADICTED: "&#10007;", UNDECIDED: "?"}


def check_claims(
    evaluations: pd.DataFrame,
    pools: Sequence[Mapping],
    reference: str,
    named: Sequence[Mapping],
    settings: Settings,
) -> list[Claim]:
    """The claims about `pools` (see `testbed.experiment.pools.Pool`) on `evaluations`; `named` are the experiment's own."""
    return all_claims(pair_with_reference(evaluations, reference), pools, named, settings)


def claims_table(claims: Sequence[Claim], settings: Settings) -> pd.DataFrame:
    """One row of `CLAIM_COLUMNS` per claim; the statistic's cells are empty for a claim without comparisons."""
    rows = []
    for claim in claims:
        row = {"claim": claim.name, "statement": claim.statement, "verdict": claim.verdict, "rule": claim.rule}
        row |= {"comparisons": len(claim.comparisons), **_counts(claim), "confidence": settings.line_confidence}
        if one := claim.statistic:
            row |= {
                "subject": f"{one.pool} minus {one.other}",
                "architecture": one.architecture,
                "testset": one.testset,
            }
            row |= {"reference_value": one.difference.at, "difference": one.difference.value, "tests": one.tests}
            row |= {"difference_low": one.low, "difference_high": one.high}
        rows.append(row)
    return pd.DataFrame(rows, columns=CLAIM_COLUMNS).astype({"tests": "Int64"})


def comparisons_table(claims: Sequence[Claim], settings: Settings) -> pd.DataFrame:
    """One row of `COMPARISON_COLUMNS` per comparison of `claims`; differences are in percentage points."""
    rows = [
        [one.claim, one.pool, one.other, one.architecture, one.testset, one.difference.at]
        + [one.difference.value, one.low, one.high, settings.line_confidence, one.tests, one.verdict]
        for claim in claims
        for one in claim.comparisons
    ]
    return pd.DataFrame(rows, columns=COMPARISON_COLUMNS)


def claims_page(claims: Sequence[Claim], settings: Settings) -> str:
    """A self-contained HTML page: each claim with its verdict, and its comparisons in a collapsible table."""
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
    confidence, margin = f"{100 * settings.line_confidence:g}", f"{settings.margin:g} percentage point(s)"
    return PAGE.format(summary=summary, confidence=confidence, margin=margin, sections="\n".join(sections))


def _counts(claim: Claim) -> dict[str, int]:
    verdicts = [comparison.verdict for comparison in claim.comparisons]
    return {verdict: verdicts.count(verdict) for verdict in (SUPPORTED, CONTRADICTED, UNDECIDED)}


def _statistic(claim: Claim) -> str:
    """A sentence about the comparison whose difference is in the table of claims."""
    one = claim.statistic
    if one is None or not np.isfinite(one.low):
        return ""
    label = "In the table" if claim.verdict == UNDECIDED else "Decisive"
    return escape(f". {label}: {difference_in_words(one)}")


def difference_in_words(one: Comparison) -> str:
    """A sentence: which pool of a comparison is above or below the other and by how much, or that this is not certain."""
    value, low, high = one.difference.value, one.low, one.high
    if low <= 0 <= high:
        return (
            f"no certain difference between {one.pool} and {one.other} on {one.testset}, "
            f"{signed(value)} points ({signed(low)} to {signed(high)})"
        )
    way = "above"
    if value < 0:
        way, value, low, high = "below", -value, -high, -low
    return f"{one.pool} {way} {one.other} on {one.testset} by {value:.1f} points ({low:.1f} to {high:.1f})"


def signed(value: float) -> str:
    """`value` with a sign and one decimal, as the figures have it: with a minus and not a hyphen."""
    return f"{value:+.1f}".replace("-", "−")


def _row(one: Comparison) -> str:
    names = {name: escape(getattr(one, name)) for name in ("pool", "other", "testset", "architecture")}
    known = np.isfinite(one.difference.value)
    return ROW.format(
        **names,
        at=f"{100 * one.difference.at:.1f} %" if known else "none in common",
        value=signed(one.difference.value) if known else "",
        interval=f"{signed(one.low)} to {signed(one.high)}" if np.isfinite(one.low) else "",
        verdict=one.verdict,
    )


if __name__ == "__main__":
    log_to(snakemake.log[0])
    settings = Settings(**snakemake.params.statistics)
    claims = check_claims(
        read_evaluations(snakemake.input.evaluations),
        in_order(snakemake.params.pools, snakemake.config),
        snakemake.params.reference,
        snakemake.params.claims,
        settings,
    )
    claims_table(claims, settings).to_csv(snakemake.output.claims, index=False)
    comparisons_table(claims, settings).to_csv(snakemake.output.comparisons, index=False)
    Path(snakemake.output.page).write_text(claims_page(claims, settings), encoding="utf-8")
