"""Joining of streams, and models that read several streams."""

from typing import Any

import pytest
import torch

from models.contracts.batches import InputDims, StreamDims, VideoFeatures
from models.contracts.roles import StreamReaderParams
from models.layers.streams import join_dims, join_streams
from models.localizers import LocalizerParams
from models.localizers.readouts.similarity import ReadoutValues
from models.retrievers import RetrieverParams
from models.retrievers.shared_space import SharedSpaceParams
from registered import DIM, NUM_PLACES, fill, list_distinct, make_text, make_video, name_of

PLACES = {"video": 4, "sound": 1, "motion": 4, "frames": 9}
WIDTHS = {"video": 3, "sound": 2, "motion": 5, "frames": 1}
DIMS = InputDims({name: StreamDims(PLACES[name], WIDTHS[name]) for name in PLACES}, text_dim=2)


def draw(*axes: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(*axes, PLACES[name], WIDTHS[name], generator=generator) for name in PLACES}


def test_one_stream_is_the_tensor_itself() -> None:
    streams = draw(2, 3)
    assert join_streams(streams, ("video",)) is streams["video"]
    assert join_dims(DIMS, ("video",)) == StreamDims(4, 3)


@pytest.mark.parametrize("axes", [(2, 3), (6,)])
@pytest.mark.parametrize("names", [("video", "sound"), ("sound", "motion", "video")])
def test_widths_are_put_side_by_side_in_order_as_in_a_slow_loop(axes: tuple[int, ...], names: tuple[str, ...]) -> None:
    streams = draw(*axes)
    joined = join_streams(streams, names)
    assert join_dims(DIMS, names) == StreamDims(*joined.shape[-2:])
    for place in range(4):
        parts = [streams[name][..., min(place, PLACES[name] - 1), :] for name in names]
        assert torch.equal(joined[..., place, :], torch.cat(parts, dim=-1))


def test_streams_of_one_place_stay_streams_of_one_place() -> None:
    sound = torch.ones(2, 1, 3)
    assert join_streams({"sound": sound, "voice": 2 * sound}, ("sound", "voice")).shape == (2, 1, 6)


def test_streams_of_different_places_are_refused() -> None:
    for join in (lambda names: join_streams(draw(2), names), lambda names: join_dims(DIMS, names)):
        with pytest.raises(ValueError, match="equally many places, or one: video has 4, frames has 9; choose other streams in"):
            join(("video", "sound", "frames"))


def test_a_stream_that_is_not_given_is_named() -> None:
    for join in (lambda names: join_streams(draw(2), names), lambda names: join_dims(DIMS, names)):
        with pytest.raises(ValueError, match="the stream 'depth' is not among the given streams: video, sound, motion, frames"):
            join(("video", "depth"))


@pytest.mark.parametrize(
    ("streams", "message"),
    [(("video", "video"), "streams must differ, got video more than once"), ((), "at least 1 item"), (("Video",), "pattern")],
)
def test_streams_that_cannot_be_read_are_refused(streams: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StreamReaderParams(streams=streams)
    with pytest.raises(ValueError, match="a stream cannot be called 'text_encoder'"):
        StreamReaderParams(streams=("text_encoder",))


def count_width(member: Any) -> int:
    """Return the width of `video`: with that of `sound`, as wide as the text if the model compares both with it."""
    return DIM - 3 if isinstance(fill(member), ReadoutValues | SharedSpaceParams) else DIM


def build_both(member: Any) -> Any:
    """Return a model of two streams, the first as wide as the text, or both together if sentences are compared with them."""
    dims = InputDims({"video": StreamDims(NUM_PLACES, count_width(member)), "sound": StreamDims(1, 3)}, text_dim=DIM)
    torch.manual_seed(0)
    values = fill(member).model_dump() | {"streams": ("video", "sound")}
    return type(fill(member)).model_validate(values).build(dims).eval()


def split(member: Any, video: VideoFeatures, *, sound: float = 0.0) -> VideoFeatures:
    features, width = video.streams["video"], count_width(member)
    streams = {"video": features[..., :width], "sound": features[..., :1, DIM - 3 :] + sound}
    return video._replace(streams=streams)


@pytest.mark.parametrize("member", list_distinct(LocalizerParams), ids=name_of)
def test_a_localizer_reads_all_its_streams_and_no_others(member: Any) -> None:
    model = build_both(member)
    assert model.streams == ("video", "sound")
    video, text = make_video(2, model.num_cells), make_text(2)
    quiet, loud = model(split(member, video), text), model(split(member, video, sound=3.0), text)
    assert not torch.equal(quiet.scores, loud.scores)
    more = split(member, video)
    found = model(more._replace(streams={**more.streams, "other": torch.ones(1)}), text)
    assert torch.equal(found.scores, quiet.scores)


@pytest.mark.parametrize("member", list_distinct(RetrieverParams), ids=name_of)
def test_a_retriever_reads_all_its_streams(member: Any) -> None:
    model, video = build_both(member), make_video(1, 6)
    clips = [{name: cells[0] for name, cells in split(member, video, sound=sound).streams.items()} for sound in (0.0, 3.0)]
    assert not torch.equal(model.embed_clips(clips[0]), model.embed_clips(clips[1]))
