"""The folder of trained encoders is verified when it is loaded."""

import json
from pathlib import Path

import pytest
import torch

from corpus.files import sha256_file
from corpus.media import ClipSampling
from corpus.store import FeatureStore, Fingerprint, FingerprintMismatchError, save_index
from corpus.text import Vocabulary
from models.encoders import EncoderParams
from models.exchange.encoder_files import (
    CONFIG,
    TEXT_WEIGHTS,
    VIDEO_WEIGHTS,
    load_encoders,
    require_own_features,
    save_encoders,
)
from models.text_encoders.word_vectors import WordVectorsParams


def write(folder: Path, *, seed: int = 0, **values: object) -> None:
    sampling = {"clip_rate_hz": 2.0, "offsets_s": (0.0,), "size_px": 16}
    video = EncoderParams.model_validate(
        {"name": "place_cnn", "sampling": sampling, "channels": (4, 4, 4), "dim": 4, "norm_groups": 2, **values}
    )
    text = WordVectorsParams(name="word_vectors", dim=4)
    vocabulary = Vocabulary(("red", "blue"))
    torch.manual_seed(seed)
    save_encoders(
        folder,
        video_params=video,
        video=video.build(),
        text_params=text,
        text=text.build(len(vocabulary)),
        tokenizer=vocabulary,
    )


def test_loaded_encoders_are_frozen_and_give_what_the_saved_ones_gave(tmp_path: Path) -> None:
    write(tmp_path)
    encoders = load_encoders(tmp_path)
    torch.manual_seed(0)
    sampling = ClipSampling(clip_rate_hz=2.0, offsets_s=(0.0,), size_px=16)
    expected = EncoderParams(name="place_cnn", sampling=sampling, channels=(4, 4, 4), dim=4, norm_groups=2).build()
    frames = torch.randint(0, 256, (1, 3, 16, 16, 3), dtype=torch.uint8)
    torch.testing.assert_close(encoders.video(frames), expected(frames))
    assert encoders.tokenizer.words == ("red", "blue")
    assert not encoders.video.training
    assert not any(weight.requires_grad for module in (encoders.video, encoders.text) for weight in module.parameters())


def test_equal_encoders_have_equal_bytes_and_digests(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b")
    for name in (VIDEO_WEIGHTS, TEXT_WEIGHTS, Vocabulary.file_name, CONFIG):
        assert sha256_file(tmp_path / "a" / name) == sha256_file(tmp_path / "b" / name)


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"seed": 1}, {"weights"}),
        ({"pixel_mean": 100.0}, {"component"}),
        ({"sampling": {"clip_rate_hz": 1.0, "offsets_s": (0.0,), "size_px": 16}}, {"component", "sampling"}),
    ],
)
def test_the_fingerprint_names_what_differs(change: dict[str, object], fields: set[str], tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b", **change)  # type: ignore[arg-type]
    first, second = (load_encoders(tmp_path / name).fingerprint.identity for name in ("a", "b"))
    assert {name for name in first if first[name] != second[name]} == fields


@pytest.mark.parametrize("name", [VIDEO_WEIGHTS, TEXT_WEIGHTS, Vocabulary.file_name])
def test_a_damaged_file_is_named_with_both_hashes(name: str, tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(ValueError, match=rf"{name} is damaged: sha256 {sha256_file(path)}, expected \w+; run: dvc repro"):
        load_encoders(tmp_path)


def test_a_config_that_claims_other_weights_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    config["fingerprint"]["weights"] = "0" * 64
    (tmp_path / CONFIG).write_text(json.dumps(config))
    with pytest.raises(ValueError, match="fingerprint is .* but the loaded encoders give"):
        load_encoders(tmp_path)


def test_a_folder_without_encoders_names_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no trained encoders; run: dvc repro pretrain"):
        load_encoders(tmp_path)


def test_without_a_video_encoder_there_are_text_and_vocabulary_and_no_fingerprint(tmp_path: Path) -> None:
    text, vocabulary = WordVectorsParams(name="word_vectors", dim=4), Vocabulary(("red", "blue"))
    built = text.build(len(vocabulary))
    save_encoders(tmp_path, video_params=None, video=None, text_params=text, text=built, tokenizer=vocabulary)
    encoders = load_encoders(tmp_path)
    assert (encoders.video, encoders.fingerprint) == (None, None)
    assert encoders.tokenizer.words == ("red", "blue")
    assert {path.name for path in tmp_path.iterdir()} == {TEXT_WEIGHTS, Vocabulary.file_name, CONFIG}


def test_features_that_an_encoder_made_are_refused_where_there_is_none(tmp_path: Path) -> None:
    text, vocabulary = WordVectorsParams(name="word_vectors", dim=4), Vocabulary(("red",))
    built = text.build(len(vocabulary))
    save_encoders(tmp_path / "encoder", video_params=None, video=None, text_params=text, text=built, tokenizer=vocabulary)
    encoders = load_encoders(tmp_path / "encoder")
    for identity in ({"weights": "abc"}, {"streams": "abc", "arrays": "def"}):
        save_index(tmp_path / "features", fingerprint=Fingerprint(identity, {}), clip_rate_hz=None, shards=[])
        store = FeatureStore(tmp_path / "features")
        if "weights" in identity:
            with pytest.raises(FingerprintMismatchError, match="was made by a video encoder, but the encoders hold none"):
                require_own_features(encoders, store)
        else:
            require_own_features(encoders, store)
