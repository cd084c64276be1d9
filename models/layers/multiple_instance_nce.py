"""Multiple-instance noise-contrastive estimation on matrices of scores.

Letters: R rows and C columns of scores, B pairs.
"""

import torch
from torch import Tensor


def compute_multiple_instance_nce(scores: Tensor, positives: Tensor) -> Tensor:
    """Return -mean log(sum over positives e^s / sum over all e^s) over the rows with a positive, in nats.

    Both inputs are (R, C), `positives` is bool. If no row has a positive, value and gradient are zero.
    """
    rows = positives.any(dim=1)
    if not rows.any():
        return scores.sum() * 0.0
    scores, positives = scores[rows], positives[rows]
    matched = scores.masked_fill(~positives, -torch.inf).logsumexp(dim=1)
    return (scores.logsumexp(dim=1) - matched).mean()


def compute_joint_nce(scores: Tensor, matches: Tensor, *, repeat_positives: bool = False) -> Tensor:
    """Return the loss with one joint denominator over both directions, averaged over moments.

    Scores (B, B) are moments by queries; the bag of moment i is the queries with `matches[i]`, (B, B) bool. Its negatives
    are the other queries for moment i, and for each query of the bag the moments that do not match it. With
    `repeat_positives` the denominator contains the bag a second time, with every moment that matches its queries.
    """
    against = scores if repeat_positives else scores.masked_fill(matches, -torch.inf)
    of_query = against.logsumexp(dim=0)  # (B,)
    of_bag = of_query[None, :].masked_fill(~matches, -torch.inf)  # (B, B)
    return compute_multiple_instance_nce(
        torch.cat([scores, of_bag], dim=1), torch.cat([matches, torch.zeros_like(matches)], dim=1)
    )


def find_matches(false_negatives: Tensor) -> Tensor:
    """Return the matching pairs of rows, (B, B) bool: the diagonal, and unpaired rows that match too."""
    return false_negatives | torch.eye(len(false_negatives), dtype=torch.bool, device=false_negatives.device)
