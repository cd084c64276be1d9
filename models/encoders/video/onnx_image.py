"""The picture tower of a published ONNX file, frozen.

Letters: B videos, T frames, N clips, K frames of a clip, H height, W width, D width of the space shared with sentences.
"""

from typing import Literal, Self

import numpy as np
from torch import Tensor

from models.contracts.roles import ClipStart, OnnxEncoder, VideoEncoder, VideoEncoderParams
from models.encoders.pretrained.onnx.composing import compose_pictures
from models.encoders.pretrained.onnx.files import PICTURE_FILE, OnnxSourceParams, measure_dim
from models.encoders.pretrained.onnx.graph import OnnxGraph
from models.encoders.pretrained.onnx.ports import PicturePorts, read_picture_ports
from models.encoders.pretrained.pictures import read_pictures, require_pictures
from models.encoders.pretrained.source import PICTURES
from models.encoders.video.base.normalisation import PixelNormalisation


class OnnxImage(VideoEncoder, OnnxEncoder):
    """Any network from pictures to vectors: one place per clip, the mean over the clip's frames.

    Source: own design; the mean over frames is "meanP" of CLIP4Clip (Luo et al. 2021, arXiv:2104.08860, section 3.3). The
    network runs under onnxruntime on the processor, also where torch runs elsewhere.
    """

    def __init__(self, graph: OnnxGraph, ports: PicturePorts, params: "OnnxImageParams") -> None:
        """Hold a network and what its inputs and outputs are called."""
        super().__init__()
        self.sampling = params.sampling
        self.num_frames = len(params.sampling.offsets_s)
        self.normalise = PixelNormalisation(params.sampling.preparation)
        self.graph, self.ports = graph, ports

    def forward(self, frames: Tensor) -> Tensor:
        """Encode (B, T, H, W, 3) uint8 with T = N * K into (B, N, 1, D) float32."""
        levels = frames.flatten(0, 1).permute(0, 3, 1, 2).to(self.normalise.mean.dtype)  # (B * T, 3, H, W)
        pixels = self.normalise(levels).cpu().numpy().astype(self.ports.kind)
        found: Tensor = self.graph({self.ports.pixels: pixels}, self.ports.output.name, one_by_one=self.ports.is_single)
        vectors = found[:, 0] if self.ports.output.is_first else found  # (B * T, D)
        return vectors.reshape(len(frames), -1, self.num_frames, vectors.shape[-1]).mean(dim=2, keepdim=True)

    def to_onnx(self) -> bytes:
        """Return the file of a bundle: `clips` (S, K, H, W, 3) uint8 -> `features` (S, 1, D)."""
        preparation = self.sampling.preparation
        return compose_pictures(
            self.graph.read(),
            self.ports,
            num_frames=self.num_frames,
            size_px=self.sampling.size_px,
            mean=preparation.mean,
            scale=preparation.scale,
        )

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: nothing here learns."""
        return super().train(False)


class OnnxImageParams(OnnxSourceParams, VideoEncoderParams):
    """Values of `OnnxImage`. Size and preparation of the sampling are compared with preprocessor_config.json."""

    name: Literal["onnx_image"]
    ports: PicturePorts | None = None  # of the network; pretraining records them

    def build(self) -> OnnxImage:
        """Return an encoder whose file waits to be loaded."""
        ports = self.require_ports()
        return OnnxImage(OnnxGraph(ports.num_bytes), ports, self)

    def require_ports(self) -> PicturePorts:
        """Return what the network takes and gives.

        Raises:
            ValueError: when it has not been read from the source.
        """
        if self.ports is None:
            raise ValueError(f"{self.source}: the network is not known before pretraining; run: dvc repro pretrain")
        return self.ports

    def start(self) -> ClipStart:
        """Load the network from the source.

        Raises:
            FileNotFoundError: when the source lacks a file.
            ValueError: when the network takes no pictures, or was trained on pictures that were prepared in another way.
        """
        require_pictures(read_pictures(self.find_file(PICTURES)), self.sampling)
        network = self.read_network(PICTURE_FILE)
        graph = network.load()
        ports = read_picture_ports(network.model, num_bytes=len(graph.file), file=str(network.path), output=self.output)
        size_px = self.sampling.size_px
        if ports.size_px not in (None, size_px):
            raise ValueError(f"{network.path} takes pictures of {ports.size_px} px; set sampling.size_px to it, got {size_px}")
        dim = measure_dim(graph, {ports.pixels: np.zeros((1, 3, size_px, size_px), ports.kind)}, ports.output.name)
        ports = ports.model_copy(update={"output": ports.output.model_copy(update={"dim": dim})})
        params = self.model_copy(update={"ports": ports, **self.record_source(network)})
        return ClipStart(params, OnnxImage(graph, ports, params))
