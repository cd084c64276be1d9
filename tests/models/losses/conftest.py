"""Fixtures of losses: candidates of three rows, and rows of labelled embeddings."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.contracts.batches import LossDims
from models.losses.labelled import LabelledRows

RowMaker = Callable[..., LabelledRows]


@pytest.fixture
def make_rows() -> RowMaker:
    """Return a maker of rows from vectors and classes; each vector has its own row and sentence."""

    def make(vectors: Tensor, classes: list[int]) -> LabelledRows:
        numbers = torch.arange(len(classes))
        return LabelledRows(vectors, torch.tensor(classes), numbers, numbers)

    return make


@pytest.fixture
def vectors() -> Tensor:
    """Return 8 vectors of width 6."""
    return torch.randn(8, 6, generator=torch.Generator().manual_seed(4))


@pytest.fixture
def dims() -> LossDims:
    """Return the sizes for `vectors` in 4 classes of each kind."""
    return LossDims(6, {"pair": 4, "verb": 4, "query_cluster": 4, "video": 4})


@pytest.fixture
def scores() -> Tensor:
    """Return scores of 10 candidates of 3 rows."""
    return torch.randn(3, 10, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def iou() -> Tensor:
    """Return the IoU of those candidates."""
    return torch.rand(3, 10, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def valid() -> Tensor:
    """Return the mask of valid candidates."""
    return torch.rand(3, 10, generator=torch.Generator().manual_seed(3)) > 0.3
