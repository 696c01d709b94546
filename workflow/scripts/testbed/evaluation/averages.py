"""Averages of what several CLIP models say of an image: the paper's output mixing, in three conventions.

Which convention the paper used is not known, and they differ by points, so that every ensemble is scored by all.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

AVERAGES = ("logits", "scaled_logits", "probabilities")
"""logits: cosine similarities times 100, as CLIP_benchmark computes them for every model. scaled_logits: cosine similarities
times the scale that each model learnt (the inverse temperature of its loss). probabilities: the softmax of scaled logits
over the scored classes."""
CLIP_BENCHMARK_SCALE = 100.0


def averages_of(
    logits: Sequence["torch.Tensor"], networks: Sequence[tuple[object, float]], first: str = "logits"
) -> dict[str, "torch.Tensor"]:
    """The averages (N, C) of the `logits` (N, C) of `networks` (model, share), by name: `first`, then the others.

    One network has no average but its own logits. Classes with a logit of minus infinity do not count.
    """
    shares = [share for _, share in networks]
    if len(networks) == 1:
        return {first: shares[0] * logits[0]}
    scaled = [
        one * (float(network.logit_scale.exp()) / CLIP_BENCHMARK_SCALE)
        for one, (network, _) in zip(logits, networks, strict=True)
    ]
    outputs = {"logits": logits, "scaled_logits": scaled, "probabilities": [one.softmax(dim=1) for one in scaled]}
    names = [first, *(average for average in AVERAGES if average != first)]
    return {name: sum(share * one for share, one in zip(shares, outputs[name], strict=True)) for name in names}
