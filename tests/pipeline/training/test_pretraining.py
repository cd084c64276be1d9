"""Pretraining on a few drawn videos."""

import csv
import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import mlflow
import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from corpus.files import sha256_file
from corpus.media import ClipSampling, SoundSampling
from corpus.moments import Moment
from corpus.records import Corpus, Query, Video
from models.artefacts.encoder_files import load_encoders
from models.encoders.audio.log_mel import LogMelParams
from models.encoders.text.word_vectors import WordVectorsParams
from models.encoders.video.place_cnn import PlaceCNNParams
from models.objectives import ObjectiveParams
from models.objectives.base import ClipBatch, ObjectiveTraining
from models.objectives.mil_nce import MILNCEParams
from models.objectives.vicreg import VICRegObjective
from models.optimizers.adamw import AdamWParams
from models.training.objective import BatchPlan, ObjectiveModule
from pipeline.training.pretraining import Folders, PretrainPlan, pretrain, pretrain_tracked

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
Draw = Callable[[Path, str, float], None]


@pytest.fixture(autouse=True)
def _one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUEPOINT_WORKERS", "1")
    monkeypatch.setenv("CUEPOINT_DEVICE", "cpu")
    torch.set_num_threads(1)


def draw_video(path: Path, colour: str, start_s: float) -> None:
    """Draw 4 s at 10 fps: a coloured square moves right for 2 s from `start_s` on; the rest is grey."""
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
    """Build a corpus with two training videos and one validation video of every colour."""
    videos, queries = [], []
    for number, (colour, split) in enumerate((colour, split) for colour in COLOURS for split in ("train", "train", "val")):
        video_id, start_s = f"v{number}", 0.5 * (number % 4)
        path = media_dir / "videos" / f"{video_id}.mp4"
        draw_video(path, colour, start_s)
        videos.append(
            Video(video_id=video_id, path=f"videos/{video_id}.mp4", split=split, duration_s=4.0, sha256=sha256_file(path))
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


def build_plan(objective: str = "mil_nce", *, seed: int = 1, epochs: int = 3, **training: object) -> PretrainPlan:
    sampling = {"clip_rate_hz": 2.0, "offsets_s": [-0.2, 0.0, 0.2], "size_px": 32}
    encoder = PlaceCNNParams(
        name="place_cnn", sampling=ClipSampling.model_validate(sampling), channels=(8, 8, 8), dim=8, norm_groups=2
    )
    values: dict[str, object] = {"name": objective}
    if objective != "none":
        optimizer = {"name": "adamw", "learning_rate": 0.005}
        values["training"] = {
            "max_epochs": epochs,
            "videos_per_batch": 2,
            "clips_per_video": 6,
            "optimizer": optimizer,
            **training,
        }
    text_encoder = WordVectorsParams(name="word_vectors", dim=8)
    return PretrainPlan({"video": encoder}, text_encoder, TypeAdapter(ObjectiveParams).validate_python(values), seed)


def run(plan: PretrainPlan, corpus: Corpus, media_dir: Path, folder: Path) -> dict[str, str]:
    """Run the stage and return the hash of each written file."""
    pretrain(plan, corpus, Folders(media_dir, folder / "encoder", folder / "cache"))
    return {path.name: sha256_file(path) for path in (folder / "encoder").iterdir()}


@pytest.mark.parametrize("objective", ["mil_nce", "vicreg", "none"])
@pytest.mark.slow
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
    assert first["video.safetensors"] != other["video.safetensors"]


def test_none_keeps_the_first_weights_of_the_seed(corpus: Corpus, media_dir: Path, tmp_path: Path) -> None:
    plan = build_plan("none", seed=5)
    run(plan, corpus, media_dir, tmp_path)
    torch.manual_seed(5)
    expected = plan.streams["video"].build().state_dict()
    found = load_encoders(tmp_path / "encoder").streams["video"].encoder.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def start_from(plan: PretrainPlan, source: Path) -> PretrainPlan:
    return replace(plan, streams={"video": plan.streams["video"].model_copy(update={"source": str(source)})})


@pytest.mark.slow
def test_none_writes_the_weights_of_an_earlier_run_unchanged(corpus: Corpus, media_dir: Path, tmp_path: Path) -> None:
    earlier = run(build_plan("vicreg"), corpus, media_dir, tmp_path / "earlier")
    again = run(start_from(build_plan("none", seed=7), tmp_path / "earlier" / "encoder"), corpus, media_dir, tmp_path / "again")
    assert again["video.safetensors"] == earlier["video.safetensors"]
    config = json.loads((tmp_path / "again" / "encoder" / "config.json").read_text())
    assert config["streams"]["video"]["weights_sha256"] == {"video.safetensors": earlier["video.safetensors"]}


@pytest.mark.slow
def test_a_killed_training_never_resumes_from_another_source(corpus: Corpus, media_dir: Path, tmp_path: Path) -> None:
    plan, source = start_from(build_plan(), tmp_path / "source" / "encoder"), tmp_path / "source"
    run(build_plan("none", seed=8), corpus, media_dir, source)

    kill(plan, corpus, media_dir, tmp_path / "killed")
    run(build_plan("none", seed=9), corpus, media_dir, source)  # other weights at the same path
    expected = run(plan, corpus, media_dir, tmp_path / "undisturbed")
    assert run(plan, corpus, media_dir, tmp_path / "killed") == expected


@pytest.mark.slow
def test_vicreg_leaves_the_word_vectors_as_the_seed_drew_them(corpus: Corpus, media_dir: Path, tmp_path: Path) -> None:
    run(build_plan("vicreg"), corpus, media_dir, tmp_path / "a")
    run(build_plan("none"), corpus, media_dir, tmp_path / "b")
    learned, drawn = (load_encoders(tmp_path / name / "encoder") for name in ("a", "b"))
    assert learned.text_digest == drawn.text_digest
    assert learned.streams["video"].fingerprint.digest != drawn.streams["video"].fingerprint.digest


@pytest.mark.slow
def test_another_stream_has_the_seeds_initial_weights_and_does_not_change_the_trained_stream(
    corpus: Corpus, media_dir: Path, tmp_path: Path
) -> None:
    alone = build_plan("vicreg")
    slower = alone.streams["video"].model_copy(update={"dim": 4})
    both = replace(alone, streams={"slow": slower, **alone.streams})
    first, second = run(alone, corpus, media_dir, tmp_path / "a"), run(both, corpus, media_dir, tmp_path / "b")
    assert first["video.safetensors"] == second["video.safetensors"]
    torch.manual_seed(alone.seed)
    expected = slower.build().state_dict()
    found = load_encoders(tmp_path / "b" / "encoder").streams["slow"].encoder.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_an_objective_without_the_stream_that_it_trains_is_refused(corpus: Corpus, media_dir: Path, tmp_path: Path) -> None:
    plan = build_plan()
    with pytest.raises(ValueError, match="'video', but pretrain.streams names only look; .* -S pretrain.objective=none"):
        run(replace(plan, streams={"look": plan.streams["video"]}), corpus, media_dir, tmp_path)
    run(replace(build_plan("none"), streams={"look": plan.streams["video"]}), corpus, media_dir, tmp_path)
    assert load_encoders(tmp_path / "encoder").streams.keys() == {"look"}


def hear(plan: PretrainPlan, name: str) -> PretrainPlan:
    """Return a plan with a sound encoder for one stream."""
    sampling = SoundSampling(clip_rate_hz=2.0, window_s=1.0, rate_hz=16000)
    return replace(plan, streams={**plan.streams, name: LogMelParams(name="log_mel", sampling=sampling)})


def test_an_objective_that_would_train_an_encoder_of_sound_is_refused(corpus: Corpus, media_dir: Path, tmp_path: Path) -> None:
    message = r"the encoder of the stream 'video' reads sound; .* train nothing: dvc exp run -S pretrain.objective=none"
    with pytest.raises(ValueError, match=message):
        run(hear(build_plan(), "video"), corpus, media_dir, tmp_path)


def test_encoders_of_sound_need_no_training(corpus: Corpus, media_dir: Path, tmp_path: Path) -> None:
    plan = replace(hear(build_plan("none"), "sound"), seed=3)
    run(plan, corpus, media_dir, tmp_path)
    found = load_encoders(tmp_path / "encoder").streams["sound"]
    expected = plan.streams["sound"].build().state_dict()
    assert found.params == plan.streams["sound"]
    assert all(torch.equal(found.encoder.state_dict()[name], weight) for name, weight in expected.items())


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["mil_nce", "vicreg"])
def test_a_run_that_was_killed_ends_with_the_bytes_of_an_undisturbed_one(
    objective: str, corpus: Corpus, media_dir: Path, tmp_path: Path
) -> None:
    values = {"ema_decay": 0.9, "accumulate_batches": 2, "validation_interval": 2}
    plan = build_plan(objective, **values)
    expected = run(plan, corpus, media_dir, tmp_path / "undisturbed")
    kill(plan, corpus, media_dir, tmp_path / "killed")
    assert len(list((tmp_path / "killed" / "cache" / "pretrain").glob("*/*.ckpt"))) == 2
    assert run(plan, corpus, media_dir, tmp_path / "killed") == expected


def kill(plan: PretrainPlan, corpus: Corpus, media_dir: Path, folder: Path) -> None:
    """Pretrain in a process that is killed at the start of its third epoch."""
    child = multiprocessing.get_context("fork").Process(target=run_and_die, args=(plan, corpus, media_dir, folder))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


def run_and_die(plan: PretrainPlan, corpus: Corpus, media_dir: Path, folder: Path) -> None:
    """Kill this process at the start of the third epoch."""

    def die(self: ObjectiveModule, epoch: int) -> list[BatchPlan]:
        if len(self.curve) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return plan_batches(self, epoch)

    plan_batches = ObjectiveModule.plan_batches
    ObjectiveModule.plan_batches = die  # type: ignore[method-assign]
    run(plan, corpus, media_dir, folder)


def test_a_finished_run_leaves_no_training_state_and_only_its_own_clips(corpus: Corpus, media_dir: Path, tmp_path: Path) -> None:
    stale = tmp_path / "cache" / "clips" / "other" / "x.npy"
    stale.parent.mkdir(parents=True)
    stale.touch()
    run(build_plan(), corpus, media_dir, tmp_path)
    assert not list((tmp_path / "cache" / "pretrain").iterdir())
    assert len(list((tmp_path / "cache" / "clips").rglob("*.npy"))) == len(corpus.videos)


def test_metrics_and_curves_hold_training_and_validation_figures(corpus: Corpus, media_dir: Path, tmp_path: Path) -> None:
    run(build_plan(epochs=3, validation_interval=2), corpus, media_dir, tmp_path)
    metrics = json.loads((tmp_path / "encoder" / "metrics.json").read_text())
    rows = list(csv.DictReader((tmp_path / "encoder" / "curves.csv").read_text().splitlines()))
    assert (metrics["best_epoch"], metrics["epochs"]) == (2, 3)
    figures = {f"{split}/{name}" for split in ("train", "val") for name in ("loss", "accuracy", "chance", "words")}
    assert figures <= metrics.keys()
    assert [bool(row["val/loss"]) for row in rows] == [False, True, True]


@pytest.mark.slow
def test_training_lifts_the_accuracy_on_validation_videos_far_above_chance(
    corpus: Corpus, media_dir: Path, tmp_path: Path
) -> None:
    run(build_plan(epochs=40), corpus, media_dir, tmp_path)
    metrics = json.loads((tmp_path / "encoder" / "metrics.json").read_text())
    assert metrics["val/accuracy"] > 0.9
    assert metrics["val/chance"] < 0.6


def test_a_corpus_without_training_sentences_is_refused_with_the_remedy(corpus: Corpus, media_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"needs training sentences .* got none among 0 sentences.*objective=vicreg"):
        run(build_plan(), replace(corpus, queries=()), media_dir, tmp_path)


def test_a_corpus_without_training_videos_is_refused(media_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no video in the split 'train'"):
        run(build_plan(), Corpus((), ()), media_dir, tmp_path)


def test_a_small_corpus_gets_more_epochs_until_it_has_the_least_number_of_steps() -> None:
    training = ObjectiveTraining(max_epochs=2, min_steps=50, videos_per_batch=4, optimizer=AdamWParams(learning_rate=0.01))
    assert training.count_epochs(num_videos=10) == 17
    assert training.count_epochs(num_videos=400) == 2


def test_the_registry_refuses_an_objective_that_learns_but_has_no_training() -> None:
    with pytest.raises(ValueError, match="training"):
        MILNCEParams.model_validate({"name": "mil_nce"})


@pytest.mark.slow
def test_a_training_is_a_run_with_a_point_an_epoch_and_its_files(
    corpus: Corpus, media_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'runs.db'}")
    folders = Folders(media_dir, tmp_path / "encoder", tmp_path / "cache")
    result = pretrain_tracked(build_plan(epochs=2), corpus, folders, tags={"colour": "red"})
    run_id = json.loads((tmp_path / "encoder" / "run.json").read_text())["run_id"]
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'runs.db'}")
    found = client.get_run(run_id)
    assert (found.info.run_name, found.data.tags["colour"]) == ("pretrain mil_nce", "red")
    assert found.data.params["objective.training.optimizer.learning_rate"] == "0.005"
    points = client.get_metric_history(run_id, "train/loss")
    assert [(point.step, point.value) for point in points] == [(row["epoch"], row["train/loss"]) for row in result.curve]
    assert {file.path for file in client.list_artifacts(run_id)} >= {"config.json", "metrics.json", "curves.csv"}


def test_an_objective_sees_where_clips_come_from_and_acts_after_each_optimizer_step(
    corpus: Corpus, media_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float] = []
    batches: list[ClipBatch] = []
    forward = VICRegObjective.forward
    monkeypatch.setattr(VICRegObjective, "act_after_step", lambda _, share: shares.append(share))
    monkeypatch.setattr(VICRegObjective, "forward", lambda self, batch, g: batches.append(batch) or forward(self, batch, g))
    run(build_plan("vicreg", epochs=2, accumulate_batches=2, validation_interval=2), corpus, media_dir, tmp_path)
    assert shares == pytest.approx([2 / 6, 3 / 6, 5 / 6, 1.0])  # 3 batches an epoch: steps after the second and the last
    durations = {video.video_id: video.duration_s for video in corpus.videos}
    for batch in batches:
        assert batch.video_index.tolist() == sorted(batch.video_index.tolist())
        assert ((batch.spans_s[:, 1] - batch.spans_s[:, 0]) == 0.5).all()
        for index, span in zip(batch.video_index, batch.spans_s, strict=True):
            assert 0 <= span[0] < span[1] <= durations[batch.video_ids[index]]


@pytest.mark.parametrize("monitor", ["metric", "validation_loss"])
@pytest.mark.slow
def test_a_schedule_that_watches_a_figure_of_some_epochs_only_is_refused(
    monitor: str, corpus: Corpus, media_dir: Path, tmp_path: Path
) -> None:
    plan = build_plan(schedule={"name": "plateau", "monitor": monitor}, validation_interval=2)
    with pytest.raises(ValueError, match="'plateau' watches a figure that not every epoch .* set training.schedule.monitor"):
        run(plan, corpus, media_dir, tmp_path)


@pytest.mark.parametrize("training", [{"schedule": {"name": "step", "every_epochs": 1}}, {"optimizer": {"name": "sps"}}])
@pytest.mark.slow
def test_objectives_train_with_the_optimizers_and_schedules_of_roles(
    training: dict[str, object], corpus: Corpus, media_dir: Path, tmp_path: Path
) -> None:
    own = {"gradient_clip_norm": None} if "optimizer" in training else {}
    files = run(build_plan(epochs=1, **training, **own), corpus, media_dir, tmp_path)
    assert "config.json" in files


@pytest.mark.needs_precision("bf16-mixed")
def test_objectives_train_in_bf16_with_losses_in_single_precision(corpus: Corpus, media_dir: Path, tmp_path: Path) -> None:
    run(build_plan(epochs=1, precision="bf16-mixed"), corpus, media_dir, tmp_path)
    assert float(json.loads((tmp_path / "encoder" / "metrics.json").read_text())["train/loss"]) > 0
