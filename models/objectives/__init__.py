"""Registry of pretraining objectives: one line per objective in `ObjectiveParams`."""

from typing import Annotated

from pydantic import Field

from models.objectives.mil_nce import MILNCEParams
from models.objectives.none import NoneParams
from models.objectives.vicreg import VICRegParams

ObjectiveParams = Annotated[MILNCEParams | VICRegParams | NoneParams, Field(discriminator="name")]
