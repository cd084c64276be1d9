"""The stage `pretrain` on a few videos drawn here."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from corpus.files import sha256_file
from corpus.media import ClipSampling
from corpus.moments import Moment
from corpus.records import Corpus, Query, Video
from models.encoders import EncoderParams
from models.exchange.encoder_files import load_encoders
from models.objectives import ObjectiveParams
from models.objectives.base import Schedule
from models.objectives.fit import ObjectiveFit
from models.objectives.mil_nce import MILNCEParams
from models.text_encoders.word_vectors import WordVectorsParams
from stages import pretrain as stage
from stages.pretrain import PretrainPlan, pretrain, run_fit

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
Draw = Callable[[Path, str, float], None]


@pytest.fixture(autouse=True)
def _one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUEPOINT_WORKERS", "1")
    monkeypatch.setenv("CUEPOINT_DEVICE", "cpu")
    torch.set_num_threads(1)


def draw_video(path: Path, colour: str, start_s: float) -> None:
    """Draw 4 s at 10 fps: a square of one colour moves right from `start_s` on, for 2 s; the rest is grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"threads": "1", "x264-params": "mbtree=0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(40):
            image = np.full((48, 64, 3), 128, dtype=np.uint8)
            elapsed_s = index / 10 - start_s
            if 0 <= elapsed_s < 2:
                x = int(4 + 20 * elapsed_s)
                image[16:32, x : x + 16] = COLOURS[colour]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def build_corpus(media_dir: Path) -> Corpus:
    """Two videos of every colour for training, one of every colour for validation."""
    videos, queries = [], []
    for number, (colour, split) in enumerate((colour, split) for colour in COLOURS for split in ("train", "train", "val")):
        video_id, start_s = f"v{number}", 0.5 * (number % 4)
        path = media_dir / "videos" / f"{video_id}.mp4"
        draw_video(path, colour, start_s)
        videos.append(
            Video(video_id, f"videos/{video_id}.mp4", split, 4.0, 10.0, 40, 64, 48, 0, "h264", False, sha256_file(path))
        )
        moment = Moment(start_s, start_s + 2)
        queries.append(Query(f"q{number}", video_id, f"the {colour} square moves right", (moment,), split=split))
    return Corpus(tuple(videos), tuple(queries))


@pytest.fixture(scope="module")
def media_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def corpus(media_dir: Path) -> Corpus:
    return build_corpus(media_dir)


def build_plan(objective: str = "mil_nce", *, seed: int = 1, epochs: int = 3) -> PretrainPlan:
    sampling = {"clip_rate_hz": 2.0, "offsets_s": [-0.2, 0.0, 0.2], "size_px": 32}
    encoder = EncoderParams(
        name="place_cnn", sampling=ClipSampling.model_validate(sampling), channels=(8, 8, 8), dim=8, norm_groups=2
    )
    values: dict[str, object] = {"name": objective}
    if objective != "none":
        values["schedule"] = {"epochs": epochs, "videos_per_batch": 2, "clips_per_video": 6}
    text_encoder = WordVectorsParams(name="word_vectors", dim=8)
    return PretrainPlan(encoder, text_encoder, TypeAdapter(ObjectiveParams).validate_python(values), seed)


def run(plan: PretrainPlan, corpus: Corpus, media_dir: Path, folder: Path) -> dict[str, str]:
    """Run the stage and return the hash of each file that it wrote."""
    pretrain(plan, corpus, media_dir=media_dir, out_dir=folder / "encoder", cache_dir=folder / "cache")
    return {path.name: sha256_file(path) for path in (folder / "encoder").iterdir()}


@pytest.mark.parametrize("objective", ["mil_nce", "vicreg", "none"])
def test_every_objective_writes_encoders_that_load(objective: str, corpus: Corpus, media_dir: Path, tmp_path: Path) -> None:
    files = run(build_plan(objective), corpus, media_dir, tmp_path)
    encoders = load_encoders(tmp_path / "encoder")
    assert "square" in encoders.tokenizer.words
    assert {"metrics.json", "curves.csv", "config.json"} <= files.keys()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_weights(
    corpus: Corpus, media_dir: Path, tmp_path: Path
) -> None:
    first = run(build_plan(seed=1), corpus, media_dir, tmp_path / "a")
    second = run(build_plan(seed=1), corpus, media_dir, tmp_path / "b")
    other = run(build_plan(seed=2), corpus, media_dir, tmp_path / "c")
    assert first == second
    assert first["video_encoder.safetensors"] != other["video_encoder.safetensors"]


def test_none_keeps_the_first_weights_of_the_seed(corpus: Corpus, media_dir: Path, tmp_path: Path) -> None:
    plan = build_plan("none", seed=5)
    run(plan, corpus, media_dir, tmp_path)
    torch.manual_seed(5)
    expected = plan.encoder.build().state_dict()
    found = load_encoders(tmp_path / "encoder").video.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_vicreg_leaves_the_word_vectors_as_the_seed_drew_them(corpus: Corpus, media_dir: Path, tmp_path: Path) -> None:
    run(build_plan("vicreg"), corpus, media_dir, tmp_path / "a")
    run(build_plan("none"), corpus, media_dir, tmp_path / "b")
    learned, drawn = (load_encoders(tmp_path / name / "encoder") for name in ("a", "b"))
    assert learned.text_digest == drawn.text_digest
    assert learned.fingerprint.digest != drawn.fingerprint.digest


@pytest.mark.slow
def test_a_run_that_was_stopped_after_an_epoch_ends_with_the_bytes_of_an_undisturbed_one(
    corpus: Corpus, media_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(build_plan(), corpus, media_dir, tmp_path / "undisturbed")

    def stop_after_one_epoch(fit: ObjectiveFit, state_dir: Path) -> None:
        run_fit(fit, state_dir, max_epochs=1)
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(stage, "run_fit", stop_after_one_epoch)
        with pytest.raises(KeyboardInterrupt):
            run(build_plan(), corpus, media_dir, tmp_path / "stopped")
    assert len(list((tmp_path / "stopped" / "cache" / "pretrain").iterdir())) == 1
    assert run(build_plan(), corpus, media_dir, tmp_path / "stopped") == expected


def test_a_finished_run_leaves_no_training_state_and_only_its_own_clips(corpus: Corpus, media_dir: Path, tmp_path: Path) -> None:
    stale = tmp_path / "cache" / "clips" / "other" / "x.npy"
    stale.parent.mkdir(parents=True)
    stale.touch()
    run(build_plan(), corpus, media_dir, tmp_path)
    assert not list((tmp_path / "cache" / "pretrain").iterdir())
    assert len(list((tmp_path / "cache" / "clips").rglob("*.npy"))) == len(corpus.videos)


def test_metrics_and_curves_hold_training_and_validation_figures(corpus: Corpus, media_dir: Path, tmp_path: Path) -> None:
    run(build_plan(epochs=3), corpus, media_dir, tmp_path)
    metrics = json.loads((tmp_path / "encoder" / "metrics.json").read_text())
    rows = list(csv.DictReader((tmp_path / "encoder" / "curves.csv").read_text().splitlines()))
    assert metrics["steps"] == 9
    assert {"loss", "accuracy", "chance", "words"} <= metrics["train"].keys() & metrics["val"].keys()
    assert [row["step"] for row in rows] == ["3", "6", "9"]


@pytest.mark.slow
def test_training_lifts_the_accuracy_on_validation_videos_far_above_chance(
    corpus: Corpus, media_dir: Path, tmp_path: Path
) -> None:
    run(build_plan(epochs=40), corpus, media_dir, tmp_path)
    metrics = json.loads((tmp_path / "encoder" / "metrics.json").read_text())
    assert metrics["val"]["accuracy"] > 0.9
    assert metrics["val"]["chance"] < 0.6


def test_a_corpus_without_training_sentences_is_refused_with_the_way_out(corpus: Corpus, media_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"needs training sentences .* got none among 0 sentences.*objective=vicreg"):
        run(build_plan(), replace(corpus, queries=()), media_dir, tmp_path)


def test_a_corpus_without_training_videos_is_refused(media_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no video in the split 'train'"):
        run(build_plan(), Corpus((), ()), media_dir, tmp_path)


def test_a_small_corpus_gets_more_epochs_until_it_has_the_least_number_of_steps() -> None:
    schedule = Schedule(epochs=2, min_steps=50, videos_per_batch=4)
    assert schedule.count_epochs(num_videos=10) == 17
    assert schedule.count_epochs(num_videos=400) == 2


def test_the_registry_refuses_an_objective_that_learns_but_has_no_schedule() -> None:
    with pytest.raises(ValueError, match="schedule"):
        MILNCEParams.model_validate({"name": "mil_nce"})
