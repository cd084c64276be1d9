"""The graph neck, and 2D-TAN with and without it."""

import pytest
import torch
from streams import as_video, video_dims

from models.contracts.batches import TextFeatures
from models.layers.graph import GraphNeckParams, Normalisation, join_in_time, join_nearest, normalise_adjacency
from models.localizers.tan2d import Tan2DParams
from models.localizers.tan2d.network import Tan2D

DIMS = video_dims(dim=6, num_places=3, text_dim=5)
INSIDE = torch.ones(2, 7, dtype=torch.bool)


def draw_cells() -> torch.Tensor:
    return torch.randn(2, 7, 4, generator=torch.Generator().manual_seed(0))


def test_without_edges_a_layer_is_a_perceptron_of_each_cell() -> None:
    torch.manual_seed(0)
    layer = GraphNeckParams(name="gcn", num_layers=1).build(4).layers[0]
    cells = draw_cells()
    alone = normalise_adjacency(torch.zeros(2, 7, 7), "symmetric")
    torch.testing.assert_close(layer(cells, alone), cells + torch.relu(layer.linear(layer.norm(cells))))


@pytest.mark.parametrize("normalisation", ["symmetric", "row"])
def test_the_adjacency_is_normalised_as_in_a_loop(normalisation: Normalisation) -> None:
    edges = torch.tensor([[[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]])
    degree = [2.0, 3.0, 2.0]
    expected = torch.zeros(1, 3, 3)
    for row in range(3):
        for column in range(3):
            joined = 1.0 if row == column else edges[0, row, column].item()
            scale = degree[row] if normalisation == "row" else (degree[row] * degree[column]) ** 0.5
            expected[0, row, column] = joined / scale
    torch.testing.assert_close(normalise_adjacency(edges, normalisation), expected)


def test_similarity_joins_cells_of_one_direction_and_any_length() -> None:
    cells = torch.tensor([[[1.0, 0], [0, 1], [5, 0.1], [0, 3.0]]])
    edges = join_nearest(cells, torch.ones(1, 4, dtype=torch.bool), 1)[0]
    assert edges.nonzero().tolist() == [[0, 2], [1, 3], [2, 0], [3, 1]]


def test_similarity_does_not_care_for_the_order_of_cells() -> None:
    cells, order = draw_cells(), torch.tensor([3, 0, 6, 1, 5, 2, 4])
    edges = join_nearest(cells, INSIDE, 2)
    assert torch.equal(join_nearest(cells[:, order], INSIDE, 2), edges[:, order][:, :, order])
    layer = GraphNeckParams(name="gcn", num_layers=1).build(4).layers[0]
    moved = layer(cells[:, order], normalise_adjacency(edges[:, order][:, :, order].float(), "symmetric"))
    torch.testing.assert_close(moved, layer(cells, normalise_adjacency(edges.float(), "symmetric"))[:, order])


def test_constant_cells_stay_constant_where_rows_sum_to_one() -> None:
    torch.manual_seed(0)
    neck = GraphNeckParams(name="gcn", normalisation="row").build(4)
    found = neck(draw_cells()[:, :1].expand(-1, 7, -1), INSIDE)
    torch.testing.assert_close(found, found[:, :1].expand(-1, 7, -1))


def test_cells_outside_the_video_are_joined_to_none() -> None:
    torch.manual_seed(0)
    neck, mask = GraphNeckParams(name="gcn").build(4), INSIDE.clone()
    mask[:, 5:] = False
    cells = draw_cells()
    loud = torch.cat([cells[:, :5], 100 * cells[:, 5:]], dim=1)
    assert not (join_in_time(mask) | join_nearest(cells, mask, 4))[:, 5:].any()
    torch.testing.assert_close(neck(loud, mask), neck(cells, mask))
    torch.testing.assert_close(neck(cells, mask)[:, :5], neck(cells[:, :5], mask[:, :5]))
    assert (neck(loud, mask)[:, 5:] == 0).all()


def test_more_neighbours_than_cells_join_them_all() -> None:
    edges = join_nearest(draw_cells(), INSIDE, 100)[0]
    assert torch.equal(edges, ~torch.eye(7, dtype=torch.bool))


def build(params: Tan2DParams) -> Tan2D:
    torch.manual_seed(0)
    return params.build(DIMS).eval()


def test_without_a_neck_2d_tan_has_the_weights_it_would_have() -> None:
    """The neck is built last, so all other random weights stay the same."""
    plain = build(Tan2DParams(name="tan2d", hidden_dim=8))
    joined = build(Tan2DParams(name="tan2d", hidden_dim=8, neck=GraphNeckParams(name="gcn")))
    assert not [name for name in plain.state_dict() if name.startswith("neck")]
    assert [name for name in joined.state_dict() if not name.startswith("neck")] == list(plain.state_dict())
    assert all(torch.equal(tensor, joined.state_dict()[name]) for name, tensor in plain.state_dict().items())


def test_a_neck_that_adds_nothing_leaves_the_scores_of_2d_tan_as_they_are() -> None:
    plain = build(Tan2DParams(name="tan2d", hidden_dim=8))
    joined = build(Tan2DParams(name="tan2d", hidden_dim=8, neck=GraphNeckParams(name="gcn")))
    assert joined.neck is not None
    tokens = torch.randn(2, 4, 5)
    text = TextFeatures(tokens, torch.ones(2, 4, dtype=torch.bool), tokens.sum(1))
    mask = torch.arange(16)[None] < torch.tensor([[16], [9]])
    video = as_video(torch.randn(2, 16, 3, 6), mask, torch.tensor([8.0, 4.0]))
    assert not torch.equal(joined(video, text).scores, plain(video, text).scores)
    for layer in joined.neck.layers:
        torch.nn.init.zeros_(layer.linear.weight)
        torch.nn.init.zeros_(layer.linear.bias)
    assert torch.equal(joined(video, text).scores, plain(video, text).scores)
