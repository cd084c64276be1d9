"""Registry of localizers: one line per localizer in `LocalizerParams`."""

from typing import Annotated

from pydantic import Field

from models.localizers.cal import CALParams
from models.localizers.cal_chamfer import CALChamferParams
from models.localizers.fcos.params import FCOSParams
from models.localizers.mcn_moment import MCNMomentParams
from models.localizers.moment_detr.params import MomentDETRParams
from models.localizers.ms_tan2d.params import MultiScaleTan2DParams
from models.localizers.place_tan import PlaceTANParams
from models.localizers.readouts.readout_max_subarray import MaxSubarrayParams
from models.localizers.readouts.readout_peak_width import PeakWidthParams
from models.localizers.readouts.readout_shots import ShotsParams
from models.localizers.readouts.readout_threshold_merge import ThresholdMergeParams
from models.localizers.readouts.readout_watershed import WatershedParams
from models.localizers.readouts.readout_window_contrast import WindowContrastParams
from models.localizers.tan2d.params import Tan2DParams

LocalizerParams = Annotated[
    CALParams
    | CALChamferParams
    | FCOSParams
    | MaxSubarrayParams
    | MCNMomentParams
    | MomentDETRParams
    | MultiScaleTan2DParams
    | PeakWidthParams
    | PlaceTANParams
    | ShotsParams
    | Tan2DParams
    | ThresholdMergeParams
    | WatershedParams
    | WindowContrastParams,
    Field(discriminator="name"),
]
