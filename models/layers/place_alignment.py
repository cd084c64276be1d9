"""Alignment of sentences with the places of clips, as pretraining scores it.

Letters: B rows, Q sentences, C clips, N cells, P places of a clip, D width of the space that places and sentences share.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from models.contracts.batches import InputDims
from models.layers.streams import join_dims

_PLACE_TEMPERATURE = 0.05  # of cosines with several places
_SHORTEST = 1e-12  # vector that has a direction


def compute_place_scores(places: Tensor, texts: Tensor) -> Tensor:
    """Score texts against clips: logsumexp over places of the dot product. (C, P, D), (Q, D) -> (Q, C).

    A sentence vector is the sum of its words, so all words of a sentence must agree at one place. Clips of one place give
    the dot product itself.
    """
    if places.shape[-1] != texts.shape[-1]:
        raise ValueError(
            f"mil_nce needs clip and sentence vectors of one width, got {places.shape[-1]} and {texts.shape[-1]}; "
            "give the presets of encoder and text_encoder the same dim"
        )
    return torch.einsum("cpd,qd->qcp", places, texts).logsumexp(dim=-1)


def compute_cell_scores(places: Tensor, texts: Tensor) -> Tensor:
    """Score each row's cells against its own text as `compute_place_scores` does: (B, N, P, D), (B, D) -> (B, N)."""
    return torch.einsum("bnpd,bd->bnp", places, texts).logsumexp(dim=-1)


def compute_cell_cosines(places: Tensor, texts: Tensor) -> Tensor:
    """Score each row's cells against its own text by their cosine: (B, N, P, D), (B, D) -> (B, N).

    It is the similarity of CLIP (Radford et al. 2021, arXiv:2103.00020), which has one place; several places are joined by
    a smooth maximum, `t` logsumexp(cosine / `t`) with `t` = 0.05.
    """
    lengths = places.norm(dim=-1).clamp_min(_SHORTEST)  # (B, N, P)
    cosines = torch.einsum("bnpd,bd->bnp", places, F.normalize(texts, dim=-1)) / lengths
    joined: Tensor = _PLACE_TEMPERATURE * (cosines / _PLACE_TEMPERATURE).logsumexp(dim=-1)
    return joined


def require_shared_space(component: str, streams: Sequence[str], dims: InputDims) -> int:
    """Return the width D that the places of some streams, joined, share with the sentences.

    Raises:
        ValueError: when the widths differ, naming the component that compares them.
    """
    width = join_dims(dims, streams).dim
    if width != dims.text_dim:
        raise ValueError(
            f"{component} compares clips with sentences as the encoders give them: the width of {' + '.join(streams)}, {width}, "
            f"must equal text_dim={dims.text_dim}; read one stream of an aligned encoder (pretrain.objective=mil_nce, or "
            "clip_image with clip_text), or choose another component"
        )
    return width
