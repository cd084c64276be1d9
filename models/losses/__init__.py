"""Registry of losses: one line per loss in `LossParams`."""

from typing import Annotated

from pydantic import Field

from models.losses.anchor_bce import AnchorBCEParams
from models.losses.angular import AngularParams
from models.losses.blackbox_map import BlackboxMAPParams
from models.losses.blackbox_recall import BlackboxRecallParams
from models.losses.cyclip import CyCLIPParams
from models.losses.fcos_centreness import FCOSCentrenessParams
from models.losses.fcos_foreground import FCOSForegroundParams
from models.losses.fcos_regression import FCOSRegressionParams
from models.losses.focal import FocalParams
from models.losses.hungarian_set import HungarianSetParams
from models.losses.info_nce import InfoNCEParams
from models.losses.inside_bce import InsideBCEParams
from models.losses.intra_inter_margin import IntraInterMarginParams
from models.losses.iou_bce import IoUBCEParams
from models.losses.magnet import MagnetParams
from models.losses.mil_nce import MILNCEParams
from models.losses.mil_nce_angular import MILNCEAngularParams
from models.losses.norm_l2 import NormL2Params
from models.losses.norm_target import NormTargetParams
from models.losses.pair_intra_inter_margin import PairIntraInterMarginParams
from models.losses.proxy_anchor import ProxyAnchorParams
from models.losses.proxy_nca import ProxyNCAParams
from models.losses.proxy_nca_pp import ProxyNCAPPParams
from models.losses.saliency_hinge import SaliencyHingeParams
from models.losses.scaled_iou_bce import ScaledIoUBCEParams
from models.losses.soft_triple import SoftTripleParams
from models.losses.span_softmax import SpanSoftmaxParams
from models.losses.triplet import TripletParams

LossParams = Annotated[
    AnchorBCEParams
    | AngularParams
    | BlackboxMAPParams
    | BlackboxRecallParams
    | CyCLIPParams
    | FCOSCentrenessParams
    | FCOSForegroundParams
    | FCOSRegressionParams
    | FocalParams
    | HungarianSetParams
    | InfoNCEParams
    | InsideBCEParams
    | IntraInterMarginParams
    | IoUBCEParams
    | MagnetParams
    | MILNCEParams
    | MILNCEAngularParams
    | NormL2Params
    | NormTargetParams
    | PairIntraInterMarginParams
    | ProxyAnchorParams
    | ProxyNCAParams
    | ProxyNCAPPParams
    | SaliencyHingeParams
    | ScaledIoUBCEParams
    | SoftTripleParams
    | SpanSoftmaxParams
    | TripletParams,
    Field(discriminator="name"),
]
