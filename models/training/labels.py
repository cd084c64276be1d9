"""Classes of sentences for losses on labelled embeddings: what counts as one class is a choice, so there are four.

Letters: Q queries, S distinct sentence vectors, D width of a sentence vector, K clusters.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.exchange.batches import Labels, TextFeatures

MIN_CLUSTERS, MAX_CLUSTERS = 8, 512
CLUSTER_SEED = 0  # the same clusters for every seed of a training


def build_labels(sentences: Sequence[str], text: TextFeatures, *, video_index: Tensor, text_index: Tensor) -> Labels:
    """Return the classes of Q queries by sentence, main verb, cluster of sentence vectors and video, each (Q,) from 0 on."""
    return Labels(
        pair=number_classes(text_index),
        verb=label_verbs(sentences),
        query_cluster=cluster_sentences(text.pooled),
        video=number_classes(video_index),
    )


def number_classes(keys: Tensor) -> Tensor:
    """Return classes (Q,) from 0 on, equal where the keys (Q,) are."""
    classes: Tensor = torch.unique(keys, return_inverse=True)[1]
    return classes


def label_verbs(sentences: Sequence[str]) -> Tensor:
    """Return the class of each sentence's main verb (Q,), verbs in alphabetical order; sentences without one share one."""
    from models.training.verbs import find_verb

    verbs = [find_verb(sentence) for sentence in sentences]
    numbers = {verb: number for number, verb in enumerate(sorted(set(verbs)))}
    return torch.tensor([numbers[verb] for verb in verbs])


def cluster_sentences(pooled: Tensor) -> Tensor:
    """Return the k-means cluster of each sentence vector (Q, D) among the distinct ones, on their directions: (Q,)."""
    vectors = torch.nn.functional.normalize(pooled.detach().cpu().double(), dim=-1).numpy()
    distinct, inverse = np.unique(vectors, axis=0, return_inverse=True)  # (S, D), (Q,)
    clusters = _find_clusters(distinct, choose_num_clusters(len(distinct)))  # (S,)
    return number_classes(torch.from_numpy(clusters[inverse.ravel()]).long())


def choose_num_clusters(num_vectors: int) -> int:
    """Return K, the root of the number of distinct vectors, within 8 and 512 but never more than there are vectors."""
    return min(num_vectors, max(MIN_CLUSTERS, min(MAX_CLUSTERS, round(math.sqrt(num_vectors)))))


def _find_clusters(vectors: NDArray[np.float64], num_clusters: int) -> NDArray[np.int32]:
    """Run k-means on one thread: sums of several threads differ in their last bits from run to run."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        clusters: NDArray[np.int32] = KMeans(num_clusters, n_init=1, max_iter=50, random_state=CLUSTER_SEED).fit_predict(vectors)
    return clusters
