"""How much models vary around their lines: variances of trainsets and of blocks, estimated from residuals by moments.

The residual of a model has three causes: test images, the trainset (its sample of the pool, and the training of it), and
the initialisation that all models of one size and seed share (the block). For the residuals averaged over the seeds of a
trainset, the expectations of two quadratic forms (sum of squares, and sum of squared block sums) are linear in the two
variances. So these solve two equations (method of moments; Searle, Casella and McCulloch 1992, chapter 5). The same holds
for products of the residuals on two shifts, which gives the covariances between shifts.

The models of one pool may vary more than those of another. Few models cannot tell, so that each pool's mean square is
moved towards that of all pools, by as much as the pools' mean squares differ no more than they would by chance (moderated
variances; Smyth 2004). Where they do not differ, all pools have one variance.
"""

from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

SEPARABLE = 0.05
"""Blocks are told from trainsets if the determinant of the equations is more than this share of its diagonal's product."""

LEAST_FREEDOM = 0.5
"""A pool with fewer degrees of freedom does not tell how much its models vary."""


class ResidualVariances:
    """Variances of trainsets and blocks (shifts, shifts), and their degrees of freedom, of a `Fit`.

    `pooled` (models,) says which models' residuals are used.
    """

    def __init__(self, fit, pooled: NDArray[np.bool_]) -> None:
        units, blocks = _indicators(fit.models)
        self.units, self.blocks = units, blocks
        shifts = range(len(fit.shifts))
        averaged, makers, residuals = [], [], []
        for row in shifts:
            maker = fit.residual_maker(row, pooled)
            on_line = (np.abs(maker).sum(axis=1) > 0).astype(float)
            counts = units.T @ on_line
            average = (units * on_line[:, None]).T / np.maximum(counts, 1)[:, None]
            averaged.append(average)
            makers.append(average @ maker)
            residuals.append(average @ maker @ np.nan_to_num(fit.y[row], posinf=0.0, neginf=0.0))
        of_units, of_blocks = [maker @ units for maker in makers], [maker @ blocks for maker in makers]
        sums = [average @ blocks for average in averaged]
        self.freedom = np.array([np.sum(one**2) for one in of_units])
        self.block_freedom = np.array([_effective_rank(one) for one in of_blocks])
        self.per_block = np.array([_mean_units(one) for one in sums])
        shape = len(shifts), len(shifts)
        self.trainsets, self.block, self.images = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        # Variances first: two shifts have a covariance of blocks only if blocks are told from trainsets on both.
        for row, other in sorted(combinations_with_replacement(shifts, 2), key=_first_the_diagonal):
            pair = row, other
            spread = makers[row] @ fit.image_covariance(row, other), makers[other]
            equations = np.array(
                [
                    [np.sum(of_units[row] * of_units[other]), np.sum(of_blocks[row] * of_blocks[other])],
                    [_in_blocks(sums, of_units, pair), _in_blocks(sums, of_blocks, pair)],
                ]
            )
            found = np.array(
                [
                    residuals[row] @ residuals[other],
                    (sums[row].T @ residuals[row]) @ (sums[other].T @ residuals[other]),
                ]
            )
            images = np.array([np.sum(spread[0] * spread[1]), _in_blocks(sums, spread, (0, 1), pair)])
            blocks_known = row == other or min(self.block[row, row], self.block[other, other]) > 0
            trainset, block = _solve(equations, found - images, row == other, blocks_known)
            self.trainsets[pair] = self.trainsets[pair[::-1]] = trainset
            self.block[pair] = self.block[pair[::-1]] = block
            if equations[0, 0] > 0:
                self.images[pair] = self.images[pair[::-1]] = images[0] / equations[0, 0]
        self.trainsets, self.block = _positive(self.trainsets), _positive(self.block)
        self._moderate(fit.models["pool"].to_numpy(), residuals, of_units)

    def _moderate(self, pools: NDArray, residuals: list[NDArray], of_units: list[NDArray]) -> None:
        """Set the pools' mean squares relative to all, `ratios`, and the variances `of_units`: moderated, and cautious."""
        names, codes = np.unique(pools, return_inverse=True)
        self.pool_of_unit = np.array([codes[column.argmax()] for column in self.units.T])
        square = self.trainsets + self.images
        precision = _inverse(square)
        every, counted = np.stack(residuals), np.sqrt([np.sum(maker**2, axis=1) for maker in of_units])
        # Residuals on several shifts are correlated: their squared Mahalanobis distance has as many degrees as shifts.
        found = np.einsum("su,st,tu->u", every, precision, every)
        freedom = np.einsum("su,st,tu->u", counted, precision * square, counted)
        found, freedom = (np.bincount(self.pool_of_unit, one, len(names)) for one in (found, freedom))
        # A line through two models leaves residuals of rounding errors.
        told = freedom >= LEAST_FREEDOM
        ratios = np.where(told, found / np.where(told, freedom, 1.0), 0.0)
        self.moderated = moderate(ratios, freedom)
        self.ratios = {False: self.moderated.ratios, True: np.maximum(self.moderated.ratios, ratios)}
        self.of_units = {
            cautious: np.stack([_positive(self.trainsets + (ratio - 1) * square) for ratio in own])[self.pool_of_unit]
            for cautious, own in self.ratios.items()
        }

    def covariance(
        self, weights: NDArray[np.float64], images: NDArray[np.float64], cautious: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Covariance (k, k) of combinations with `weights` (k, shifts, models), and degrees of freedom (k,) of their error.

        `images` (k,) are their variances from images, which count as known. Degrees of freedom are Satterthwaite's: those
        of the squared error, of which only the part from residuals is estimated. They are NaN without residuals.
        If `cautious`, no pool's mean square is moved down. Moderated ones are right on average, but the largest of many
        differences is that of pools which vary more than others, and whose mean squares are moved down.
        """
        in_units, in_blocks = weights @ self.units, weights @ self.blocks
        spread_units = np.einsum("asu,ust->atu", in_units, self.of_units[cautious], optimize=True)
        covariance = np.tensordot(spread_units, in_units, axes=([1, 2], [1, 2]))
        covariance += np.einsum("asg,st,btg->ab", in_blocks, self.block, in_blocks, optimize=True)
        # What the estimates of the variances vary by: the whole mean squares, images included.
        square = self.trainsets + self.images
        of_pools = self.ratios[cautious][self.pool_of_unit, None, None] * square
        of_blocks = np.where(self.block > 0, self.block + square / np.maximum(self.per_block, 1), 0.0)
        trainsets = np.einsum("asu,ust,atu->au", in_units, of_pools, in_units, optimize=True)
        blocks = np.einsum("asg,st,atg->a", in_blocks, of_blocks, in_blocks, optimize=True)
        used = (in_units != 0).any(axis=2)
        lost = np.where(self.block.diagonal() > 0, self.block_freedom, 0)
        left = np.where(used, self.freedom - lost, np.inf).min(axis=1)
        of_block = np.where(used, np.maximum(self.block_freedom, 1), np.inf).min(axis=1)
        left = np.where(left >= 0.99, left, np.nan)
        variance = images + covariance.diagonal()
        trainsets = self._spread(trainsets, left)
        spread = trainsets + blocks**2 / of_block
        # Without weights on residuals, only images count: their number is large.
        freedom = np.where(spread > 0, variance**2 / np.where(spread > 0, spread, 1.0), np.inf)
        return covariance, np.where(np.isnan(spread), np.nan, freedom)

    def _spread(self, trainsets: NDArray[np.float64], left: NDArray[np.float64]) -> NDArray[np.float64]:
        """Squares (k,) of the mean squares in `trainsets` (k, units), each over its degrees of freedom."""
        pools = len(self.moderated.ratios)
        by_pool = np.stack([np.bincount(self.pool_of_unit, one, pools) for one in trainsets])
        total = by_pool.sum(axis=1)
        # The pools share what they are moderated towards, so all together have no more than all residuals.
        own = by_pool @ (self.moderated.prior + self.moderated.freedom) if np.isfinite(self.moderated.prior) else np.inf
        return total**2 / np.minimum(left, np.where(total > 0, own / np.where(total > 0, total, 1.0), np.inf))


class Moderated(NamedTuple):
    """Ratios (pools,) of pools' mean squares to that of all, moderated by `prior` degrees of freedom, and their own."""

    ratios: NDArray[np.float64]
    freedom: NDArray[np.float64]
    prior: float


def moderate(ratios: NDArray[np.float64], freedom: NDArray[np.float64]) -> Moderated:
    """Moderated variances (Smyth 2004, section 6.2) of pools, for mean squares with `freedom` (pools,) relative to all.

    `prior` is infinite, and all ratios 1, if the `ratios` (pools,) differ no more than they would by chance.
    """
    known = (freedom >= LEAST_FREEDOM) & (ratios > 0)
    if known.sum() < 3:
        return Moderated(np.ones(len(ratios)), freedom, np.inf)
    half = freedom[known] / 2
    logs = np.log(ratios[known]) - digamma(half) + np.log(half)
    excess = float(np.var(logs, ddof=1) - polygamma(1, half).mean())
    if excess <= 0:
        return Moderated(np.ones(len(ratios)), freedom, np.inf)
    prior = 2 * brentq(lambda half_prior: polygamma(1, half_prior) - excess, 1e-4, 1e8)
    centre = float(np.exp(logs.mean() + digamma(prior / 2) - np.log(prior / 2)))
    moderated = np.full(len(ratios), centre)
    moderated[known] = (prior * centre + freedom[known] * ratios[known]) / (prior + freedom[known])
    return Moderated(moderated, np.where(known, freedom, 0.0), prior)


def _first_the_diagonal(pair: tuple[int, int]) -> bool:
    return pair[0] != pair[1]


def _indicators(models: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Membership (models, units) of trainsets and (models, blocks) of sizes and seeds. A model of unknown size is alone."""
    known = models["size"] > 0
    alone = models["model"].where(~known, "")
    unit = pd.MultiIndex.from_arrays([models["pool"].where(known, ""), models["size"].where(known, 0), alone])
    block = pd.MultiIndex.from_arrays([models["size"], models["seed"]])
    units, blocks = (np.eye(index.nunique())[pd.factorize(index)[0]] for index in (unit, block))
    return units, blocks * known.to_numpy(float)[:, None]


def _mean_units(sums: NDArray[np.float64]) -> float:
    shared = _shared(sums)
    return float(np.sum(sums[:, shared] > 0, axis=0).mean()) if shared.any() else 1.0


def _effective_rank(matrix: NDArray[np.float64]) -> float:
    """The number of directions in which `matrix` has an effect, weighted by their share of it; 0 for none."""
    squares = np.linalg.svd(matrix, compute_uv=False) ** 2
    return float(squares.sum() ** 2 / np.sum(squares**2)) if squares.sum() > 0 else 0.0


def _shared(sums: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Blocks (blocks,) of more than one trainset."""
    return np.sum(sums > 0, axis=0) > 1


def _in_blocks(sums, factors, pair: tuple[int, int], shifts: tuple[int, int] | None = None) -> float:
    """Sum over blocks of the products of two `factors` summed by block."""
    one, other = shifts or pair
    return float(np.sum((sums[one].T @ factors[pair[0]]) * (sums[other].T @ factors[pair[1]])))


def _solve(equations: NDArray, moments: NDArray, variances: bool, blocks: bool) -> tuple[float, float]:
    """The part of trainsets and that of blocks. Variances are not negative; what cannot be separated is of trainsets."""
    if equations[0, 0] <= 0:
        return 0.0, 0.0
    alone = moments[0] / equations[0, 0]
    if blocks and np.linalg.det(equations) > SEPARABLE * equations[0, 0] * equations[1, 1] > 0:
        trainset, block = np.linalg.solve(equations, moments)
        if not variances or (trainset >= 0 and block >= 0):
            return float(trainset), float(block)
        if trainset < 0 < block and equations[0, 1] > 0:
            return 0.0, float(max(0.0, moments[0] / equations[0, 1]))
    return float(max(0.0, alone) if variances else alone), 0.0


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of a covariance matrix; 0 in directions of its correlations below a twentieth of the largest one."""
    scale = np.sqrt(np.where(matrix.diagonal() > 0, matrix.diagonal(), np.inf))
    return np.linalg.pinv(matrix / np.outer(scale, scale), rcond=0.05, hermitian=True) / np.outer(scale, scale)


def _positive(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest covariance matrix without negative variances in any direction."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T
