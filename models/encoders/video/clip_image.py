"""The picture tower of CLIP or SigLIP, frozen.

Letters: B videos, T frames, N clips, K frames of a clip, H height, W width, D width of the space that pictures share with text.
"""

from typing import Any, Literal, Self

from torch import Tensor, nn

from models.contracts.roles import ClipStart, VideoEncoder, VideoEncoderParams
from models.encoders.pretrained.model_files import TowerParams
from models.encoders.pretrained.pictures import require_pictures
from models.encoders.pretrained.towers import build_tower, embed_pictures
from models.encoders.video.base.normalisation import PixelNormalisation


class CLIPImage(VideoEncoder):
    """The picture tower of CLIP or SigLIP in its shared space with text: one place per clip, the mean over its frames.

    Source: Radford et al. 2021 (arXiv:2103.00020), section 2.4; Zhai et al. 2023 (arXiv:2303.15343), section 3. The mean over
    frames is "meanP" of CLIP4Clip (Luo et al. 2021, arXiv:2104.08860, section 3.3). Deviation: vectors are not normalised, as
    those of `clip_text` are not.
    """

    def __init__(self, network: nn.Module, params: "CLIPImageParams") -> None:
        """Freeze a picture tower of `transformers`."""
        super().__init__()
        self.sampling = params.sampling
        self.num_frames = len(params.sampling.offsets_s)
        self.normalise = PixelNormalisation(params.sampling.preparation)
        self.frozen: Any = network.eval().requires_grad_(False)

    def forward(self, frames: Tensor) -> Tensor:
        """Encode (B, T, H, W, 3) uint8 with T = N * K into (B, N, 1, D) float32."""
        levels = frames.flatten(0, 1).permute(0, 3, 1, 2).to(self.normalise.mean.dtype)  # (B * T, 3, H, W)
        vectors = embed_pictures(self.frozen, self.normalise(levels))  # (B * T, D)
        clips: Tensor = vectors.reshape(len(frames), -1, self.num_frames, vectors.shape[-1]).mean(dim=2, keepdim=True)
        return clips

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, because nothing here learns."""
        return super().train(False)


class CLIPImageParams(TowerParams, VideoEncoderParams):
    """Values of `CLIPImage`. Size and preparation of the sampling are compared with the model's files."""

    name: Literal["clip_image"]

    def build(self) -> CLIPImage:
        """Return an encoder whose weights wait to be loaded."""
        return CLIPImage(build_tower(self.require_architecture()), self)

    def start(self) -> ClipStart:
        """Load the picture tower from the source: a whole model, or its picture tower alone.

        Raises:
            FileNotFoundError: when the source lacks a file.
            ValueError: when the weights do not fit, or the network was trained with another picture preparation.
        """
        files = self.find_files(reads_pictures=True)
        require_pictures(files.read_pictures(), self.sampling)
        architecture = files.read_tower("vision")
        if architecture["image_size"] != self.sampling.size_px:
            raise ValueError(
                f"{files.folder} reads pictures of {architecture['image_size']} px, set sampling.size_px to it; "
                f"got {self.sampling.size_px}"
            )
        params = self.record(files.folder, architecture, files.list_weights())
        return ClipStart(params, CLIPImage(files.load_tower("vision"), params))
