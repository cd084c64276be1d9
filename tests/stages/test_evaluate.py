"""The stage `evaluate` on a small drawn corpus with untrained models, and its rules of choice."""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from corpus.files import sha256_file
from corpus.media import ClipSampling
from corpus.moments import Moment, RankedMoment
from corpus.records import Corpus, Query, Video, load_corpus, save_corpus
from corpus.store import Fingerprint, FingerprintMismatchError, save_index, save_shard
from corpus.text import Vocabulary
from models.blinds.text_only import TextOnlyParams
from models.encoders.place_cnn import PlaceCNNParams
from models.exchange.batches import InputDims
from models.exchange.checkpoint import CheckpointConfig, save_checkpoint
from models.exchange.encoder_files import load_encoders, save_encoders
from models.exchange.inputs import predict_candidates, select_text
from models.localizers.place_tan import PlaceTANParams
from models.metrics.convention import IoURule
from models.metrics.floors import build_unit_cells
from models.metrics.tan2d import Tan2dConvention
from models.retrievers.dual_encoder import DualEncoderParams
from models.text_encoders.word_vectors import WordVectorsParams
from serving.search import ScoredSpans, SearchSettings, rank_in_video, search_collection
from stages.evaluate import EvaluationInputs, describe_group, evaluate, list_splits
from stages.support.evaluation.answers import Answer, choose_best, choose_confident_misses, choose_spread, choose_worst
from stages.support.evaluation.collection_table import score_collection
from stages.support.evaluation.predictions import (
    build_index,
    encode_text,
    load_models,
    load_split_cells,
    predict_moments,
    search_questions,
)
from stages.support.evaluation.questions import prepare_questions
from stages.support.evaluation.slices import list_slices
from stages.support.evaluation.tables import Scoring
from stages.support.params import EvaluateParams, SearchParams

WORDS = ("red", "blue", "circle", "square", "moves", "spins", "leaves")
DIM, PLACES, CELLS = 4, 4, 8
PARAMS = EvaluateParams(split="test", bootstrap_samples=50, seed=1)
SEARCH = SearchParams(survivors=3, localizer_weight=0.5, max_iou=0.5, moments_per_video=5)


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
    return Video(video_id, "videos/drawn.mp4", split, 4.0 + len(video_id) % 3, 5.0, 20, 64, 32, 0, "h264", False, "0")


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
    save_index(folder, fingerprint=fingerprint, clip_rate_hz=2.0, shards=[save_shard(features, folder / "shard-000.safetensors")])


def write_models(folder: Path) -> Fingerprint:
    """Write untrained encoders and checkpoints that read each other; returns the fingerprint of their features."""
    torch.manual_seed(0)
    sampling = ClipSampling(clip_rate_hz=2.0, offsets_s=(-0.2, 0.0, 0.2), size_px=16)
    video = PlaceCNNParams(name="place_cnn", sampling=sampling, channels=(8, 8, 8), dim=DIM, norm_groups=2)
    text, vocabulary = WordVectorsParams(name="word_vectors", dim=DIM), Vocabulary(WORDS)
    save_encoders(
        folder / "encoder",
        video_params=video,
        video=video.build(),
        text_params=text,
        text=text.build(len(vocabulary)),
        vocabulary=vocabulary,
    )
    encoders, dims = load_encoders(folder / "encoder"), InputDims(feature_dim=DIM, num_places=PLACES, text_dim=DIM)
    components: dict[str, Any] = {
        "retriever": DualEncoderParams(name="dual_encoder", embedding_dim=8, hidden_dim=8, text_hidden_dim=8),
        "localizer": PlaceTANParams(name="place_tan", num_cells=CELLS, text_hidden_dim=8, hidden_dim=8, map_dim=4, num_layers=1),
        "blind": TextOnlyParams(name="text_only", num_cells=CELLS, hidden_dim=8),
    }
    for role, params in components.items():
        config = CheckpointConfig(role, params.model_dump(mode="json"), dims, encoders.fingerprint, encoders.text_digest)
        save_checkpoint(folder / "checkpoints" / role, params.build(dims), config)
    return encoders.fingerprint


def write_world(folder: Path, corpus: Corpus) -> EvaluationInputs:
    draw_video(folder / "raw" / "videos" / "drawn.mp4")
    save_corpus(corpus, folder / "corpus")
    write_features(folder / "features", corpus, write_models(folder))
    return EvaluationInputs(folder / "raw", folder / "corpus", folder / "encoder", folder / "features", folder / "checkpoints")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> EvaluationInputs:
    counts = {"train": 4, "val": 3, "test": 5, "test_unseen": 2}
    return write_world(tmp_path_factory.mktemp("world"), build_corpus(counts))


@pytest.fixture(scope="module")
def report_dir(world: EvaluationInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    evaluate(PARAMS, SEARCH, inputs=world, output_dir=folder)
    return folder


@pytest.fixture(scope="module")
def metrics(report_dir: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((report_dir / "metrics.json").read_text(), parse_constant=pytest.fail)
    return content


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_every_split_that_matters_has_its_group_with_floors(metrics: dict[str, Any]) -> None:
    assert list(metrics) == ["test", "test_unseen", "val"]
    for group in metrics.values():
        assert sorted(group["floors"]) == ["blind", "chance", "prior", "shuffled", "whole_video"]
        assert {"R1_iou0.5", "R1_iou0.5_low", "R1_iou0.5_high", "R5_iou0.7", "mIoU"} <= group["localizer"].keys()
    assert "collection" in metrics["test"]
    assert "collection" in metrics["val"]


def test_the_compared_metrics_are_few_and_the_summary_has_the_rest(report_dir: Path, metrics: dict[str, Any]) -> None:
    summary = json.loads((report_dir / "summary.json").read_text())["test"]
    assert summary["localizer"]["R5_iou0.7_low"] is not None
    assert "R5_iou0.7_low" not in metrics["test"]["localizer"]
    assert metrics["test"]["floors"]["prior"].keys() == {"R1_iou0.5", "mIoU"}
    assert summary["floors"]["prior"].keys() > {"R1_iou0.5", "mIoU", "R5_iou0.7"}


def test_unlabelled_videos_belong_to_the_collection(metrics: dict[str, Any]) -> None:
    assert metrics["test"]["queries"] == 16
    assert metrics["test"]["collection"]["videos"] == 5


def test_the_margin_is_the_localizer_minus_the_best_floor(metrics: dict[str, Any]) -> None:
    group = metrics["test"]
    floors = {name: values["R1_iou0.5"] for name, values in group["floors"].items() if values["R1_iou0.5"] is not None}
    assert floors[group["best_floor"]] == max(floors.values())
    margin = group["localizer"]["R1_iou0.5"] - max(floors.values())
    assert group["margin_over_best_floor"] == pytest.approx(margin, abs=2e-6)


def test_a_second_evaluation_gives_the_same_bytes(world: EvaluationInputs, report_dir: Path, tmp_path: Path) -> None:
    evaluate(PARAMS, SEARCH, inputs=world, output_dir=tmp_path)
    hashes = [{path.name: sha256_file(path) for path in folder.rglob("*.*")} for folder in (report_dir, tmp_path)]
    assert hashes[0] == hashes[1]
    assert {"metrics.json", "floors.csv", "recall_curve.csv", "slices.csv", "index.html", "answers.png"} <= hashes[0].keys()


def test_the_page_loads_nothing_from_anywhere(report_dir: Path) -> None:
    page = (report_dir / "index.html").read_text()
    assert all(target.startswith("data:") for target in re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]+)""", page))
    assert not re.search(r"://|url\(|@import|<script|<link", page)
    assert page.count("data:image/jpeg;base64,") >= 4


def test_the_page_escapes_sentences(world: EvaluationInputs, tmp_path: Path) -> None:
    corpus = build_corpus({"train": 2, "val": 1, "test": 2})
    hostile = replace(corpus.queries[-1], text="<script>alert(1)</script> red & blue")
    save_corpus(Corpus(corpus.videos, (*corpus.queries[:-1], hostile)), tmp_path / "corpus")
    write_features(tmp_path / "features", corpus, load_encoders(world.encoder_dir).fingerprint)
    inputs = world._replace(corpus_dir=tmp_path / "corpus", features_dir=tmp_path / "features")
    evaluate(PARAMS, SEARCH, inputs=inputs, output_dir=tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_predictions_are_written_in_the_public_format(report_dir: Path) -> None:
    rows = [json.loads(line) for line in (report_dir / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 16
    assert rows[0].keys() == {"qid", "query", "vid", "pred_relevant_windows"}
    for row in rows:
        windows = np.array(row["pred_relevant_windows"])
        assert windows.shape[1] == 3
        assert (windows[:, 0] < windows[:, 1]).all()
        assert (np.diff(windows[:, 2]) <= 0).all()


def test_per_query_rows_repeat_the_headline_figure(report_dir: Path, metrics: dict[str, Any]) -> None:
    rows = [json.loads(line) for line in (report_dir / "per_query.jsonl").read_text().splitlines()]
    assert np.mean([row["iou"] > 0.5 for row in rows]) == pytest.approx(metrics["test"]["localizer"]["R1_iou0.5"], abs=1e-6)
    assert np.mean([row["iou"] for row in rows]) == pytest.approx(metrics["test"]["localizer"]["mIoU"], abs=1e-5)


def test_the_answers_are_those_of_the_service(world: EvaluationInputs, report_dir: Path) -> None:
    models = load_models(encoder_dir=world.encoder_dir, features_dir=world.features_dir, checkpoints_dir=world.checkpoints_dir)
    questions = prepare_questions(load_corpus(world.corpus_dir), "test")
    text, cells = encode_text(models, questions), load_split_cells(models, questions)
    found = predict_moments(models.localizer, questions, text, cells)
    rows = [json.loads(line) for line in (report_dir / "per_query.jsonl").read_text().splitlines()]
    settings = SearchSettings.model_validate(SEARCH.model_dump())
    for spans, scores, row in zip(found.spans, found.scores, rows, strict=True):
        served = rank_in_video(row["video_id"], ScoredSpans(spans, scores), settings, top_k=10)
        np.testing.assert_allclose([moment[1:] for moment in served], row["found"], atol=1e-3)


def test_the_collection_ranks_are_those_of_the_service_one_query_at_a_time(world: EvaluationInputs) -> None:
    models = load_models(encoder_dir=world.encoder_dir, features_dir=world.features_dir, checkpoints_dir=world.checkpoints_dir)
    questions = prepare_questions(load_corpus(world.corpus_dir), "test")
    text, cells = encode_text(models, questions), load_split_cells(models, questions)
    settings = SearchSettings.model_validate(SEARCH.model_dump())
    answers = search_questions(models, questions, text, cells, settings=settings, top_k=100)
    index, durations_s = build_index(models, questions), {video.video_id: video.duration_s for video in questions.videos}
    with torch.no_grad():
        vectors = models.retriever.embed_queries(text).numpy()
    for row in (0, 7, 15):

        def localize(video_ids: list[str], row: int = row) -> list[ScoredSpans]:
            sentence = select_text(text, torch.full((len(video_ids),), row))
            found = predict_candidates(models.localizer, cells=cells, durations_s=durations_s, video_ids=video_ids, text=sentence)
            return [ScoredSpans(spans, scores) for spans, scores in zip(found.spans, found.scores, strict=True)]

        alone = search_collection(vectors[row], index, localize, settings, top_k=100)
        assert [moment.video_id for moment in answers[row]] == [moment.video_id for moment in alone]
        np.testing.assert_allclose([moment[1:] for moment in answers[row]], [moment[1:] for moment in alone], atol=1e-5)


def test_the_recall_curve_falls_and_meets_the_table(report_dir: Path, metrics: dict[str, Any]) -> None:
    curve = read_csv(report_dir / "recall_curve.csv")
    for name in ("localizer", "chance", "prior", "blind", "shuffled", "whole_video"):
        values = [float(row[name]) for row in curve]
        assert values == sorted(values, reverse=True)
    half = next(row for row in curve if row["iou"] == "0.5")
    assert float(half["localizer"]) == metrics["test"]["localizer"]["R1_iou0.5"]
    assert float(half["chance"]) == metrics["test"]["floors"]["chance"]["R1_iou0.5"]


def test_slices_of_a_property_cover_every_query_once(report_dir: Path) -> None:
    groups: dict[str, int] = {}
    for row in read_csv(report_dir / "slices.csv"):
        groups[row["slice"]] = groups.get(row["slice"], 0) + int(row["queries"])
    assert groups == dict.fromkeys(["moment length", "position", "query length", "form", "kind"], 16)


def test_one_test_video_has_no_interval_and_no_shuffled_floor(tmp_path: Path) -> None:
    inputs = write_world(tmp_path, build_corpus({"train": 1, "val": 1, "test": 1}))
    group = evaluate(PARAMS, SEARCH, inputs=inputs, output_dir=tmp_path / "report")["test"]
    assert group["localizer"]["R1_iou0.5_low"] is None
    assert group["floors"]["shuffled"]["R1_iou0.5"] is None
    assert group["floors"]["shuffled"]["reason"] == "needs queries about at least two videos, the split has 1"
    assert "one video, no interval" in describe_group("test", group)
    assert "not computed: needs queries about at least two videos" in (tmp_path / "report" / "index.html").read_text()


def test_a_validation_split_without_queries_is_said_and_not_scored(tmp_path: Path) -> None:
    corpus = build_corpus({"train": 2, "val": 1, "test": 2})
    inputs = write_world(tmp_path, Corpus(corpus.videos, tuple(query for query in corpus.queries if query.split != "val")))
    metrics = evaluate(PARAMS, SEARCH, inputs=inputs, output_dir=tmp_path / "report")
    assert metrics["val"] == {"queries": 0, "videos": 1}


def test_videos_that_are_gone_leave_a_report_without_frames(world: EvaluationInputs, tmp_path: Path) -> None:
    evaluate(PARAMS, SEARCH, inputs=world._replace(raw_dir=tmp_path / "nowhere"), output_dir=tmp_path / "report")
    assert "no video file" in (tmp_path / "report" / "index.html").read_text()


def test_a_split_without_queries_is_refused_with_the_splits_there_are(world: EvaluationInputs, tmp_path: Path) -> None:
    params = EvaluateParams(split="tset", bootstrap_samples=10, seed=0)
    with pytest.raises(
        ValueError, match=r"evaluate.split = 'tset': that split has no queries; splits with queries: train, val, test"
    ):
        evaluate(params, SEARCH, inputs=world, output_dir=tmp_path)
    assert not any(tmp_path.iterdir())


def test_features_of_another_encoder_are_refused(world: EvaluationInputs, tmp_path: Path) -> None:
    corpus = build_corpus({"train": 4, "val": 3, "test": 5, "test_unseen": 2})
    write_features(tmp_path / "features", corpus, Fingerprint({"weights": "others"}, {}))
    with pytest.raises(FingerprintMismatchError, match="the trained retriever was made with other features"):
        evaluate(PARAMS, SEARCH, inputs=world._replace(features_dir=tmp_path / "features"), output_dir=tmp_path / "report")


def test_missing_checkpoints_name_the_command_that_makes_them(world: EvaluationInputs, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no trained retriever; run: dvc repro train@retriever"):
        evaluate(PARAMS, SEARCH, inputs=world._replace(checkpoints_dir=tmp_path), output_dir=tmp_path / "report")


def test_the_chosen_split_comes_first_and_no_split_twice() -> None:
    corpus = build_corpus({"train": 1, "val": 1, "test": 1, "test_swapped": 1, "test_unseen": 1})
    assert list_splits(corpus, "test") == ["test", "val", "test_swapped", "test_unseen"]
    assert list_splits(corpus, "test_unseen") == ["test_unseen", "val", "test_swapped"]
    assert list_splits(corpus, "val") == ["val", "test_swapped", "test_unseen"]


def build_scoring() -> Scoring:
    return Scoring(Tan2dConvention(iou_rule=IoURule.ABOVE, max_iou=0.5), build_unit_cells(4), bootstrap_samples=20, seed=0)


def test_collection_recall_counts_moments_elsewhere() -> None:
    videos = tuple(build_video(video_id, "test") for video_id in ("a", "b"))
    query = Query("q", "a", "red", (Moment(0, 1),), "test", elsewhere={"b": (Moment(2, 4),)})
    answers = [[RankedMoment("b", 2.0, 4.0, 1.0)]]
    for asked, rank in ((query, 1.0), (replace(query, elsewhere={}), np.inf)):
        questions = prepare_questions(Corpus(videos, (asked,)), "test")
        assert score_collection(answers, questions, build_scoring(), moments_per_video=5).ranks.tolist() == [rank]


def test_a_query_about_a_video_of_another_split_is_refused() -> None:
    corpus = Corpus((build_video("a", "train"),), (Query("q", "a", "red", (Moment(0, 1),), "test"),))
    with pytest.raises(ValueError, match="query 'q' of split 'test' is about 'a', which is no video of that split"):
        prepare_questions(corpus, "test")


def test_a_tag_with_too_many_values_is_no_slice() -> None:
    corpus = build_corpus({"test": 8})
    tagged = tuple(replace(query, tags={"id": query.qid, "form": "x"}) for query in corpus.queries)
    groups = {one.group for one in list_slices(prepare_questions(Corpus(corpus.videos, tagged), "test"))}
    assert groups == {"moment length", "position", "query length", "form"}


@pytest.fixture
def build_answer() -> Callable[..., Answer]:
    def build(number: int, *, iou: float, score: float, video_id: str = "", start_s: float = 0.0) -> Answer:
        video = build_video(video_id or f"v{number}", "test")
        query = Query(f"q{number}", video.video_id, "red", (Moment(0, 1),), "test")
        return Answer(query, video, np.array([[start_s, start_s + 1]]), np.array([score]), iou, None)

    return build


def test_the_spread_goes_from_good_to_bad_with_videos_of_their_own(build_answer: Callable[..., Answer]) -> None:
    answers = [build_answer(number, iou=number / 20, score=0.5, video_id=f"v{number // 2}") for number in range(20)]
    chosen = choose_spread(answers, 4)
    assert [answer.iou for answer in chosen] == sorted((answer.iou for answer in chosen), reverse=True)
    assert chosen[0].iou > 0.7
    assert chosen[-1].iou < 0.25
    assert len({answer.video.video_id for answer in chosen}) == 4


def test_the_spread_of_few_answers_is_all_of_them(build_answer: Callable[..., Answer]) -> None:
    answers = [build_answer(number, iou=number / 3, score=0.5, video_id="v") for number in range(3)]
    assert len(choose_spread(answers, 12)) == 3
    assert choose_spread([], 12) == []


def test_extremes_follow_their_rules(build_answer: Callable[..., Answer]) -> None:
    answers = [
        build_answer(0, iou=0.9, score=0.1),
        build_answer(1, iou=0.2, score=0.9, start_s=1.0),
        build_answer(2, iou=0.0, score=0.3, start_s=3.0),
    ]
    assert choose_best(answers, 2) == [answers[0]]
    assert choose_best(answers[1:], 2) == [answers[1]]
    assert choose_worst(answers, 1) == [answers[2]]
    assert choose_confident_misses(answers, 2) == [answers[1], answers[2]]


def test_extremes_take_one_answer_a_video(build_answer: Callable[..., Answer]) -> None:
    answers = [build_answer(number, iou=0.0, score=number / 10, video_id=f"v{number % 2}") for number in range(6)]
    assert choose_confident_misses(answers, 4) == [answers[5], answers[4]]


def test_slices_by_number_come_in_the_order_of_the_numbers() -> None:
    corpus = build_corpus({"test": 4})
    tagged = tuple(replace(query, tags={"actors": str(8 + number)}) for number, query in enumerate(corpus.queries[:4]))
    slices = list_slices(prepare_questions(Corpus(corpus.videos, tagged), "test"))
    assert [one.value for one in slices if one.group == "actors"] == ["8", "9", "10", "11"]
