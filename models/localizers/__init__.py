"""The registry of localizers: one line per localizer in `LocalizerParams`."""

from typing import Annotated

from pydantic import Field

from models.localizers.place_tan import PlaceTANParams
from models.localizers.tan2d import Tan2DParams
from models.localizers.tan2d_activitynet_conv import Tan2DActivityNetConvParams
from models.localizers.tan2d_activitynet_pool import Tan2DActivityNetPoolParams
from models.localizers.tan2d_charades_conv import Tan2DCharadesConvParams
from models.localizers.tan2d_charades_pool import Tan2DCharadesPoolParams
from models.localizers.tan2d_tacos_conv import Tan2DTacosConvParams
from models.localizers.tan2d_tacos_pool import Tan2DTacosPoolParams

LocalizerParams = Annotated[
    PlaceTANParams
    | Tan2DParams
    | Tan2DActivityNetConvParams
    | Tan2DActivityNetPoolParams
    | Tan2DCharadesConvParams
    | Tan2DCharadesPoolParams
    | Tan2DTacosConvParams
    | Tan2DTacosPoolParams,
    Field(discriminator="name"),
]
