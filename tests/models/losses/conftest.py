"""What tests of losses share: candidates of three rows, and rows of labelled embeddings."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.exchange.batches import LossDims
from models.losses.labelled import LabelledRows

RowMaker = Callable[..., LabelledRows]


@pytest.fixture
def make_rows() -> RowMaker:
    """Return a maker of rows from vectors and classes; each vector is of a row and a sentence of its own."""

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
    """Return the widths for `vectors` in 4 classes of any kind."""
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
    """Return which of those candidates are valid."""
    return torch.rand(3, 10, generator=torch.Generator().manual_seed(3)) > 0.3
