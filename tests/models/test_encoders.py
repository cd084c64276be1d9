"""Contract of every stream encoder, and errors of `place_cnn`."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from corpus.media import ClipSampling, SoundSampling
from models.contracts.roles import ClipEncoder, ClipEncoderParams, SoundEncoderParams, VideoEncoder
from models.encoders import EncoderParams
from models.encoders.video.place_cnn import PlaceCNNParams
from registered import DOWNLOADED, list_members, name_of

SAMPLING = ClipSampling(clip_rate_hz=2.0, offsets_s=(-0.6, -0.2, 0.0, 0.2, 0.6), size_px=64)
SOUND = SoundSampling(clip_rate_hz=2.0, window_s=0.5, rate_hz=16000)
MEMBERS = [member for member in list_members(EncoderParams) if name_of(member) not in DOWNLOADED]


def hears(member: type[ClipEncoderParams]) -> bool:
    return issubclass(member, SoundEncoderParams)


def build(member: type[ClipEncoderParams]) -> ClipEncoder:
    torch.manual_seed(0)
    sampling = SOUND if hears(member) else SAMPLING
    return member.model_validate({"name": name_of(member), "sampling": sampling.model_dump()}).build().eval()


def draw_frames(num_videos: int, num_clips: int) -> torch.Tensor:
    shape = (num_videos, num_clips * len(SAMPLING.offsets_s), SAMPLING.size_px, SAMPLING.size_px, 3)
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8))


def draw_clips(member: type[ClipEncoderParams], num_clips: int) -> torch.Tensor:
    """Return the input of an encoder for this many clips of one video."""
    if hears(member):
        samples = np.random.default_rng(0).uniform(-1, 1, size=(num_clips, SOUND.num_samples))
        return torch.from_numpy(samples.astype(np.float32))
    return draw_frames(1, num_clips)


def encode(member: type[ClipEncoderParams], clips: torch.Tensor) -> torch.Tensor:
    """Return the features (S, P, D)."""
    features: Any = build(member)(clips)
    return features if hears(member) else features[0]


@pytest.mark.parametrize("member", MEMBERS)
def test_every_encoder_turns_clips_into_one_row_of_places_each(member: type[ClipEncoderParams]) -> None:
    features = encode(member, draw_clips(member, 3))
    assert len(features) == 3
    assert features.ndim == 3
    assert features.dtype == torch.float32


@pytest.mark.parametrize("member", [member for member in MEMBERS if not hears(member)])
def test_encoders_of_pictures_take_several_videos(member: type[ClipEncoderParams]) -> None:
    frames = draw_frames(2, 3)
    both, second = build(member)(frames), build(member)(frames[1:])
    assert both.shape[:2] == (2, 3)
    torch.testing.assert_close(both[1:], second, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("member", MEMBERS)
def test_the_features_of_a_clip_do_not_depend_on_the_other_clips(member: type[ClipEncoderParams]) -> None:
    clips = draw_clips(member, 4)
    alone = encode(member, clips[2:3] if hears(member) else clips[:, 10:15])
    torch.testing.assert_close(encode(member, clips)[2:3], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("member", MEMBERS)
def test_the_same_seed_builds_the_same_encoder(member: type[ClipEncoderParams]) -> None:
    first, second = build(member).state_dict(), build(member).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("member", MEMBERS)
def test_every_weight_of_an_encoder_gets_a_finite_gradient(member: type[ClipEncoderParams]) -> None:
    encoder = build(member)
    if not list(encoder.parameters()):
        pytest.skip("its weights are fixed")
    encoder(draw_clips(member, 2)).square().mean().backward()
    for name, weight in encoder.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name


@pytest.mark.slow
@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.filterwarnings("ignore::FutureWarning")  # from torch's exporter, about its own tree types
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_encoder_exports_to_onnx_for_any_number_of_clips(member: type[ClipEncoderParams], tmp_path: Path) -> None:
    encoder = build(member)
    num_clips = torch.export.Dim("num_clips", min=1, max=4096)
    torch.onnx.export(
        encoder,
        (draw_clips(member, 3),),
        str(tmp_path / "encoder.onnx"),
        input_names=["clips"],
        dynamic_shapes=({0: num_clips} if hears(member) else {1: len(SAMPLING.offsets_s) * num_clips},),
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(tmp_path / "encoder.onnx")
    for number in (1, 7):
        clips = draw_clips(member, number)
        found = session.run(None, {"clips": clips.numpy()})[0]
        np.testing.assert_allclose(found, encoder(clips).detach().numpy(), atol=1e-4)


def test_place_cnn_keeps_64_places_of_64_and_has_about_160_thousand_weights() -> None:
    encoder = PlaceCNNParams(name="place_cnn", sampling=SAMPLING).build()
    assert encoder(draw_frames(1, 2)).shape == (1, 2, 64, 64)
    assert 150_000 < sum(weight.numel() for weight in encoder.parameters()) < 170_000


def test_place_cnn_sees_a_change_of_a_frame_that_is_not_the_centre() -> None:
    encoder, frames = PlaceCNNParams(name="place_cnn", sampling=SAMPLING).build().eval(), draw_frames(1, 1)
    changed = frames.clone()
    changed[:, 4] = 255 - changed[:, 4]
    assert not torch.allclose(encoder(frames), encoder(changed))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampling": SAMPLING.model_copy(update={"offsets_s": (-0.2, 0.2)})}, r"needs the offset 0.0 .* got \(-0.2, 0.2\)"),
        ({"sampling": SAMPLING.model_copy(update={"size_px": 60})}, "size_px divisible by 8, got 60"),
        ({"norm_groups": 7}, r"channels divisible by norm_groups, got \(32, 64, 96\) and 7"),
    ],
)
def test_place_cnn_refuses_values_that_do_not_fit_its_layers(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PlaceCNNParams.model_validate({"name": "place_cnn", "sampling": SAMPLING, **change})


def test_hidden_places_of_place_cnn_do_not_reach_its_features() -> None:
    encoder, frames = build(PlaceCNNParams), draw_frames(1, 2)
    hidden = torch.zeros(1, 2, 64, dtype=torch.bool)
    hidden[0, 1, 10] = True  # of the second clip, row 1 and column 2 of 8 x 8 places
    other = frames.clone()
    other[:, 5:, 8:16, 16:24] = 255 - other[:, 5:, 8:16, 16:24]
    assert not torch.equal(encoder(frames), encoder(other))
    assert torch.equal(encoder.encode_visible(frames, hidden), encoder.encode_visible(other, hidden))
    assert torch.equal(encoder.encode_visible(frames, torch.zeros_like(hidden)), encoder(frames))


def test_an_encoder_that_cannot_hide_places_is_named() -> None:
    with pytest.raises(NotImplementedError, match="PlaceCNN cannot hide places"):
        VideoEncoder.encode_visible(build(PlaceCNNParams), draw_frames(1, 1), torch.zeros(1, 1, 64, dtype=torch.bool))
