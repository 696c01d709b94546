"""The card of a mixture: what is known of its members, side by side."""

from collections.abc import Mapping, Sequence

from testbed.cards.distinctive import Words


def mixed(
    pool: Mapping, descriptions: Sequence[Mapping], sheets: Sequence[Sequence[dict]], words: Sequence[Words]
) -> tuple[dict, list[dict], dict[str, Mapping[str, int]]]:
    """Return the description, the contact sheet and the words of the mixture `pool`, whose groups are its members.

    `pool` has the shares of its `members`, and their `titles`. The others are those of each member, in the same order. Of a
    filter, the group of what it keeps is taken, which is its first one. Sheets have samples in the order of their uids; of
    these are taken as many as there are for all members by their shares, and together no more than the longest sheet has.
    """
    groups, counts, shown = [], {}, {}
    for place, name in enumerate(pool["members"]):
        own = descriptions[place]["groups"][0]
        groups.append(own | {"name": name, "label": pool["titles"][name]})
        shown[name] = [sample | {"group": name} for sample in sheets[place] if sample["group"] == own["name"]]
        counts[name] = words[place][own["name"]]
    longest = max(map(len, shown.values()))
    most = min(longest, *(len(shown[name]) / share for name, share in pool["members"].items()))
    sheet = [sample for name, share in pool["members"].items() for sample in shown[name][: max(1, round(share * most))]]
    # Some members may have been scored by a teacher, and others not.
    if not all(group["predicted"] for group in groups):
        groups = [group | {"predicted": None} for group in groups]
    samples = sum(group["samples"] for group in groups)
    described = {"pool": pool["name"], "samples": samples, "classes": descriptions[0]["classes"], "groups": groups}
    return described, sheet, counts
