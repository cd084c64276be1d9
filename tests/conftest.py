"""What all tests share: the reference folder, a small project with untrained models, and one run of the whole pipeline."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from corpus.files import sha256_file, write_json
from corpus.media import ClipSampling, probe
from corpus.moments import Moment
from corpus.records import Corpus, Query, Video, save_corpus
from stages.support.entry import TELEMETRY_OFF

RunIn = Callable[..., str]
ROOT = Path(__file__).resolve().parents[1]
SENTENCES = ("a red circle moves left", "the blue square spins", "then the green circle leaves", "a square grows and shrinks")


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The reference folder beside the checkout; tests that need it are skipped where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("the reference folder ../shared is absent on this machine")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, headless, of one test module; tests that need it are skipped where it is not installed."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=arguments)
        yield chromium
        chromium.close()


@dataclass(frozen=True)
class SmallProject:
    """The folders of a project with four videos of 5 to 8 s and untrained models, up to the index."""

    root: Path

    def __getattr__(self, name: str) -> Path:
        """Return a folder by name: raw, corpus, encoder, features, checkpoints, bundle, index."""
        return self.root / name


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """A small project up to its checkpoints. Tests must not write into it."""
    project = SmallProject(tmp_path_factory.mktemp("small"))
    corpus = _build_corpus(project.raw)
    save_corpus(corpus, project.corpus)
    _save_models(project, corpus)
    return project


@pytest.fixture(scope="session")
def small_project(small_models: SmallProject) -> SmallProject:
    """A small project with bundle and index. Tests must not write into it."""
    from serving.calibration import Calibration, Calibrations
    from serving.search import SearchSettings
    from stages.export import ExportInputs, export
    from stages.index import index

    project = small_models
    settings = SearchSettings(survivors=3, window_weight=2, localizer_weight=0.05, max_iou=0.5, moments_per_video=3)
    calibration = Calibration(slope=1.0, clip_slope=1.0, intercept=0.0, threshold=0.0)
    learned = Calibrations(search=calibration, localize=calibration, missing={})
    write_json(project.root / "calibration.json", learned.model_dump(mode="json"))
    inputs = ExportInputs(
        project.corpus, project.encoder, project.features, project.checkpoints, project.root / "calibration.json"
    )
    export(inputs, settings, max_difference=1e-4, bundle_dir=project.bundle)
    index(
        bundle_dir=project.bundle,
        corpus_dir=project.corpus,
        features_dir=project.features,
        corpus_name="small",
        index_dir=project.index,
    )
    return project


@pytest.fixture(scope="session")
def run_in() -> RunIn:
    """Runs a command in a folder, with this Python first on the path and telemetry off; returns what it printed."""

    def run(folder: Path, *command: str) -> str:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_", "PREFECT_"))}
        env = {**kept, **TELEMETRY_OFF, "PATH": path}
        result = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{' '.join(command)} ended with {result.returncode}:\n{result.stdout}\n{result.stderr}"
        return result.stdout

    return run


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory, run_in: RunIn) -> Path:
    """A copy of this checkout in which the whole pipeline has run on the smallest corpus; tests leave it as it is.

    Its first commit has no results, its second one has the lock.
    """
    checkout = tmp_path_factory.mktemp("tiny") / "checkout"
    for name in run_in(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).is_file() and name != "dvc.lock" and not name.endswith(".dvc"):  # corpora of one's own stay here
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, checkout / name)
    params = checkout / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8").replace("size: default", "size: tiny", 1), encoding="utf-8")
    run_in(checkout, "git", "init", "-q")
    _commit_all(checkout, "Start", run_in)
    run_in(checkout, "dvc", "repro")
    _commit_all(checkout, "Reproduce", run_in)
    return checkout


def _commit_all(checkout: Path, message: str, run_in: RunIn) -> None:
    run_in(checkout, "git", "add", "-A")
    run_in(checkout, "git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-q", "-m", message)


def _build_corpus(folder: Path) -> Corpus:
    videos, queries = [], []
    for number, sentence in enumerate(SENTENCES):
        path = folder / "videos" / f"v{number}.mp4"
        _write_video(path, seed=number, seconds=5 + number)
        info = probe(path)
        split = ("train", "val", "test", "test")[number]
        values = {name: getattr(info, name) for name in info.__slots__}
        videos.append(Video(video_id=f"v{number}", path=f"videos/{path.name}", split=split, sha256=sha256_file(path), **values))
        queries.append(Query(qid=f"q{number}", video_id=f"v{number}", text=sentence, spans=(Moment(1.0, 3.0),), split=split))
    return Corpus(tuple(videos), tuple(queries))


def _write_video(path: Path, *, seed: int, seconds: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(10 * seconds):
            image = np.repeat(np.repeat(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8), 8, 0), 8, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def _save_models(project: SmallProject, corpus: Corpus) -> None:
    import torch

    from corpus.media import iter_clips
    from corpus.store import Fingerprint, save_index, save_shard
    from corpus.text import Vocabulary
    from models.encoders.place_cnn import PlaceCNNParams
    from models.exchange.batches import InputDims
    from models.exchange.checkpoint import CheckpointConfig, save_checkpoint
    from models.exchange.encoder_files import load_encoders, save_encoders
    from models.localizers.place_tan import PlaceTANParams
    from models.retrievers.dual_encoder import DualEncoderParams
    from models.text_encoders.word_vectors import WordVectorsParams

    torch.manual_seed(0)
    sampling = ClipSampling(clip_rate_hz=2.0, offsets_s=(-0.2, 0.0, 0.2), size_px=16)
    video = PlaceCNNParams(name="place_cnn", sampling=sampling, channels=(8, 8, 8), dim=8, norm_groups=2)
    text = WordVectorsParams(name="word_vectors", dim=8)
    vocabulary = Vocabulary.from_texts(SENTENCES)
    save_encoders(
        project.encoder,
        video_params=video,
        video=video.build(),
        text_params=text,
        text=text.build(len(vocabulary)),
        tokenizer=vocabulary,
    )
    encoders = load_encoders(project.encoder)
    features = {}
    for one in corpus.videos:
        clips = torch.from_numpy(np.concatenate(list(iter_clips(project.raw / one.path, sampling, duration_s=one.duration_s))))
        features[one.video_id] = encoders.video(clips.flatten(0, 1)[None])[0].numpy().astype(np.float16)
    shard = save_shard(features, project.features / "shard-000.safetensors")
    fingerprint = Fingerprint(encoders.fingerprint.identity, {"decoder": "any"})
    save_index(project.features, fingerprint=fingerprint, clip_rate_hz=2.0, shards=[shard])
    dims = InputDims(feature_dim=8, num_places=4, text_dim=8)
    roles = {
        "retriever": DualEncoderParams(name="dual_encoder", embedding_dim=8, hidden_dim=16, text_hidden_dim=8),
        "localizer": PlaceTANParams(
            name="place_tan", num_cells=8, num_slots=2, text_hidden_dim=8, hidden_dim=16, num_layers=1, map_dim=4
        ),
    }
    for role, params in roles.items():
        config = CheckpointConfig(role, params.model_dump(mode="json"), dims, fingerprint, encoders.text_digest, longest_s=8.0)
        save_checkpoint(project.checkpoints / role, params.build(dims), config)
