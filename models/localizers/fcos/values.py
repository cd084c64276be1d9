"""Values of FCOS along time, with their validation rules."""

from typing import Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from models.contracts.roles import StreamReaderParams
from models.layers.graph import NeckParams, NoNeckParams
from models.localizers.fcos.pyramid import PointGrid


class FCOSValues(StreamReaderParams):
    """Values of FCOS along time."""

    num_cells: PositiveInt = 32
    num_levels: PositiveInt = 3  # of the pyramid; 1: only the cells
    reach_cells: PositiveFloat = 4.0  # from a point of the lowest level to the farther end of a moment; doubles per level
    hidden_dim: PositiveInt = 128
    num_layers: PositiveInt = 3
    kernel_size: int = Field(default=5, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    neck: NeckParams = NoNeckParams()  # over the cells, before the pyramid

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kernel_size % 2 == 0:
            raise ValueError(f"fcos needs an odd kernel_size, got {self.kernel_size}")
        PointGrid(self.num_cells, self.num_levels, reach=self.reach_cells)
        return self
