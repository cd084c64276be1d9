"""The picture tower of CLIP, loaded from a tiny CLIP and compared with transformers on the same pictures."""

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from corpus.media import iter_clips
from models.artefacts.exporting.networks import build_encoder_network
from models.encoders.video.clip_image import CLIPImage, CLIPImageParams
from pipeline.components.presets import preset_path
from real_pictures import Photo, write_photo
from search.networks import open_session
from tiny_text import save_clip

pytestmark = pytest.mark.slow  # importing transformers takes seconds
IMAGE_PX = 64


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip(tmp_path_factory.mktemp("models") / "clip", image_px=IMAGE_PX)


def build_params(source: Path, *, sampling: dict[str, Any] | None = None, **values: Any) -> CLIPImageParams:
    preset = yaml.safe_load(preset_path("encoder", "clip_image").read_text(encoding="utf-8"))
    changed = preset["sampling"] | {"size_px": IMAGE_PX} | (sampling or {})
    return CLIPImageParams.model_validate(preset | {"source": str(source), "sampling": changed} | values)


def start(source: Path, **values: Any) -> CLIPImage:
    encoder = build_params(source, **values).start().encoder
    assert isinstance(encoder, CLIPImage)
    return encoder


def embed_by_transformers(source: Path, picture: np.ndarray) -> torch.Tensor:
    """Return the vector of a picture by the reference code of CLIP in transformers: (1, D)."""
    from transformers import CLIPVisionModelWithProjection
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    processor = CLIPImageProcessorPil.from_pretrained(source)
    pixels = processor(Image.fromarray(picture), return_tensors="np")["pixel_values"]
    with torch.no_grad():
        model = CLIPVisionModelWithProjection.from_pretrained(source).eval()
        found: torch.Tensor = model(pixel_values=torch.from_numpy(np.asarray(pixels))).image_embeds
    return found


def draw_frames(num_clips: int, num_frames: int = 1) -> torch.Tensor:
    shape = (1, num_clips * num_frames, IMAGE_PX, IMAGE_PX, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_picture_of_the_right_size_agrees_with_transformers(source: Path) -> None:
    frames = draw_frames(3)
    found = start(source)(frames)
    assert found.shape == (1, 3, 1, 12)
    for number in range(3):
        expected = embed_by_transformers(source, frames[0, number].numpy())
        torch.testing.assert_close(found[0, number], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("photo", [Photo(), Photo("flower.jpg", size=(427, 641))], ids=["china", "flower"])
def test_a_frame_of_a_video_agrees_with_transformers(photo: Photo, source: Path, tmp_path: Path) -> None:
    encoder, path = start(source), write_photo(tmp_path / "photo.mkv", photo)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    expected = embed_by_transformers(source, frame)[0]

    def measure(**change: Any) -> float:
        preparation = encoder.sampling.preparation.model_copy(update=change)
        sampling = encoder.sampling.model_copy(update={"preparation": preparation})
        clips = next(iter_clips(path, sampling, duration_s=0.2))
        found = encoder(torch.from_numpy(clips[:1]))[0, 0, 0]
        return float((found - expected).norm() / expected.norm())

    assert measure() < 1e-5
    for change in ({"interpolation": "bilinear"}, {"interpolation": "fast_bilinear"}, {"resize": "stretch"}, {"resize": "pad"}):
        assert measure(**change) > 0.002


def test_the_vector_of_a_clip_is_the_mean_over_its_frames(source: Path) -> None:
    frames = draw_frames(2, 3)
    alone = start(source)(frames)  # six clips of one frame
    together = start(source, sampling={"offsets_s": [-0.2, 0.0, 0.2]})(frames)
    torch.testing.assert_close(together[:, :, 0], alone.reshape(1, 2, 3, 12).mean(dim=2))


def test_no_weight_learns(source: Path) -> None:
    encoder = start(source).train()
    assert not any(module.training for module in encoder.modules())
    assert not any(weight.requires_grad for weight in encoder.parameters())


def test_the_exported_network_gives_the_same_for_any_number_of_clips(source: Path, tmp_path: Path) -> None:
    network = build_encoder_network("video", start(source, sampling={"offsets_s": [0.0, 0.1]}))
    cases = [{"clips": draw_frames(count, 2).reshape(count, 2, IMAGE_PX, IMAGE_PX, 3)} for count in (1, 2, 7)]
    (tmp_path / "video.onnx").write_bytes(network.export(cases[1]))
    session = open_session(tmp_path / "video.onnx", num_threads=1)
    for case in cases:
        (found,) = session.run(None, {"clips": case["clips"].numpy()})
        np.testing.assert_allclose(found, network.run(case)["features"].numpy(), atol=2e-5)


def test_the_built_values_record_the_source(source: Path) -> None:
    (source / "README.md").write_text("---\nlicense: mit\n---\n# CLIP\n", encoding="utf-8")
    params = build_params(source).start().params
    assert isinstance(params, CLIPImageParams)
    assert params.licence == "mit"
    assert params.architecture is not None
    assert params.architecture["image_size"] == IMAGE_PX
    assert [*(params.weights_sha256 or {})] == ["model.safetensors"]
    assert CLIPImageParams.model_validate_json(params.model_dump_json()) == params


def test_values_without_an_architecture_cannot_be_built(source: Path) -> None:
    with pytest.raises(ValueError, match="the architecture is unknown before pretraining; run: dvc repro pretrain"):
        build_params(source).build()


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ({"size_px": 32}, "set sampling.size_px to 64, got 32$"),
        (
            {"preparation": {"resize": "pad", "interpolation": "bicubic"}},
            r"resize to crop, got pad; sampling.preparation.mean to \[122.7709, 116.746, 104.0937\], got \[127.5, 127.5, ",
        ),
    ],
)
def test_pictures_that_were_prepared_in_another_way_are_refused(sampling: Any, message: str, source: Path) -> None:
    with pytest.raises(ValueError, match=r"preprocessor_config.json: the network was trained on other pictures; .*" + message):
        start(source, sampling=sampling)


def copy(source: Path, target: Path, without: str = "") -> Path:
    target.mkdir()
    for path in source.iterdir():
        if path.name != without:
            (target / path.name).write_bytes(path.read_bytes())
    return target


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_refused_by_its_name(name: str, source: Path, tmp_path: Path) -> None:
    folder = copy(source, tmp_path / "clip", without=name)
    with pytest.raises(FileNotFoundError, match=rf"clip has no {'.*safetensors' if 'model' in name else name}"):
        start(folder)


def test_a_tokenizer_is_not_needed(source: Path, tmp_path: Path) -> None:
    assert start(copy(source, tmp_path / "clip", without="tokenizer.json"))(draw_frames(1)).isfinite().all()


def test_weights_of_another_architecture_are_refused(source: Path, tmp_path: Path) -> None:
    folder = copy(source, tmp_path / "clip")
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["num_hidden_layers"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="do not fit CLIPVisionModelWithProjection: 16 are missing or of another shape"):
        start(folder)


def test_other_weights_than_the_stated_ones_are_refused(source: Path) -> None:
    with pytest.raises(ValueError, match=r"model.safetensors has the sha256 \w+, but weights_sha256 states abc; get the file"):
        start(source, weights_sha256={"model.safetensors": "abc"})
