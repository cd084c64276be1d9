"""Tiles, their transforms, and the choice of a transform for a stack."""

import numpy as np
import pytest

from map_stacks import PUBLISHED, SHAPES
from models.localizers.tan2d.map_convolution.choice import Setting, choose_methods, list_methods
from models.localizers.tan2d.map_convolution.geometry import build_geometry
from models.localizers.tan2d.map_convolution.tiles import cover
from models.localizers.tan2d.map_convolution.transforms import build_transform


@pytest.mark.parametrize(
    ("shape", "reference", "boxes", "needed"),
    [(PUBLISHED[0], 7872, 4800, 3840), (PUBLISHED[1], 23424, 20864, 11824), (PUBLISHED[2], 161984, 148160, 74860)],
)
def test_the_published_stacks_need_few_of_the_cells_of_the_authors_canvases(
    shape: tuple, reference: int, boxes: int, needed: int
) -> None:
    num_cells, _, kernel, layers = shape
    geometry = build_geometry(*shape)
    assert sum((num_cells + (kernel - 1) * (layers - layer)) ** 2 for layer in range(1, layers + 1)) == reference
    assert sum(len(cells.needed) ** 2 for cells in geometry.sets[1:]) == boxes
    assert sum(len(cells.cells) for cells in geometry.sets[1:]) == needed


@pytest.mark.parametrize("tile_size", [2, 3, 6])
def test_every_needed_cell_lies_in_exactly_one_tile(tile_size: int) -> None:
    cells = build_geometry(*PUBLISHED[0]).sets[4].cells
    corners = cover(cells, tile_size)
    inside = (cells[:, None] >= corners[None]) & (cells[:, None] < corners[None] + tile_size)
    assert (inside.all(-1).sum(1) == 1).all()


@pytest.mark.parametrize("kernel_size", [3, 5, 9])
def test_transforms_give_the_convolution_of_a_tile(kernel_size: int) -> None:
    generator = np.random.default_rng(0)
    for method in list_methods(kernel_size):
        transform = build_transform(*method, kernel_size)
        kernel, tile = generator.normal(size=(kernel_size,) * 2), generator.normal(size=(method.input_size,) * 2)
        windows = np.lib.stride_tricks.sliding_window_view(tile, (kernel_size, kernel_size))
        found = transform.outputs @ ((transform.weights @ kernel.ravel()) * (transform.inputs @ tile.ravel()))
        np.testing.assert_allclose(found, (windows * kernel).sum((2, 3)).ravel(), atol=1e-11)


def test_transforms_have_the_products_of_folded_conjugates() -> None:
    sizes = [("circle", 6, 5, 46), ("circle", 8, 5, 88), ("circle", 10, 5, 142), ("fourier", 12, 5, 214), ("fourier", 16, 9, 382)]
    assert [build_transform(points, size, kernel).num_components for points, size, kernel, _ in sizes] == [
        row[-1] for row in sizes
    ]
    with pytest.raises(ValueError, match="an even number of inputs of at least 5, got 7"):
        build_transform("circle", 7, 5)


def test_the_choice_is_plain_for_little_work_and_tiles_for_the_published_shapes() -> None:
    tiny = Setting(batch=1, channels=8, training=False, cached=False)
    assert choose_methods(build_geometry(*SHAPES[0]), tiny) is None
    for shape in PUBLISHED:
        for batch in (1, 4, 32):
            assert choose_methods(build_geometry(*shape), Setting(batch, 512, training=True, cached=False)) is not None
