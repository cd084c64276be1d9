"""EfficientNet-Lite0: shapes and size of the published network, its padding, its weights' names, and views."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from models.encoders.pretrained.efficientnet_lite import (
    EfficientNetLite0,
    SameConvolution,
    ViewClassifier,
    load_published,
    rename_published,
)
from tiny_class_pair import publish_weights


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    torch.manual_seed(0)
    return EfficientNetLite0().eval()


def test_the_network_has_the_published_number_of_weights(network: EfficientNetLite0) -> None:
    assert sum(weight.numel() for weight in network.parameters()) == 4_652_008  # "4.7 M" of the TPU repository's table


@torch.no_grad()
def test_a_picture_gives_logits_and_the_feature_below_them(network: EfficientNetLite0) -> None:
    logits, features = network(torch.randn(2, 3, 224, 224))
    assert logits.shape == (2, 1000)
    assert features.shape == (2, 1280)
    assert torch.allclose(network.classifier(features), logits)


@pytest.mark.parametrize(("size", "kernel", "stride"), [(224, 3, 2), (112, 5, 2), (7, 3, 2), (8, 5, 1), (9, 3, 1), (9, 5, 2)])
def test_the_padding_is_that_of_tensorflow(size: int, kernel: int, stride: int) -> None:
    convolution = SameConvolution(1, 1, kernel, stride=stride, bias=False).double()
    picture = torch.randn(1, 1, size, size, dtype=torch.float64)
    out = -(-size // stride)
    expected = torch.zeros(out, out, dtype=torch.float64)
    before = max((out - 1) * stride + kernel - size, 0) // 2  # the smaller half goes first
    for row in range(out):
        for column in range(out):
            for i in range(kernel):
                for j in range(kernel):
                    y, x = row * stride + i - before, column * stride + j - before
                    if 0 <= y < size and 0 <= x < size and row < 9 and column < 9:
                        expected[row, column] += convolution.weight[0, 0, i, j].detach() * picture[0, 0, y, x]
    found = convolution(picture)[0, 0]
    assert found.shape == (out, out)
    assert torch.allclose(found[:9, :9], expected[:9, :9])


@torch.no_grad()
def test_published_names_reach_every_weight(network: EfficientNetLite0) -> None:
    published = publish_weights(network)
    assert "_blocks.1._expand_conv.weight" in published
    assert "_blocks.0._bn1.running_mean" in published
    assert set(rename_published(published)) == set(network.state_dict())
    loaded = load_published(published)
    picture = torch.randn(1, 3, 224, 224)
    assert torch.equal(loaded(picture).logits, network(picture).logits)
    assert not loaded.training


def test_weights_that_do_not_fit_are_named(network: EfficientNetLite0) -> None:
    published = publish_weights(network)
    published["_fc.weight"] = torch.zeros(10, 1280)
    with pytest.raises(ValueError, match=r"classifier\.weight is \(10, 1280\) there and \(1000, 1280\) here"):
        load_published(published)


@torch.no_grad()
def test_views_are_averaged_and_levels_are_shifted_by_127(network: EfficientNetLite0) -> None:
    views = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 2, 224, 224, 3), dtype=np.uint8))
    found = ViewClassifier(network)(views)
    levels = (views.permute(0, 1, 4, 2, 3).double().float() - 127) / 128
    one_by_one = torch.stack([network(levels[:, view]).logits for view in range(2)])
    assert torch.allclose(found.logits, one_by_one.mean(dim=0), atol=1e-5)
    assert found.features.shape == (2, 1280)


@torch.no_grad()
def test_the_first_block_is_a_depthwise_convolution_alone(network: EfficientNetLite0) -> None:
    stem = torch.randn(1, 32, 8, 8)
    block = network.blocks[0]
    own = block.depthwise.activation(block.depthwise.norm(F.conv2d(stem, block.depthwise.conv.weight, padding=1, groups=32)))
    assert torch.allclose(block(stem), block.project.norm(F.conv2d(own, block.project.conv.weight)), atol=1e-6)
