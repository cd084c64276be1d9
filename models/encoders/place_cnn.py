"""A small convolutional encoder that keeps places: every clip becomes an 8 x 8 map of vectors.

Letters: B videos, T frames, N clips, K frames of a clip, H height, W width, P places, D width of a vector.
"""

from typing import Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from corpus.media import ClipSampling
from models.exchange.roles import VideoEncoder, VideoEncoderParams

_STRIDE = 8  # of the three convolutions together


class PlaceCNN(VideoEncoder):
    """Reads a clip as its centre frame and the differences of its other frames to it; one vector per 8 x 8 pixels.

    The differences carry motion, so the network needs no convolution over time. Source: own design, in the line of
    two-stream networks (Simonyan and Zisserman 2014, arXiv:1406.2199) with RGB differences in place of optical flow.
    """

    def __init__(self, params: "PlaceCNNParams") -> None:
        """Build the layers with weights from torch's global generator."""
        super().__init__()
        self.sampling = params.sampling
        self.pixel_mean, self.pixel_scale, self.difference_scale = params.pixel_mean, params.pixel_scale, params.difference_scale
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
        num_videos, _, height, width, _ = frames.shape
        images = self._build_images(frames.reshape(-1, self.num_frames, height, width, 3))
        maps = self.down(images)
        maps = self.project(maps + self.residual(maps))  # (B * N, D, H / 8, W / 8)
        places: Tensor = maps.flatten(2).transpose(1, 2)  # (B * N, P, D)
        return places.reshape(num_videos, -1, places.shape[1], places.shape[2])

    def _build_images(self, clips: Tensor) -> Tensor:
        pixels = clips.permute(0, 1, 4, 2, 3).to(self.project.weight.dtype)  # (B * N, K, 3, H, W)
        centre = pixels[:, self.centre]
        others = [pixels[:, frame] for frame in range(self.num_frames) if frame != self.centre]
        appearance = (centre - self.pixel_mean) / self.pixel_scale
        motion = [(other - centre) / self.difference_scale for other in others]
        return torch.cat([appearance, *motion], dim=1).contiguous(memory_format=torch.channels_last)  # (B * N, 3 * K, H, W)


def _build_block(inputs: int, outputs: int, *, stride: int, groups: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(groups, outputs), nn.ReLU())


class PlaceCNNParams(VideoEncoderParams):
    """Values of `PlaceCNN`. Offsets hold 0, the centre frame; frames are divisible into places of 8 px."""

    name: Literal["place_cnn"]
    sampling: ClipSampling
    channels: tuple[PositiveInt, PositiveInt, PositiveInt] = (32, 64, 96)
    dim: PositiveInt = 64
    norm_groups: PositiveInt = 8  # of group normalisation; divides every entry of `channels`
    pixel_mean: float = Field(default=127.5, ge=0, le=255)
    pixel_scale: PositiveFloat = 64.0  # pixels become (value - pixel_mean) / pixel_scale
    difference_scale: PositiveFloat = 64.0

    def model_post_init(self, _: object) -> None:
        """Refuse sampling and widths that do not fit the layers."""
        if 0.0 not in self.sampling.offsets_s:
            raise ValueError(f"place_cnn needs the offset 0.0 among sampling.offsets_s, got {self.sampling.offsets_s}")
        if self.sampling.size_px % _STRIDE:
            raise ValueError(f"place_cnn needs sampling.size_px divisible by {_STRIDE}, got {self.sampling.size_px}")
        if any(width % self.norm_groups for width in self.channels):
            raise ValueError(f"place_cnn needs channels divisible by norm_groups, got {self.channels} and {self.norm_groups}")

    def build(self) -> PlaceCNN:
        """Return an untrained encoder."""
        return PlaceCNN(self)
