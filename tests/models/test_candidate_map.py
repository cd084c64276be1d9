"""Candidates of a moment map: cells, spans and proposal features."""

import pytest
import torch

from corpus.moments import build_dense_cells
from models.layers.candidate_map import CandidateGrid, list_candidates
from models.layers.proposals import ConvProposals, PoolProposals


def test_one_scale_of_every_length_is_the_dense_grid() -> None:
    assert list_candidates(7, (7,))[0].tolist() == build_dense_cells(7).tolist()


@pytest.mark.parametrize(("num_cells", "scale_layers"), [(6, (6,)), (16, (8,)), (64, (16, 8, 8)), (9, (16,))])
def test_a_pooled_proposal_is_the_maximum_over_its_cells(num_cells: int, scale_layers: tuple[int, ...]) -> None:
    cells = torch.randn(2, 3, num_cells, generator=torch.Generator().manual_seed(0))
    found = PoolProposals(scale_layers)(cells)
    for index, (first, last) in enumerate(list_candidates(num_cells, scale_layers)[0].tolist()):
        assert torch.equal(found[:, index], cells[:, :, first : last + 1].amax(-1))


def test_a_convolved_proposal_sees_its_cells_and_no_others() -> None:
    torch.manual_seed(0)
    proposals = ConvProposals((16, 8, 8), hidden_dim=2)
    with torch.no_grad():
        for name, parameter in proposals.named_parameters():
            parameter.fill_(1.0 if name.endswith("weight") else 0.0)  # counts the paths from a cell to a proposal
    cells = torch.eye(64).reshape(64, 1, 64).expand(64, 2, 64)  # row i is one-hot at cell i
    seen = proposals(cells)[..., 0] > 0  # (64, M)
    for index, (first, last) in enumerate(list_candidates(64, (16, 8, 8))[0].tolist()):
        assert seen[:, index].nonzero()[:, 0].tolist() == list(range(first, last + 1))


def test_a_map_whose_scales_do_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a map of 63 cells cannot have scale_layers=\(16, 8, 8\): layer 0 of scale 1"):
        list_candidates(63, (16, 8, 8))


def test_convolved_proposals_refuse_a_video_that_is_too_short() -> None:
    with pytest.raises(ValueError, match="layer 4 of scale 0 has a kernel of 2 and 1 inputs; use more clips or max pooling"):
        ConvProposals((16,), hidden_dim=2)(torch.zeros(1, 2, 4))


def test_spans_follow_from_clips_per_cell_and_end_with_the_video() -> None:
    grid = CandidateGrid(4, (4,), clips_per_cell=2)
    mask = torch.tensor([[True] * 8, [True] * 5 + [False] * 3])
    spans, valid = grid.compute_spans(mask, torch.tensor([16.0, 10.0])), grid.find_valid(mask)
    cells = list_candidates(4, (4,))[0].tolist()
    assert spans[0].tolist() == [[first * 4.0, (last + 1) * 4.0] for first, last in cells]
    assert [cell for cell, inside in zip(cells, valid[1].tolist(), strict=True) if inside] == [
        [0, 0], [0, 1], [0, 2], [1, 1], [1, 2], [2, 2],
    ]  # fmt: skip
    assert spans[1, cells.index([1, 2])].tolist() == [4.0, 10.0]
    assert spans[1][valid[1]].max().item() == 10.0
