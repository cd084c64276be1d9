"""The registry of localizers: one line per localizer in `LocalizerParams`."""

from typing import Annotated

from pydantic import Field

from models.localizers.cal import CALParams
from models.localizers.cal_chamfer import CALChamferParams
from models.localizers.fcos import FCOSParams
from models.localizers.mcn_moment import MCNMomentParams
from models.localizers.moment_detr import MomentDETRParams
from models.localizers.moment_detr_qvhighlights import MomentDETRQVHighlightsParams
from models.localizers.ms_tan2d import MultiScaleTan2DParams
from models.localizers.ms_tan2d_activitynet_c3d import MultiScaleTan2DActivityNetC3DParams
from models.localizers.ms_tan2d_charades_i3d import MultiScaleTan2DCharadesI3DParams
from models.localizers.ms_tan2d_charades_vgg import MultiScaleTan2DCharadesVGGParams
from models.localizers.ms_tan2d_tacos_c3d import MultiScaleTan2DTacosC3DParams
from models.localizers.ms_tan2d_tacos_vgg import MultiScaleTan2DTacosVGGParams
from models.localizers.place_tan import PlaceTANParams
from models.localizers.tan2d import Tan2DParams
from models.localizers.tan2d_activitynet_conv import Tan2DActivityNetConvParams
from models.localizers.tan2d_activitynet_pool import Tan2DActivityNetPoolParams
from models.localizers.tan2d_charades_conv import Tan2DCharadesConvParams
from models.localizers.tan2d_charades_pool import Tan2DCharadesPoolParams
from models.localizers.tan2d_gcn import Tan2DGCNParams
from models.localizers.tan2d_tacos_conv import Tan2DTacosConvParams
from models.localizers.tan2d_tacos_pool import Tan2DTacosPoolParams

LocalizerParams = Annotated[
    CALParams
    | CALChamferParams
    | FCOSParams
    | MCNMomentParams
    | MomentDETRParams
    | MomentDETRQVHighlightsParams
    | MultiScaleTan2DParams
    | MultiScaleTan2DActivityNetC3DParams
    | MultiScaleTan2DCharadesI3DParams
    | MultiScaleTan2DCharadesVGGParams
    | MultiScaleTan2DTacosC3DParams
    | MultiScaleTan2DTacosVGGParams
    | PlaceTANParams
    | Tan2DParams
    | Tan2DActivityNetConvParams
    | Tan2DActivityNetPoolParams
    | Tan2DCharadesConvParams
    | Tan2DCharadesPoolParams
    | Tan2DGCNParams
    | Tan2DTacosConvParams
    | Tan2DTacosPoolParams,
    Field(discriminator="name"),
]
