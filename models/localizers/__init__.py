"""The registry of localizers: one line per localizer in `LocalizerParams`."""

from typing import Annotated

from pydantic import Field

from models.localizers.place_tan import PlaceTANParams
from models.localizers.tan2d import TAN2DParams

LocalizerParams = Annotated[PlaceTANParams | TAN2DParams, Field(discriminator="name")]
