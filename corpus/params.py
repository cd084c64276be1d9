"""The base of every component's schema."""

from pydantic import BaseModel, ConfigDict


class Params(BaseModel):
    """Values of one component: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
