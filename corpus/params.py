"""Base of the schemas of all components."""

from pydantic import BaseModel, ConfigDict


class Params(BaseModel):
    """Values of one component: unknown keys are errors, and values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)
