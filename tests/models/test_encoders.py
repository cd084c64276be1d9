"""The contract of every video encoder, and what `place_cnn` refuses."""

from pathlib import Path
from typing import get_args

import numpy as np
import onnxruntime
import pytest
import torch

from corpus.media import ClipSampling
from models.encoders import EncoderParams
from models.exchange.roles import VideoEncoder, VideoEncoderParams

SAMPLING = ClipSampling(clip_rate_hz=2.0, offsets_s=(-0.6, -0.2, 0.0, 0.2, 0.6), size_px=64)
MEMBERS = get_args(EncoderParams) or (EncoderParams,)


def build(member: type[VideoEncoderParams]) -> VideoEncoder:
    torch.manual_seed(0)
    name = get_args(member.model_fields["name"].annotation)[0]
    return member.model_validate({"name": name, "sampling": SAMPLING.model_dump()}).build().eval()


def draw_frames(num_videos: int, num_clips: int) -> torch.Tensor:
    shape = (num_videos, num_clips * len(SAMPLING.offsets_s), SAMPLING.size_px, SAMPLING.size_px, 3)
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8))


@pytest.mark.parametrize("member", MEMBERS)
def test_every_encoder_turns_frames_into_one_row_of_places_per_clip(member: type[VideoEncoderParams]) -> None:
    features = build(member)(draw_frames(2, 3))
    assert features.shape[:2] == (2, 3)
    assert features.ndim == 4
    assert features.dtype == torch.float32


@pytest.mark.parametrize("member", MEMBERS)
def test_the_features_of_a_clip_do_not_depend_on_the_other_clips(member: type[VideoEncoderParams]) -> None:
    encoder, frames = build(member), draw_frames(2, 4)
    alone = encoder(frames[1:, 10:15])
    torch.testing.assert_close(encoder(frames)[1:, 2:3], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("member", MEMBERS)
def test_the_same_seed_builds_the_same_encoder(member: type[VideoEncoderParams]) -> None:
    first, second = build(member).state_dict(), build(member).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("member", MEMBERS)
def test_every_weight_of_an_encoder_gets_a_finite_gradient(member: type[VideoEncoderParams]) -> None:
    encoder = build(member)
    encoder(draw_frames(1, 2)).square().mean().backward()
    for name, weight in encoder.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name


@pytest.mark.slow
@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.filterwarnings("ignore::FutureWarning")  # of torch's exporter, about its own tree types
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_encoder_exports_to_onnx_for_any_number_of_clips(member: type[VideoEncoderParams], tmp_path: Path) -> None:
    encoder = build(member)
    num_frames = len(SAMPLING.offsets_s) * torch.export.Dim("num_clips", min=1, max=4096)
    torch.onnx.export(
        encoder,
        (draw_frames(1, 3),),
        str(tmp_path / "encoder.onnx"),
        input_names=["frames"],
        dynamic_shapes={"frames": {1: num_frames}},
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(tmp_path / "encoder.onnx")
    for num_clips in (1, 7):
        frames = draw_frames(1, num_clips)
        found = session.run(None, {"frames": frames.numpy()})[0]
        np.testing.assert_allclose(found, encoder(frames).detach().numpy(), atol=1e-4)


def test_place_cnn_keeps_64_places_of_64_and_has_about_160_thousand_weights() -> None:
    encoder = EncoderParams(name="place_cnn", sampling=SAMPLING).build()
    assert encoder(draw_frames(1, 2)).shape == (1, 2, 64, 64)
    assert 150_000 < sum(weight.numel() for weight in encoder.parameters()) < 170_000


def test_place_cnn_sees_a_change_of_a_frame_that_is_not_the_centre() -> None:
    encoder, frames = EncoderParams(name="place_cnn", sampling=SAMPLING).build().eval(), draw_frames(1, 1)
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
        EncoderParams.model_validate({"name": "place_cnn", "sampling": SAMPLING, **change})
