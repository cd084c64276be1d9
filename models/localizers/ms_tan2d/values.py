"""Values of MS-2D-TAN, with their validation rules."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from models.contracts.roles import StreamReaderParams
from models.localizers.ms_tan2d.multiscale_map import plan_scales


class MultiScaleTan2DValues(StreamReaderParams):
    """Values of MS-2D-TAN; presets hold the published configurations."""

    num_cells: PositiveInt = 32  # clips T of its time axis
    clips_per_cell: PositiveInt = 1  # clips averaged into one cell of the finest map
    num_scales: PositiveInt = 3
    num_lengths: PositiveInt = 8  # of moments per scale, in units of the scale
    proposals: Literal["conv", "pool"] = "conv"
    hidden_dim: PositiveInt = Field(default=64, multiple_of=2)
    num_layers: PositiveInt = 2
    kernel_size: int = Field(default=5, ge=1)
    lstm_layers: PositiveInt = 1

    @model_validator(mode="after")
    def _check_map(self) -> Self:
        if self.kernel_size % 2 == 0:
            raise ValueError(f"MS-2D-TAN needs an odd kernel_size, got {self.kernel_size}")
        if self.num_cells % self.clips_per_cell:
            raise ValueError(
                f"MS-2D-TAN averages whole cells: num_cells={self.num_cells} is not a multiple of "
                f"clips_per_cell={self.clips_per_cell}"
            )
        plan_scales(self.num_cells // self.clips_per_cell, self.num_lengths, self.num_scales)
        return self
