"""Class labels by sentence, verb, cluster and video."""

import torch

from models.contracts.batches import Labels, TextFeatures
from models.training.labels import build_labels, choose_num_clusters, cluster_sentences, number_classes


def make_text(pooled: torch.Tensor) -> TextFeatures:
    return TextFeatures(pooled[:, None], torch.ones(len(pooled), 1, dtype=torch.bool), pooled)


def make_labels() -> Labels:
    sentences = ["a box spins", "the star leaves", "a box spins", "the red box spins"]
    pooled = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [3.0, 0.0]])
    return build_labels(
        sentences,
        make_text(pooled),
        video_index=torch.tensor([7, 7, 3, 3]),
        text_index=torch.tensor([0, 1, 0, 2]),
    )


def test_each_kind_of_label_reads_the_sentences_its_own_way() -> None:
    labels = make_labels()
    assert labels.pair.tolist() == [0, 1, 0, 2]
    assert labels.verb.tolist() == [1, 0, 1, 1]  # leave, spin
    assert labels.video.tolist() == [1, 1, 0, 0]
    assert labels.query_cluster[0] == labels.query_cluster[2] == labels.query_cluster[3]  # one direction
    assert labels.query_cluster[0] != labels.query_cluster[1]


def test_labels_are_whole_numbers_from_0_without_gaps() -> None:
    for part in make_labels():
        assert part.dtype == torch.int64
        assert sorted(set(part.tolist())) == list(range(int(part.max()) + 1))


def test_a_corpus_of_one_sentence_has_one_class_of_each_kind() -> None:
    one = torch.tensor([0])
    labels = build_labels(["nothing at all"], make_text(torch.zeros(1, 3)), video_index=one, text_index=one)
    assert [part.tolist() for part in labels] == [[0]] * 4


def test_clusters_are_the_same_in_every_run_and_leave_the_threads_of_torch_alone() -> None:
    pooled, threads = torch.randn(300, 8, generator=torch.Generator().manual_seed(1)), torch.get_num_threads()
    assert torch.equal(cluster_sentences(pooled), cluster_sentences(pooled.clone()))
    assert torch.get_num_threads() == threads


def test_clusters_find_groups_of_directions() -> None:
    generator = torch.Generator().manual_seed(2)
    groups = torch.arange(100) % 10
    pooled = torch.eye(10)[groups] + 0.01 * torch.randn(100, 10, generator=generator)
    clusters = cluster_sentences(pooled * torch.rand(100, 1, generator=generator).add(0.5))
    together = clusters[:, None] == clusters[None, :]
    assert torch.equal(together, groups[:, None] == groups[None, :])


def test_sentences_with_equal_vectors_share_a_cluster() -> None:
    assert cluster_sentences(torch.ones(20, 4)).unique().tolist() == [0]


def test_the_number_of_clusters_grows_with_the_root_of_the_vectors_within_bounds() -> None:
    assert [choose_num_clusters(count) for count in (1, 8, 50, 100, 2500, 10**7)] == [1, 8, 8, 10, 50, 512]


def test_classes_are_numbered_in_the_order_of_their_keys() -> None:
    assert number_classes(torch.tensor([30, 10, 30, 20])).tolist() == [2, 0, 2, 1]
