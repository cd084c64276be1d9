"""Classes of sentences for losses on labelled embeddings: what counts as one class is a choice, so there are four.

Letters: Q queries.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.exchange.batches import Labels, TextFeatures


def build_labels(sentences: Sequence[str], text: TextFeatures, *, video_index: Tensor, text_index: Tensor) -> Labels:
    """Return the classes of Q queries by sentence, main verb, cluster of sentence vectors and video, each (Q,) from 0 on."""
    raise NotImplementedError


def number_classes(keys: Tensor) -> Tensor:
    """Return classes (Q,) from 0 on, equal where the keys (Q,) are."""
    classes: Tensor = torch.unique(keys, return_inverse=True)[1]
    return classes
