"""Small convolutional encoder that keeps places: an 8 x 8 map of vectors per clip.

Letters: B videos, T frames, N clips, K frames of a clip, H height, W width, P places, D width of a vector.
"""

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from corpus.media import ClipSampling
from models.contracts.roles import ClipStart, VideoEncoder, VideoEncoderParams
from models.encoders.pretrained.earlier import load_earlier_weights
from models.encoders.pretrained.hashes import FileHashes
from models.encoders.video.base.normalisation import PixelNormalisation

_STRIDE = 8  # of the three convolutions together


class PlaceCNN(VideoEncoder):
    """CNN on the centre frame of a clip and the differences of its other frames to it; one vector per 8 x 8 pixels.

    The differences carry motion, so the network needs no convolution over time. Source: own design, in the line of
    two-stream networks (Simonyan and Zisserman 2014, arXiv:1406.2199) with RGB differences in place of optical flow.
    """

    def __init__(self, params: "PlaceCNNParams") -> None:
        """Build the layers with weights from torch's global generator."""
        super().__init__()
        self.sampling = params.sampling
        self.normalise = PixelNormalisation(params.sampling.preparation)
        self.difference_scale = params.difference_scale
        self.num_frames = len(params.sampling.offsets_s)
        self.centre = params.sampling.offsets_s.index(0.0)
        first, second, third = params.channels
        self.down = nn.Sequential(
            _build_block(3 * self.num_frames, first, stride=2, groups=params.norm_groups),
            _build_block(first, second, stride=2, groups=params.norm_groups),
            _build_block(second, third, stride=2, groups=params.norm_groups),
        )
        self.residual = _build_block(third, third, stride=1, groups=params.norm_groups)
        self.project = nn.Conv2d(third, params.dim, kernel_size=1)

    def forward(self, frames: Tensor) -> Tensor:
        """Encode (B, T, H, W, 3) uint8 with T = N * K into (B, N, P, D) float32; P counts places row by row."""
        return self._encode_images(self._build_images(frames), num_videos=len(frames))

    def encode_visible(self, frames: Tensor, hidden: Tensor) -> Tensor:
        """Encode with hidden places, (B, N, P) bool, set to the mean level without motion in all frames of a clip."""
        images = self._build_images(frames)  # (B * N, 3 * K, H, W)
        rows, columns = images.shape[2] // _STRIDE, images.shape[3] // _STRIDE
        seen = ~hidden.reshape(-1, 1, rows, columns)
        seen = seen.repeat_interleave(_STRIDE, dim=2).repeat_interleave(_STRIDE, dim=3)  # (B * N, 1, H, W)
        return self._encode_images(images * seen, num_videos=len(frames))

    def _encode_images(self, images: Tensor, *, num_videos: int) -> Tensor:
        maps = self.down(images)
        maps = self.project(maps + self.residual(maps))  # (B * N, D, H / 8, W / 8)
        places: Tensor = maps.flatten(2).transpose(1, 2)  # (B * N, P, D)
        return places.reshape(num_videos, -1, places.shape[1], places.shape[2])

    def _build_images(self, frames: Tensor) -> Tensor:
        clips = frames.reshape(-1, self.num_frames, *frames.shape[2:])
        pixels = clips.permute(0, 1, 4, 2, 3).to(self.project.weight.dtype)  # (B * N, K, 3, H, W)
        centre = pixels[:, self.centre]
        others = [pixels[:, frame] for frame in range(self.num_frames) if frame != self.centre]
        appearance = self.normalise(centre)
        motion = [(other - centre) / self.difference_scale for other in others]
        return torch.cat([appearance, *motion], dim=1).contiguous(memory_format=torch.channels_last)  # (B * N, 3 * K, H, W)


def _build_block(inputs: int, outputs: int, *, stride: int, groups: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(groups, outputs), nn.ReLU())


class PlaceCNNParams(VideoEncoderParams):
    """Values of `PlaceCNN`. Offsets contain 0, the centre frame; the frame size is divisible into places of 8 px."""

    name: Literal["place_cnn"]
    sampling: ClipSampling
    channels: tuple[PositiveInt, PositiveInt, PositiveInt] = (32, 64, 96)
    dim: PositiveInt = 64
    norm_groups: PositiveInt = 8  # of group normalisation; divides every entry of `channels`
    difference_scale: PositiveFloat = 64.0  # divisor of level differences
    source: str | None = Field(default=None, min_length=1)  # a folder of earlier encoders with the initial weights; null: random
    weights_sha256: FileHashes | None = None  # of the source file; pretraining records it

    def model_post_init(self, _: object) -> None:
        """Refuse a sampling or widths that do not fit the layers."""
        if 0.0 not in self.sampling.offsets_s:
            raise ValueError(f"place_cnn needs the offset 0.0 among sampling.offsets_s, got {self.sampling.offsets_s}")
        if self.sampling.size_px % _STRIDE:
            raise ValueError(f"place_cnn needs sampling.size_px divisible by {_STRIDE}, got {self.sampling.size_px}")
        if any(width % self.norm_groups for width in self.channels):
            raise ValueError(f"place_cnn needs channels divisible by norm_groups, got {self.channels} and {self.norm_groups}")

    def build(self) -> PlaceCNN:
        """Return an encoder with random weights."""
        return PlaceCNN(self)

    def start(self) -> ClipStart:
        """Draw the weights, or load them from the source.

        Raises:
            FileNotFoundError: when the source holds no video encoder.
            ValueError: naming a weight of the source that does not fit, or a damaged or unexpected file.
        """
        if self.source is None:
            return super().start()
        encoder = self.build()
        hashes = load_earlier_weights(encoder, Path(self.source), stated=self.weights_sha256)
        return ClipStart(self.model_copy(update={"weights_sha256": hashes}), encoder)
