"""Class labels for losses on labelled embeddings, under four definitions of a class.

Letters: Q queries, S distinct sentence vectors, D width of a sentence vector, K clusters.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contracts.batches import Labels, TextFeatures

MIN_CLUSTERS, MAX_CLUSTERS = 8, 512
CLUSTER_SEED = 0  # equal clusters for every training seed


def build_labels(sentences: Sequence[str], text: TextFeatures, *, video_index: Tensor, text_index: Tensor) -> Labels:
    """Return the classes of Q queries by sentence, main verb, sentence cluster and video, each (Q,) from 0 on."""
    return Labels(
        pair=number_classes(text_index),
        verb=label_verbs(sentences),
        query_cluster=cluster_sentences(text.pooled),
        video=number_classes(video_index),
    )


def number_classes(keys: Tensor) -> Tensor:
    """Return classes (Q,) from 0 on, equal for equal keys (Q,)."""
    classes: Tensor = torch.unique(keys, return_inverse=True)[1]
    return classes


def label_verbs(sentences: Sequence[str]) -> Tensor:
    """Return the class of the main verb of each sentence (Q,), in alphabetical order; sentences without a verb share a class."""
    from corpus.text.verbs import find_verb

    verbs = [find_verb(sentence) for sentence in sentences]
    numbers = {verb: number for number, verb in enumerate(sorted(set(verbs)))}
    return torch.tensor([numbers[verb] for verb in verbs])


def cluster_sentences(pooled: Tensor) -> Tensor:
    """Return the k-means cluster (Q,) of each sentence vector (Q, D), found on the directions of the distinct vectors."""
    vectors = torch.nn.functional.normalize(pooled.detach().cpu().double(), dim=-1).numpy()
    distinct, inverse = np.unique(vectors, axis=0, return_inverse=True)  # (S, D), (Q,)
    clusters = _find_clusters(distinct, choose_num_clusters(len(distinct)))  # (S,)
    return number_classes(torch.from_numpy(clusters[inverse.ravel()]).long())


def choose_num_clusters(num_vectors: int) -> int:
    """Return K, the square root of the number of distinct vectors, within 8 and 512 and at most their number."""
    return min(num_vectors, max(MIN_CLUSTERS, min(MAX_CLUSTERS, round(math.sqrt(num_vectors)))))


def _find_clusters(vectors: NDArray[np.float64], num_clusters: int) -> NDArray[np.int32]:
    """Run k-means on one thread, because sums over several threads differ in their last bits between runs."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        clusters: NDArray[np.int32] = KMeans(num_clusters, n_init=1, max_iter=50, random_state=CLUSTER_SEED).fit_predict(vectors)
    return clusters
