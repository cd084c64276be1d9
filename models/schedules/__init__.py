"""Registry of learning-rate schedules: one line per schedule in `ScheduleParams`."""

from typing import Annotated

from pydantic import Field

from models.schedules.constant import ConstantParams
from models.schedules.cosine import CosineParams
from models.schedules.plateau import PlateauParams
from models.schedules.step import StepParams

ScheduleParams = Annotated[ConstantParams | CosineParams | PlateauParams | StepParams, Field(discriminator="name")]
