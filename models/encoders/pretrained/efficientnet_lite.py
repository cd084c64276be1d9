"""EfficientNet-Lite0, a picture classifier, and its published weights.

Letters: B pictures, V views of a picture, C channels, H = W = 224, K classes, D width of the pooled feature.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NUM_CLASSES, FEATURE_DIM, SIZE_PX = 1000, 1280, 224
_STEM_CHANNELS = 32
_EPSILON = 1e-3  # of every normalisation, as in the TPU code


class _Stage(NamedTuple):
    """Blocks of one resolution; the first one has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


class SameConvolution(nn.Conv2d):
    """A convolution with TensorFlow's padding "same": the output has ceil(size / stride), and an odd pixel goes last."""

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (B, C', ceil(H / stride), ceil(W / stride))."""
        pads: list[int] = []
        for axis in (1, 0):  # the last axis first, as `F.pad` takes them
            size, kernel, stride = int(pictures.shape[2 + axis]), self.kernel_size[axis], self.stride[axis]
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(pictures, pads))


class _ConvolutionNorm(nn.Sequential):
    """A convolution without bias and its normalisation, with ReLU6 unless the layer is linear."""

    def __init__(self, before: int, after: int, kernel: int, *, stride: int = 1, groups: int = 1, linear: bool = False) -> None:
        super().__init__()
        self.add_module("conv", SameConvolution(before, after, kernel, stride=stride, groups=groups, bias=False))
        self.add_module("norm", nn.BatchNorm2d(after, eps=_EPSILON))
        if not linear:
            self.add_module("activation", nn.ReLU6())


class _Block(nn.Sequential):
    """An inverted residual: expansion, depthwise convolution, projection. Source: MobileNetV2 (arXiv:1801.04381), fig. 4."""

    def __init__(self, before: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        width = before * stage.expansion
        if stage.expansion > 1:
            self.add_module("expand", _ConvolutionNorm(before, width, 1))
        self.add_module("depthwise", _ConvolutionNorm(width, width, stage.kernel, stride=stride, groups=width))
        self.add_module("project", _ConvolutionNorm(width, stage.channels, 1, linear=True))
        self.is_residual = stride == 1 and before == stage.channels

    def forward(self, pictures: Tensor) -> Tensor:
        found = pictures
        for layer in self:
            found = layer(found)
        return pictures + found if self.is_residual else found


class Classified(NamedTuple):
    """The outputs of the classifier for pictures."""

    logits: Tensor  # (B, K)
    features: Tensor  # (B, D), the pooled feature below the logits


class EfficientNetLite0(nn.Module):
    """The smallest EfficientNet-Lite: ReLU6, no squeeze and excitation, stem and head of fixed width.

    Source: Tan and Le 2019 (arXiv:1905.11946), table 1, with the changes of "lite" in the TPU repository's
    models/official/efficientnet/lite. Deviations: no dropout and no stochastic depth, because the network is never trained here.
    """

    def __init__(self) -> None:
        """Draw weights from torch's global generator."""
        super().__init__()
        self.stem = _ConvolutionNorm(3, _STEM_CHANNELS, 3, stride=2)
        blocks, before = [], _STEM_CHANNELS
        for stage in _STAGES:
            for number in range(stage.repeats):
                blocks.append(_Block(before, stage, stage.stride if number == 0 else 1))
                before = stage.channels
        self.blocks = nn.Sequential(*blocks)
        self.head = _ConvolutionNorm(before, FEATURE_DIM, 1)
        self.classifier = nn.Linear(FEATURE_DIM, NUM_CLASSES)

    def forward(self, pictures: Tensor) -> Classified:
        """Classify (B, 3, H, W) float32, levels as (level - 127) / 128."""
        features = self.head(self.blocks(self.stem(pictures))).mean(dim=(2, 3))
        return Classified(self.classifier(features), features)


class ViewClassifier(nn.Module):
    """Classifies pictures by the mean over their views."""

    def __init__(self, network: EfficientNetLite0) -> None:
        """Wrap a network, which must be in evaluation mode."""
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, views: Tensor) -> Classified:
        """Classify (B, V, H, W, 3) uint8."""
        levels = (views.flatten(0, 1).permute(0, 3, 1, 2).float() - 127.0) / 128.0  # (B * V, 3, H, W)
        logits, features = self.network(levels)
        num_views = views.shape[1]
        return Classified(*(one.unflatten(0, (-1, num_views)).mean(dim=1) for one in (logits, features)))


_RENAMED = (
    (r"^_conv_stem\.", "stem.conv."),
    (r"^_bn0\.", "stem.norm."),
    (r"^_conv_head\.", "head.conv."),
    (r"^_bn1\.", "head.norm."),
    (r"^_fc\.", "classifier."),
    (r"\._expand_conv\.", ".expand.conv."),
    (r"\._bn0\.", ".expand.norm."),
    (r"\._depthwise_conv\.", ".depthwise.conv."),
    (r"\._bn1\.", ".depthwise.norm."),
    (r"\._project_conv\.", ".project.conv."),
    (r"\._bn2\.", ".project.norm."),
    (r"^_blocks\.", "blocks."),
)


def rename_published(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of the package efficientnet-lite-pytorch under the names of `EfficientNetLite0`."""
    renamed = {}
    for name, weight in weights.items():
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)  # noqa: PLW2901 # one name after the other
        renamed[name] = weight
    return renamed


def load_published(weights: Mapping[str, Tensor]) -> EfficientNetLite0:
    """Return the network with published weights, in evaluation mode.

    Raises:
        ValueError: naming a weight that is missing, unknown or of another shape.
    """
    network, renamed = EfficientNetLite0(), rename_published(weights)
    expected = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    found = {name: tuple(weight.shape) for name, weight in renamed.items()}
    wrong = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    if wrong:
        there, here = found.get(wrong[0], "missing"), expected.get(wrong[0], "unknown")
        raise ValueError(
            f"the weights do not fit EfficientNet-Lite0: {len(wrong)} differ; {wrong[0]} is {there} there and {here} here"
        )
    network.load_state_dict(
        {name: weight.to(torch.get_default_dtype()) if weight.is_floating_point() else weight for name, weight in renamed.items()}
    )
    return network.eval()
