"""Magnet loss: keeps a vector nearer to its own cluster than to the clusters of other classes.

Letters: R vectors, C clusters, K clusters of a class, E embedding width.
"""

from typing import Literal

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import LossDims
from models.losses.labelled import LabelledRows, LabelledTerm, PairwiseTermParams

ITERATIONS = 10  # of k-means on the vectors of one class in a batch


class MagnetLoss(LabelledTerm):
    """Mean over vectors of relu(gap + |r - mu|^2 / 2s + log sum_{mu'} exp(-|r - mu'|^2 / 2s)); mu' of other classes.

    mu are the cluster means in the batch and s = sum |r - mu|^2 / (R - 1), so rotating or rescaling all vectors does not
    change the loss.
    Source: Rippel et al. 2015 (arXiv:1511.05939), eqs. 4 and 5.
    Deviations: k-means finds clusters in the batch, not in the whole training set once per epoch, and batches are not drawn
    around a seed cluster, so that the loss can be combined with others. Instead, only the `num_impostors` nearest clusters of
    other classes count for a vector. A class has at most one cluster per `rows_per_cluster` vectors.
    """

    def __init__(self, params: "MagnetParams") -> None:
        """Store the values."""
        super().__init__(params.choose_reading())
        self.gap = params.gap
        self.clusters_per_class = params.clusters_per_class
        self.rows_per_cluster = params.rows_per_cluster
        self.num_impostors = params.num_impostors

    def compute(self, rows: LabelledRows) -> Tensor:
        """Return a scalar; 0 with a single class, or without a cluster of two different vectors."""
        clusters, owners = self.find_clusters(rows.vectors.detach(), rows.classes)  # (R,), (C,)
        distances = measure_distances(rows.vectors, average(rows.vectors, clusters, len(owners)))  # (R, C)
        own = distances.gather(1, clusters[:, None])[:, 0]
        if (owners == owners[0]).all() or not own.sum() > 0:
            return rows.vectors.sum() * 0
        logits = -distances / (2 * own.sum() / (len(own) - 1))
        foreign = logits.masked_fill(owners[None, :] == rows.classes[:, None], float("-inf"))
        nearest = foreign.topk(min(self.num_impostors, len(owners)), dim=1).values
        return F.relu(self.gap - logits.gather(1, clusters[:, None])[:, 0] + torch.logsumexp(nearest, dim=1)).mean()

    def find_clusters(self, vectors: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cluster of each vector (R,), numbered from 0 without gaps, and the class of each cluster (C,)."""
        keys = torch.zeros_like(classes)
        for label in torch.unique(classes):
            members = (classes == label).nonzero()[:, 0]
            count = min(self.clusters_per_class, max(1, len(members) // self.rows_per_cluster))
            keys[members] = split(vectors[members], count)
        found, clusters = torch.unique(torch.stack([classes, keys], dim=1), dim=0, return_inverse=True)
        return clusters, found[:, 0]


def split(vectors: Tensor, count: int) -> Tensor:
    """Return the k-means cluster of each vector (R,), started from vectors far from each other."""
    centers = average(vectors, torch.zeros(len(vectors), dtype=torch.int64, device=vectors.device), 1)
    nearest = torch.zeros(len(vectors), dtype=torch.int64, device=vectors.device)
    for number in range(count):
        farthest = vectors[measure_distances(vectors, centers).amin(1).argmax()][None]
        centers = torch.cat([centers, farthest]) if number else farthest
    for _ in range(ITERATIONS if count > 1 else 0):
        nearest = measure_distances(vectors, centers).argmin(1)
        held = torch.bincount(nearest, minlength=count)[:, None] > 0
        centers = torch.where(held, average(vectors, nearest, count), centers)
    return nearest


def average(vectors: Tensor, clusters: Tensor, count: int) -> Tensor:
    """Return the mean vector of each cluster: (R, E) and (R,) -> (C, E), zero for an empty cluster."""
    members = F.one_hot(clusters, count).to(vectors.dtype)  # (R, C)
    return members.T @ vectors / members.sum(0)[:, None].clamp_min(1)


def measure_distances(vectors: Tensor, centers: Tensor) -> Tensor:
    """Return squared distances: (R, E) and (C, E) -> (R, C)."""
    return (vectors[:, None] - centers[None, :]).square().sum(-1)


class MagnetParams(PairwiseTermParams):
    """Values of the magnet loss."""

    name: Literal["magnet"]
    gap: PositiveFloat = 1.0  # between own and other clusters, in units of log likelihood
    clusters_per_class: PositiveInt = 3
    rows_per_cluster: PositiveInt = 4
    num_impostors: PositiveInt = 11

    def build(self, dims: LossDims) -> MagnetLoss:
        """Return the loss."""
        return MagnetLoss(self)
