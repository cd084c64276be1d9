"""Facts of a media file: an unknown fact is None, never 0 or ""."""

from typing import Any

import pytest

from corpus.media_info import MediaInfo


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, 0) for name in ("fps", "num_frames", "width", "height", "audio_rate_hz", "audio_channels")),
        *((name, "") for name in ("codec", "frame_rate", "audio_codec")),
    ],
)
def test_zero_and_empty_text_are_refused_where_a_fact_is_unknown(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value!r}; an unknown fact is None"):
        MediaInfo(duration_s=1.0, **{name: value})


def test_facts_that_may_be_zero_are_kept() -> None:
    info = MediaInfo(duration_s=1.0, rotation=0, has_audio=False, num_damaged=0, num_damaged_audio=0)
    assert (info.rotation, info.has_audio, info.num_damaged, info.num_damaged_audio) == (0, False, 0, 0)
