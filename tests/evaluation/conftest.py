"""Fixtures of an evaluation: a small drawn corpus with features and untrained models, and one report of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from streams import video_dims, write_store

from corpus.media import ClipSampling
from corpus.moments import Moment
from corpus.records import Corpus, Query, Video, save_corpus
from corpus.store import Fingerprint, combine_fingerprints
from corpus.text import Vocabulary
from evaluation.examiner import EvaluationInputs, EvaluationPlan, evaluate
from models.artefacts.checkpoint import CheckpointConfig, save_checkpoint
from models.artefacts.encoder_files import load_encoders, save_encoders
from models.blinds.text_only import TextOnlyParams
from models.encoders.text.word_vectors import WordVectorsParams
from models.encoders.video.place_cnn import PlaceCNNParams
from models.localizers.place_tan import PlaceTANParams
from models.retrievers.dual_encoder import DualEncoderParams
from search.params import SearchParams
from workers import do_once

WORDS = ("red", "blue", "circle", "square", "moves", "spins", "leaves")
DIM, PLACES, CELLS = 4, 4, 8
SEARCH = SearchParams(survivors=3, window_weight=2, localizer_weight=0.05, max_iou=0.5, moments_per_video=5)
PLAN = EvaluationPlan(search=SEARCH, split="test", hit_rate=0.9, bootstrap_samples=50, seed=1)

RunEvaluation = Callable[..., dict[str, Any]]


def draw_video(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(0).integers(0, 256, size=(32, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        for index in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(image, 3 * index, axis=1), format="rgb24")))
        container.mux(stream.encode())


def build_video(video_id: str, split: str) -> Video:
    return Video(video_id=video_id, path="videos/drawn.mp4", split=split, duration_s=4.0 + len(video_id) % 3, sha256="0")


def build_queries(video: Video, count: int, rng: np.random.Generator) -> list[Query]:
    queries = []
    for number in range(count):
        start = float(rng.uniform(0, 0.6) * video.duration_s)
        end = start + float(rng.uniform(0.1, 0.4) * video.duration_s)
        text = " ".join(rng.choice(WORDS, size=4))
        tags = {"form": ("simple", "relation")[number % 2], "kind": str(rng.choice(WORDS[4:]))}
        moments = (Moment(round(start, 2), round(end, 2)),)
        queries.append(Query(f"{video.video_id}-{number}", video.video_id, text, moments, video.split, tags=tags, source="drawn"))
    return queries


def build_corpus(counts: dict[str, int], *, queries_per_video: int = 4) -> Corpus:
    """Videos per split; the last video of a split with several has no queries."""
    rng = np.random.default_rng(0)
    videos = [build_video(f"{split}-{number}", split) for split, count in counts.items() for number in range(count)]
    queries = []
    for video in videos:
        unlabelled = counts[video.split] > 1 and video.video_id == f"{video.split}-{counts[video.split] - 1}"
        queries += [] if unlabelled else build_queries(video, queries_per_video, rng)
    return Corpus(tuple(videos), tuple(queries))


def write_features(folder: Path, corpus: Corpus, fingerprint: Fingerprint) -> None:
    rng = np.random.default_rng(1)
    features = {v.video_id: rng.normal(size=(round(2 * v.duration_s), PLACES, DIM)).astype(np.float16) for v in corpus.videos}
    write_store(folder, {"video": features}, fingerprint=fingerprint, clip_rates_hz={"video": 2.0})


def write_models(folder: Path) -> Fingerprint:
    """Write untrained encoders and checkpoints that read each other; returns the fingerprint of their features."""
    torch.manual_seed(0)
    sampling = ClipSampling(clip_rate_hz=2.0, offsets_s=(-0.2, 0.0, 0.2), size_px=16)
    video = PlaceCNNParams(name="place_cnn", sampling=sampling, channels=(8, 8, 8), dim=DIM, norm_groups=2)
    text, vocabulary = WordVectorsParams(name="word_vectors", dim=DIM), Vocabulary(WORDS)
    save_encoders(
        folder / "encoder",
        streams={"video": video.start()},
        text_params=text,
        text=text.build(len(vocabulary)),
        tokenizer=vocabulary,
    )
    encoders, dims = load_encoders(folder / "encoder"), video_dims(dim=DIM, num_places=PLACES, text_dim=DIM)
    components: dict[str, Any] = {
        "retriever": DualEncoderParams(name="dual_encoder", embedding_dim=8, hidden_dim=8, text_hidden_dim=8),
        "localizer": PlaceTANParams(name="place_tan", num_cells=CELLS, text_hidden_dim=8, hidden_dim=8, map_dim=4, num_layers=1),
        "blind": TextOnlyParams(name="text_only", num_cells=CELLS, hidden_dim=8),
    }
    own = encoders.streams["video"].fingerprint
    for role, params in components.items():
        fingerprint = combine_fingerprints({name: own for name in params.streams})
        config = CheckpointConfig(role, params.model_dump(mode="json"), dims, fingerprint, encoders.text_digest, longest_s=6.0)
        save_checkpoint(folder / "checkpoints" / role, params.build(dims), config)
    return own


def write_world(folder: Path, corpus: Corpus) -> EvaluationInputs:
    draw_video(folder / "raw" / "videos" / "drawn.mp4")
    save_corpus(corpus, folder / "corpus")
    write_features(folder / "features", corpus, write_models(folder))
    return find_inputs(folder)


def find_inputs(folder: Path) -> EvaluationInputs:
    return EvaluationInputs(folder / "corpus", folder / "encoder", folder / "features", folder / "checkpoints")


def write_evaluation(inputs: EvaluationInputs, output_dir: Path, raw_dir: Path | None = None) -> dict[str, Any]:
    evaluation = evaluate(PLAN, inputs)
    evaluation.write(output_dir, raw_dir=raw_dir or inputs.corpus_dir.with_name("raw"))
    return dict(evaluation.summary)


@pytest.fixture(scope="session")
def make_video() -> Callable[[str, str], Video]:
    """Returns a video of an id and a split."""
    return build_video


@pytest.fixture(scope="session")
def make_corpus() -> Callable[..., Corpus]:
    """Returns a corpus with a number of videos per split; the last video of a split with several has no queries."""
    return build_corpus


@pytest.fixture(scope="session")
def make_features() -> Callable[[Path, Corpus, Fingerprint], None]:
    """Writes random features of a corpus."""
    return write_features


@pytest.fixture(scope="session")
def make_world() -> Callable[[Path, Corpus], EvaluationInputs]:
    """Writes a corpus with features and untrained models, and returns the folders."""
    return write_world


@pytest.fixture(scope="session")
def search() -> SearchParams:
    """Settings of the collection search."""
    return SEARCH


@pytest.fixture(scope="session")
def run_evaluation() -> RunEvaluation:
    """Evaluates the folders with few bootstrap samples."""

    return write_evaluation


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> EvaluationInputs:
    """The folders of a corpus with two test splits. Tests must not write into them."""
    counts = {"train": 4, "val": 3, "test": 5, "test_unseen": 2}
    corpus = build_corpus(counts)
    folder = do_once(tmp_path_factory, "world", lambda folder: write_world(folder / "world", corpus))
    return find_inputs(folder / "world")


@pytest.fixture(scope="session")
def report_dir(world: EvaluationInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of that corpus."""
    return do_once(tmp_path_factory, "report", lambda folder: write_evaluation(world, folder / "report")) / "report"


@pytest.fixture(scope="session")
def metrics(report_dir: Path) -> dict[str, Any]:
    """The metrics.json of that report."""
    content: dict[str, Any] = json.loads((report_dir / "metrics.json").read_text(), parse_constant=pytest.fail)
    return content
