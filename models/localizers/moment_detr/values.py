"""Values of Moment-DETR, with their validation rules."""

from typing import Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from models.contracts.roles import StreamReaderParams


class MomentDETRValues(StreamReaderParams):
    """Values of Moment-DETR; a preset holds the published configuration."""

    num_cells: PositiveInt = 32
    num_queries: PositiveInt = 10
    num_layers: PositiveInt = 2  # of the encoder, and of the decoder
    hidden_dim: PositiveInt = Field(default=64, multiple_of=2)
    feedforward_dim: PositiveInt = 256
    num_heads: PositiveInt = 4
    dropout: float = Field(default=0.1, ge=0, lt=1)  # in the transformer
    input_dropout: float = Field(default=0.1, ge=0, lt=1)  # before each layer of the projections
    align_dim: NonNegativeInt = 0  # width E of the vectors of queries and words; 0: none

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        if self.hidden_dim % self.num_heads:
            raise ValueError(
                f"moment_detr needs hidden_dim to be a multiple of num_heads, got {self.hidden_dim}, {self.num_heads}"
            )
        return self
