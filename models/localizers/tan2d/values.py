"""Values of 2D-TAN, with their validation rules."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from models.contracts.roles import StreamReaderParams
from models.layers.candidate_map import plan_proposals
from models.layers.graph import NeckParams, NoNeckParams
from models.localizers.tan2d.map_convolution.choice import Speed


class Tan2DValues(StreamReaderParams):
    """Values of 2D-TAN. Published models are far larger: see `models.localizers.tan2d.official` and the presets."""

    num_cells: PositiveInt = 16  # clips T of its time axis
    clips_per_cell: PositiveInt = 1  # clips averaged into one cell of the map
    scale_layers: tuple[PositiveInt, ...] = ()  # number of moment lengths per scale; empty: every length
    proposals: Literal["pool", "conv"] = "pool"
    hidden_dim: PositiveInt = 64
    num_layers: PositiveInt = 2
    kernel_size: int = Field(default=5, ge=1)
    lstm_layers: PositiveInt = 1
    neck: NeckParams = NoNeckParams()  # over the cells, before the map
    map_convolution: Speed = "auto"  # CPU method: fast, with little memory, or plain

    @model_validator(mode="after")
    def _check_map(self) -> Self:
        if self.kernel_size % 2 == 0:
            raise ValueError(f"2D-TAN needs an odd kernel_size, got {self.kernel_size}")
        if self.num_cells % self.clips_per_cell:
            raise ValueError(
                f"2D-TAN averages whole cells: num_cells={self.num_cells} is not a multiple of "
                f"clips_per_cell={self.clips_per_cell}"
            )
        plan_proposals(self.num_cells // self.clips_per_cell, self.list_scale_layers())
        return self

    def list_scale_layers(self) -> tuple[int, ...]:
        """Return the number of moment lengths of each scale."""
        return self.scale_layers or (self.num_cells // self.clips_per_cell,)
