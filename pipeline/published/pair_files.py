"""Conversion of a zero-shot pair to the two ONNX files that the pipeline reads: both towers in the space of the classes.

A picture becomes its logits, a sentence the weights of its classes (`search.class_names.recipe`); the score is their product.
Letters: B pictures or sentences, H = W, L tokens, K classes, E width of a sentence.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from corpus.files import write_bytes
from corpus.media.pictures.views import ViewSampling
from corpus.text import PADDING
from models.artefacts.exporting.networks import OnnxNetwork
from models.contracts.roles import TextEncoder
from models.encoders.pretrained.efficientnet_lite import EfficientNetLite0
from search.class_names.recipe import NUM_CLASSES, POWER

FOLDER = "pair"
_PICTURES, _SENTENCES, _PREPARATION = "vision_model.onnx", "text_model.onnx", "preprocessor_config.json"
_LEVELS, _MEAN, _SCALE, _BICUBIC = 255, 127, 128, 3
CASE_SENTENCES = (  # of different lengths
    "a dog",
    "two people cross a street in the rain",
    "a red double-decker bus turns at the traffic lights of the old town",
)

Cases = Sequence[Mapping[str, Tensor]]
Check = Callable[[OnnxNetwork, Path, Cases], float]  # returns the largest difference of an exported network from torch


def write_pictures(classifier: EfficientNetLite0, sampling: ViewSampling, folder: Path, *, check: Check) -> None:
    """Write the network from prepared pictures (B, 3, H, W) to logits (B, K), and the picture preparation.

    Raises:
        ValueError: when it differs from torch too much.
    """
    size_px, generator = sampling.size_px, torch.Generator().manual_seed(0)
    cases = [{"pixel_values": torch.rand(count, 3, size_px, size_px, generator=generator) * 2 - 1} for count in (1, 2)]
    network = OnnxNetwork("pair_pictures", _Logits(classifier), {"pixel_values": ("batch",)}, ("image_embeds",))
    export(network, folder / _PICTURES, cases, check)
    size = {"height": size_px, "width": size_px}
    values = {"size": size, "resample": _BICUBIC, "image_mean": [_MEAN / _LEVELS] * 3, "image_std": [_SCALE / _LEVELS] * 3}
    write_bytes(folder / _PREPARATION, json.dumps(values | {"do_center_crop": False}, indent=2).encode())


def write_sentences(
    encoder: TextEncoder, names: NDArray[np.float32], ids: NDArray[np.int64], folder: Path, *, check: Check
) -> None:
    """Write the network from token ids (B, L), counted from 0, to the weights of the classes (B, K); `names` are (K, E).

    `ids` are the ids of some sentences from the tokenizer here, in which 0 is padding.

    Raises:
        ValueError: when it differs from torch too much.
    """
    rows = torch.from_numpy(ids)
    mask = (rows != PADDING).long()
    case = {"input_ids": (rows - 1).clamp_min(0), "attention_mask": mask}
    axes = ("batch", "words")
    network = OnnxNetwork(
        "pair_sentences", _ClassWeights(encoder, torch.from_numpy(names)), dict.fromkeys(case, axes), ("text_embeds",)
    )
    export(network, folder / _SENTENCES, [case], check)


def export(network: OnnxNetwork, path: Path, cases: Cases, check: Check) -> float:
    """Write the ONNX file of a network, and return its largest difference from torch. The last case is the largest.

    Raises:
        ValueError: when it differs from torch too much.
    """
    write_bytes(path, network.export(cases[-1]))
    return check(network, path, cases)


class _Logits(nn.Module):
    """The logits alone."""

    def __init__(self, classifier: EfficientNetLite0) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, pixel_values: Tensor) -> tuple[Tensor]:
        return (self.classifier(pixel_values).logits,)


class _ClassWeights(nn.Module):
    """The weights of all classes for a sentence, like `search.class_names.recipe.weigh_classes`."""

    def __init__(self, encoder: TextEncoder, names: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("names", names)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor]:
        token_ids = (input_ids + 1) * attention_mask  # 0 is padding
        sentences = self.encoder(token_ids).pooled  # (B, E)
        similarities = (sentences @ self.get_buffer("names").T).clamp_min(0)  # (B, K)
        least = similarities.topk(NUM_CLASSES, dim=-1).values[:, -1:]
        kept = torch.where(similarities >= least, similarities, torch.zeros_like(similarities))
        powers = (kept / kept.amax(dim=-1, keepdim=True).clamp_min(1e-12)) ** POWER
        return (powers / powers.sum(dim=-1, keepdim=True).clamp_min(1e-12),)
