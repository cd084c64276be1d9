"""Registry of optimizers: one line per optimizer in `OptimizerParams`."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from models.optimizers.adamw import AdamWParams
from models.optimizers.base import name_default
from models.optimizers.sgd import SGDParams
from models.optimizers.sps import SPSParams

OptimizerParams = Annotated[AdamWParams | SGDParams | SPSParams, Field(discriminator="name"), BeforeValidator(name_default)]
