"""Schema of the parameters of ingestion."""

from pydantic import Field, NonNegativeInt

from corpus.params import Params


class IngestParams(Params):
    """Shares of held-out videos, and the share of quarantined videos above which the stage fails."""

    validation_share: float = Field(gt=0, lt=1)
    test_share: float = Field(gt=0, lt=1)
    gate_share: float = Field(0, ge=0, lt=1)
    max_quarantine_share: float = Field(ge=0, le=1)
    seed: NonNegativeInt
