"""Squares of real clips beside those of the processors of published encoders, for the same decoded frames."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from corpus.media import ClipSampling, Images, PicturePreparation, iter_clips
from real_pictures import square_by_pil

TIME_S = 1.0


@pytest.fixture(scope="module")
def files(shared_dir: Path) -> list[Path]:
    """Every eighth real clip."""
    found = [path for path in sorted((shared_dir / "real-bench" / "videos").glob("*.mp4"))[::8] if has_square_pixels(path)]
    if not found:
        pytest.skip("the reference folder ../shared has no real-bench/videos")
    return found


def has_square_pixels(path: Path) -> bool:
    with av.open(str(path)) as container:
        aspect = container.streams.video[0].sample_aspect_ratio
    return aspect is None or abs(aspect - 1) <= 0.01


def decode(path: Path) -> Images:
    """Return the frame on display at `TIME_S` as RGB; pixels that are square but for 1% count as square."""
    with av.open(str(path)) as container:
        shown = None
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time > TIME_S:
                break
            shown = frame
        assert shown is not None
        found: Images = shown.to_ndarray(format="rgb24")
    return found


def prepare(path: Path, preparation: PicturePreparation) -> Images:
    sampling = ClipSampling(clip_rate_hz=0.5, offsets_s=(0.0,), size_px=224, preparation=preparation)
    return next(iter_clips(path, sampling, duration_s=2.0))[0, 0]  # the first clip is centred at 1 s


@pytest.mark.parametrize("resize", ["crop", "crop_rounded", "stretch"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_real_frame_is_what_pil_makes_of_it(resize: Any, interpolation: Any, files: list[Path]) -> None:
    preparation = PicturePreparation(resize=resize, interpolation=interpolation)
    for path in files:
        np.testing.assert_array_equal(prepare(path, preparation), square_by_pil(decode(path), 224, preparation))


@pytest.mark.slow  # importing transformers takes seconds
@pytest.mark.parametrize(("kind", "resize"), [("clip", "crop"), ("siglip", "stretch")])
def test_a_real_frame_is_what_the_processor_of_transformers_makes_of_it(kind: str, resize: Any, files: list[Path]) -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    processor = {"clip": CLIPImageProcessorPil, "siglip": SiglipImageProcessorPil}[kind]()
    mean, scale = np.asarray(processor.image_mean), np.asarray(processor.image_std)
    for path in files[:3]:
        pixels = np.asarray(processor(Image.fromarray(decode(path)), return_tensors="np")["pixel_values"])[0]
        levels = pixels.transpose(1, 2, 0) * scale + mean  # of 0 to 1
        own = prepare(path, PicturePreparation(resize=resize, interpolation="bicubic")) / 255
        assert float(np.mean(np.abs(own - levels) <= 1 / 255)) >= 0.999
