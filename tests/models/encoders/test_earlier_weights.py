"""Start of place_cnn from the weights of an earlier encoder folder, and refusal of weights that do not fit."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from corpus.files import sha256_file
from corpus.text import Vocabulary
from models.artefacts.encoder_files import CONFIG, load_encoders, name_weights, save_encoders
from models.encoders.text.word_vectors import WordVectorsParams
from models.encoders.video.place_cnn import PlaceCNNParams

VIDEO_WEIGHTS = name_weights("video")


def build_params(**values: Any) -> PlaceCNNParams:
    sampling = {"clip_rate_hz": 2.0, "offsets_s": (0.0,), "size_px": 16}
    small = {"sampling": sampling, "channels": (4, 4, 4), "dim": 4, "norm_groups": 2}
    return PlaceCNNParams.model_validate({"name": "place_cnn", **small, **values})


def write(folder: Path, *, has_video: bool = True) -> Path:
    params, text, vocabulary = build_params(), WordVectorsParams(name="word_vectors", dim=4), Vocabulary(("red",))
    torch.manual_seed(5)
    save_encoders(
        folder,
        streams={"video": params.start()} if has_video else {},
        text_params=text,
        text=text.build(len(vocabulary)),
        tokenizer=vocabulary,
    )
    return folder


def test_without_a_source_the_weights_are_drawn() -> None:
    torch.manual_seed(1)
    expected = build_params().build().state_dict()
    torch.manual_seed(1)
    params, encoder = build_params().start()
    assert params == build_params()
    assert all(torch.equal(weight, expected[name]) for name, weight in encoder.state_dict().items())


def test_it_starts_from_the_weights_of_the_source_and_records_their_hash(tmp_path: Path) -> None:
    folder = write(tmp_path / "earlier")
    params, encoder = build_params(source=str(folder)).start()
    frames = torch.randint(0, 256, (1, 2, 16, 16, 3), dtype=torch.uint8)
    torch.testing.assert_close(encoder(frames), load_encoders(folder).streams["video"].encoder(frames))
    assert params == build_params(source=str(folder), weights_sha256={VIDEO_WEIGHTS: sha256_file(folder / VIDEO_WEIGHTS)})
    assert all(weight.requires_grad for weight in encoder.parameters())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"dim": 8},
            r"does not fit PlaceCNN: 2 weights differ; project.bias is \(4,\) in the file and \(8,\) in the encoder; set",
        ),
        (
            {"channels": (4, 4, 8)},
            r"does not fit PlaceCNN: 7 weights differ; down.2.0.weight is \(4, 4, 3, 3\) in the file and \(8, 4",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(values: Any, message: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "earlier")
    with pytest.raises(ValueError, match=message):
        build_params(source=str(folder), **values).start()


def test_a_folder_without_a_video_encoder_says_which_folder_is_meant(tmp_path: Path) -> None:
    write(tmp_path / "text", has_video=False)
    for name, missing in (("nowhere", CONFIG), ("text", VIDEO_WEIGHTS)):
        with pytest.raises(
            FileNotFoundError, match=rf"{name}/{missing} does not exist; as source of a video encoder, name a folder"
        ):
            build_params(source=str(tmp_path / name)).start()


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "earlier")
    path = folder / VIDEO_WEIGHTS
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(ValueError, match=rf"{VIDEO_WEIGHTS} has the sha256 {sha256_file(path)}, but"):
        build_params(source=str(folder)).start()


def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "earlier")
    path = folder / VIDEO_WEIGHTS
    path.write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    config = json.loads((folder / CONFIG).read_text())
    config["sha256"][VIDEO_WEIGHTS] = sha256_file(path)
    (folder / CONFIG).write_text(json.dumps(config))
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        build_params(source=str(folder)).start()


def test_other_weights_than_the_preset_states_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "earlier")
    with pytest.raises(ValueError, match="but weights_sha256 states abc; get the file again, or correct the preset"):
        build_params(source=str(folder), weights_sha256={VIDEO_WEIGHTS: "abc"}).start()
