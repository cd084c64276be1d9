"""Folder of trained encoders: loading verifies the files."""

import json
from pathlib import Path

import pytest
import torch
from streams import write_store

from corpus.files import sha256_file
from corpus.media import ClipSampling
from corpus.store import FeatureStore, Fingerprint, FingerprintMismatchError
from corpus.text import Vocabulary
from models.artefacts.encoder_files import (
    CONFIG,
    TEXT_WEIGHTS,
    load_encoders,
    name_weights,
    require_own_features,
    save_encoders,
)
from models.encoders.text.word_vectors import WordVectorsParams
from models.encoders.video.place_cnn import PlaceCNNParams

SAMPLING: dict[str, object] = {"clip_rate_hz": 2.0, "offsets_s": (0.0,), "size_px": 16}

VIDEO_WEIGHTS = name_weights("video")


def write(folder: Path, *, seed: int = 0, streams: tuple[str, ...] = ("video",), **values: object) -> None:
    video = PlaceCNNParams.model_validate(
        {"name": "place_cnn", "sampling": SAMPLING, "channels": (4, 4, 4), "dim": 4, "norm_groups": 2, **values}
    )
    text = WordVectorsParams(name="word_vectors", dim=4)
    vocabulary = Vocabulary(("red", "blue"))
    torch.manual_seed(seed)
    save_encoders(
        folder,
        streams={name: video.start() for name in streams},
        text_params=text,
        text=text.build(len(vocabulary)),
        tokenizer=vocabulary,
    )


def make_store(folder: Path, fingerprint: Fingerprint) -> FeatureStore:
    write_store(folder, {"video": {}}, fingerprint=fingerprint, clip_rates_hz={"video": None})
    return FeatureStore(folder)


def test_loaded_encoders_are_frozen_and_agree_with_the_saved_ones(tmp_path: Path) -> None:
    write(tmp_path)
    encoders = load_encoders(tmp_path)
    torch.manual_seed(0)
    sampling = ClipSampling(clip_rate_hz=2.0, offsets_s=(0.0,), size_px=16)
    expected = PlaceCNNParams(name="place_cnn", sampling=sampling, channels=(4, 4, 4), dim=4, norm_groups=2).build()
    frames = torch.randint(0, 256, (1, 3, 16, 16, 3), dtype=torch.uint8)
    video = encoders.streams["video"].encoder
    torch.testing.assert_close(video(frames), expected(frames))
    assert encoders.tokenizer.words == ("red", "blue")
    assert not video.training
    assert not any(weight.requires_grad for module in (video, encoders.text) for weight in module.parameters())


def test_equal_encoders_have_equal_bytes_and_digests(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b")
    for name in (VIDEO_WEIGHTS, TEXT_WEIGHTS, Vocabulary.file_name, CONFIG):
        assert sha256_file(tmp_path / "a" / name) == sha256_file(tmp_path / "b" / name)


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"seed": 1}, {"weights"}),
        ({"difference_scale": 100.0}, {"component"}),
        ({"sampling": SAMPLING | {"preparation": {"mean": (127.5, 127.5, 128.0)}}}, {"component", "sampling"}),
        ({"sampling": SAMPLING | {"preparation": {"scale": (64.0, 64.0, 60.0)}}}, {"component", "sampling"}),
        ({"sampling": SAMPLING | {"preparation": {"resize": "crop"}}}, {"component", "sampling"}),
        ({"sampling": SAMPLING | {"preparation": {"interpolation": "bicubic"}}}, {"component", "sampling"}),
        ({"sampling": SAMPLING | {"clip_rate_hz": 1.0}}, {"component", "sampling"}),
    ],
)
def test_the_fingerprint_names_the_difference(change: dict[str, object], fields: set[str], tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b", **change)  # type: ignore[arg-type]
    first, second = (load_encoders(tmp_path / name).streams["video"].fingerprint.identity for name in ("a", "b"))
    assert {name for name in first if first[name] != second[name]} == fields


@pytest.mark.parametrize("name", [VIDEO_WEIGHTS, TEXT_WEIGHTS, Vocabulary.file_name])
def test_a_damaged_file_is_named_with_both_hashes(name: str, tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(ValueError, match=rf"{name} is damaged: sha256 {sha256_file(path)}, expected \w+; run: dvc repro"):
        _ = load_encoders(tmp_path).streams["video"].encoder


def test_the_weights_of_a_stream_are_read_when_its_encoder_is_first_asked_for(tmp_path: Path) -> None:
    write(tmp_path, streams=("video", "slow"))
    (tmp_path / name_weights("slow")).unlink()
    streams = load_encoders(tmp_path).streams
    assert streams["video"].encoder is streams["video"].encoder
    assert streams["slow"].fingerprint.identity["sampling"] == streams["video"].fingerprint.identity["sampling"]
    with pytest.raises(FileNotFoundError, match="slow.safetensors"):
        _ = streams["slow"].encoder


def test_a_config_that_claims_other_weights_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    config["fingerprints"]["video"]["weights"] = "0" * 64
    (tmp_path / CONFIG).write_text(json.dumps(config))
    with pytest.raises(ValueError, match="video.safetensors: fingerprint is .* but the loaded encoders give"):
        _ = load_encoders(tmp_path).streams["video"].encoder


def test_a_folder_without_encoders_names_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no trained encoders; run: dvc repro pretrain"):
        load_encoders(tmp_path)


def test_without_streams_only_text_encoder_and_vocabulary_exist(tmp_path: Path) -> None:
    text, vocabulary = WordVectorsParams(name="word_vectors", dim=4), Vocabulary(("red", "blue"))
    built = text.build(len(vocabulary))
    save_encoders(tmp_path, streams={}, text_params=text, text=built, tokenizer=vocabulary)
    encoders = load_encoders(tmp_path)
    assert encoders.streams == {}
    assert encoders.tokenizer.words == ("red", "blue")
    assert {path.name for path in tmp_path.iterdir()} == {TEXT_WEIGHTS, Vocabulary.file_name, CONFIG}


def test_features_of_an_encoder_are_refused_without_that_encoder(tmp_path: Path) -> None:
    text, vocabulary = WordVectorsParams(name="word_vectors", dim=4), Vocabulary(("red",))
    built = text.build(len(vocabulary))
    save_encoders(tmp_path / "encoder", streams={}, text_params=text, text=built, tokenizer=vocabulary)
    encoders = load_encoders(tmp_path / "encoder")
    for identity in ({"weights": "abc"}, {"settings": "abc", "arrays": "def"}):
        store = make_store(tmp_path / "features", Fingerprint(identity, {}))
        if "weights" in identity:
            with pytest.raises(
                FingerprintMismatchError, match="'video' .* was made by an encoder, but the encoders hold none of that name"
            ):
                require_own_features(encoders, store)
        else:
            require_own_features(encoders, store)


def test_every_stream_has_an_encoder_and_a_fingerprint_of_its_own(tmp_path: Path) -> None:
    write(tmp_path / "encoder", streams=("video", "motion"))
    encoders = load_encoders(tmp_path / "encoder")
    assert encoders.streams.keys() == {"video", "motion"}
    assert (tmp_path / "encoder" / "motion.safetensors").is_file()
    digests = {encoder.fingerprint.digest for encoder in encoders.streams.values()}
    assert len(digests) == 2
    store = make_store(tmp_path / "features", encoders.streams["video"].fingerprint)
    with pytest.raises(FingerprintMismatchError, match="lacks the stream 'motion' of the encoders; run: dvc repro extract"):
        require_own_features(encoders, store)


def test_encoders_of_another_version_name_the_command_that_rebuilds_them(tmp_path: Path) -> None:
    write(tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    del config["format_version"]
    (tmp_path / CONFIG).write_text(json.dumps(config))
    with pytest.raises(ValueError, match="has format_version None, this code reads 2; run: dvc repro --force pretrain"):
        load_encoders(tmp_path)


def test_encoders_of_other_word_rules_name_the_command_that_rebuilds_them(tmp_path: Path) -> None:
    write(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["word_rules"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        ValueError, match="has word_rules None: .* other rules than those of this code, 2; run: dvc repro --force pre"
    ):
        load_encoders(tmp_path)
