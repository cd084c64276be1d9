"""PlaceTAN with further streams beside the stream that words attend to."""

import pytest
import torch

from models.contracts.batches import InputDims, StreamDims, TextFeatures, VideoFeatures
from models.localizers.place_tan import PlaceTAN, PlaceTANParams

DIMS = InputDims(streams={"video": StreamDims(5, 6), "sound": StreamDims(1, 9), "motion": StreamDims(3, 4)}, text_dim=6)


def build(*streams: str, dims: InputDims = DIMS) -> PlaceTAN:
    torch.manual_seed(0)
    values = {"num_cells": 8, "hidden_dim": 12, "text_hidden_dim": 8, "map_dim": 4, "num_layers": 2}
    return PlaceTANParams.model_validate({"name": "place_tan", "streams": streams, **values}).build(dims).eval()


def draw_inputs() -> tuple[VideoFeatures, TextFeatures]:
    generator = torch.Generator().manual_seed(1)
    streams = {name: torch.randn(2, 8, one.num_places, one.dim, generator=generator) for name, one in DIMS.streams.items()}
    video = VideoFeatures(streams, torch.ones(2, 8, dtype=torch.bool), torch.tensor([8.0, 16.0]))
    tokens = torch.randn(2, 4, 6, generator=generator)
    return video, TextFeatures(tokens, torch.ones(2, 4, dtype=torch.bool), tokens.sum(1))


def change(video: VideoFeatures, name: str, features: torch.Tensor) -> VideoFeatures:
    return video._replace(streams={**video.streams, name: features})


def test_other_streams_do_not_change_the_initial_weights_of_the_first() -> None:
    alone, both = build("video").state_dict(), build("video", "sound").state_dict()
    assert set(both) - set(alone) == {"beside.0.weight", "beside.0.bias"}
    assert all(torch.equal(both[name], weight) for name, weight in alone.items())


def test_every_stream_that_is_read_changes_the_scores_and_no_other_does() -> None:
    model, (video, text) = build("video", "sound"), draw_inputs()
    scores = model(video, text).scores
    for name in ("video", "sound"):
        assert not torch.allclose(model(change(video, name, video.streams[name] + 1), text).scores, scores)
    torch.testing.assert_close(model(change(video, "motion", video.streams["motion"] + 1), text).scores, scores)


def test_a_further_stream_is_added_as_the_mean_of_any_number_of_places() -> None:
    model, (video, text) = build("video", "sound", "motion"), draw_inputs()
    motion = video.streams["motion"]
    averaged = change(video, "motion", motion.mean(dim=2, keepdim=True).expand_as(motion))
    torch.testing.assert_close(model(averaged, text).scores, model(video, text).scores)


def test_sound_without_weights_changes_nothing() -> None:
    model, (video, text) = build("video", "sound"), draw_inputs()
    with torch.no_grad():
        for weight in model.beside.parameters():
            weight.zero_()
    torch.testing.assert_close(model(video, text).scores, build("video")(video, text).scores)


def test_only_the_first_stream_must_have_the_width_of_words() -> None:
    with pytest.raises(ValueError, match="the width of sound, 9, must equal text_dim=6"):
        build("sound", "video")


def test_a_stream_that_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="the stream 'smell' is not among the given streams: video, sound, motion"):
        build("video", "smell")
