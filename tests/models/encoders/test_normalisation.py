"""Pixel normalisation: by hand, with published constants, and with the unchanged bits of place_cnn."""

import numpy as np
import torch
import yaml

from corpus.media import ClipSampling, PicturePreparation
from models.encoders.video.base.normalisation import PixelNormalisation
from models.encoders.video.place_cnn import PlaceCNNParams
from pipeline.components.presets import preset_path


def test_levels_become_level_minus_mean_over_scale_per_channel() -> None:
    preparation = PicturePreparation(mean=(10.0, 20.0, 30.0), scale=(2.0, 4.0, 5.0))
    levels = torch.tensor([12.0, 12.0, 30.0])[None, :, None, None].expand(2, 3, 1, 4)
    expected = torch.tensor([1.0, -2.0, 0.0])[None, :, None, None].expand(2, 3, 1, 4)
    assert torch.equal(PixelNormalisation(preparation)(levels), expected)


def test_the_constants_of_imagenet_are_those_that_papers_apply_to_values_of_0_to_1() -> None:
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    preparation = PicturePreparation(mean=tuple(255 * mean), scale=tuple(255 * deviation))
    levels = np.random.default_rng(0).integers(0, 256, (3, 5, 5))
    expected = (levels / 255 - mean[:, None, None]) / deviation[:, None, None]
    found = PixelNormalisation(preparation)(torch.from_numpy(levels).float())
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_the_constants_are_not_weights() -> None:
    assert PixelNormalisation(PicturePreparation()).state_dict() == {}


def test_the_default_preset_gives_place_cnn_the_bits_that_it_has_always_had() -> None:
    params = PlaceCNNParams.model_validate(yaml.safe_load(preset_path("encoder", "place_cnn").read_text(encoding="utf-8")))
    encoder = params.build()
    frames = torch.randint(0, 256, (4, 5, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels = frames.permute(0, 1, 4, 2, 3).float()
    centre = pixels[:, 2]
    motion = [(pixels[:, frame] - centre) / 64.0 for frame in (0, 1, 3, 4)]
    assert torch.equal(encoder._build_images(frames), torch.cat([(centre - 127.5) / 64.0, *motion], dim=1))


def test_place_cnn_sees_another_mean() -> None:
    sampling = ClipSampling(clip_rate_hz=2.0, offsets_s=(0.0,), size_px=16)
    darker = sampling.model_copy(update={"preparation": PicturePreparation(mean=(0.0, 0.0, 0.0))})
    frames = torch.full((1, 1, 16, 16, 3), 200, dtype=torch.uint8)
    found = []
    for one in (sampling, darker):
        torch.manual_seed(0)
        found.append(PlaceCNNParams(name="place_cnn", sampling=one).build()(frames))
    assert not torch.allclose(*found)
