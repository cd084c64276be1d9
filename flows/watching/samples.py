"""The two samples of a watch: training, and a window of the service's traffic log."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from corpus.files import read_json, read_jsonl
from corpus.moments import Floats
from corpus.records import TRAIN, VALIDATION, Corpus, load_corpus
from evaluation.drift.samples import Answers, Feedback, Sample
from flows.watching.sentences import SentenceReader
from search.answers import MAX_QUERIES, Answer, SearchQuery, Verdict
from search.clip_index import ClipIndex
from search.kinds import load_predictor, open_cache
from search.predictor import MomentPredictor
from serving.traffic.rows import TrafficRow

MOST_REFERENCE = 1000  # sentences of training that are drawn
MOST_SEARCHED = 200  # of validation, whose answers no training has seen
REPEAT_S = 600.0  # a sentence asked again within ten minutes counts once: people page, reload and share
_SEED = 2026
_MODEL_CHARACTERS = 12  # of the bundle's version in a row


class Places(NamedTuple):
    """Where a watch finds its data."""

    corpus_dir: Path
    bundle_dir: Path
    index_dir: Path
    state_dir: Path  # of the service


def build_reference(places: Places, reader: SentenceReader, *, feedback: Feedback | None) -> Sample:
    """Return a sentence of each video of training and validation, the answers to those of validation, and the videos.

    The models never learned from the sentences of validation, so their answers are what the service would give.

    Raises:
        FileNotFoundError: when corpus, bundle or index are missing.
    """
    corpus = load_corpus(places.corpus_dir)
    sentences = reader.read(draw_texts(corpus, (TRAIN, VALIDATION), most=MOST_REFERENCE))
    predictor = load_predictor(places.bundle_dir, places.index_dir, num_threads=1)
    asked = draw_texts(corpus, (VALIDATION,), most=MOST_SEARCHED)
    videos = [video.video_id for video in corpus.videos if video.split in (TRAIN, VALIDATION)]
    return Sample(
        texts=sentences.texts,
        num_words=sentences.num_words,
        has_unknown=np.array([bool(words) for words in sentences.unknown_words], dtype=bool),
        verbs=sentences.verbs,
        vectors=sentences.vectors,
        answers=_collect([_judge(answer) for answer in search_all(predictor, asked)]),
        feedback=feedback,
        clips=_average(predictor.collection.clips, videos) if isinstance(predictor, MomentPredictor) else None,
    )


def draw_texts(corpus: Corpus, splits: Collection[str], *, most: int) -> list[str]:
    """Return one sentence of each video of some splits, at most `most`, drawn with a fixed seed.

    Sentences about one video share what it shows. The tests need rows that do not depend on each other, so one stands for all.
    """
    rng = np.random.default_rng(_SEED)
    by_video: dict[str, list[str]] = {}
    for query in corpus.queries:
        if query.split in splits:
            by_video.setdefault(query.video_id, []).append(query.text)
    texts = [video[int(rng.integers(len(video)))] for video in by_video.values()]
    return [texts[one] for one in rng.permutation(len(texts))[:most]]


def search_all(predictor: Any, texts: Sequence[str]) -> list[Answer]:
    """Return the answers to sentences over the whole collection."""
    answers: list[Answer] = []
    for start in range(0, len(texts), MAX_QUERIES):
        answers += predictor.search([SearchQuery(text) for text in texts[start : start + MAX_QUERIES]])
    return answers


def build_window(
    rows: Sequence[TrafficRow], reader: SentenceReader, *, feedback: Feedback | None = None, clips: Floats | None = None
) -> Sample:
    """Return rows of traffic as a sample; sentences count where their text is kept, answers if the served models gave them."""
    texts = [row.query for row in rows if row.query is not None]
    has_text = len(texts) == len(rows) and bool(rows)
    sentences = reader.read(texts) if has_text else None
    model = reader.bundle.version[:_MODEL_CHARACTERS]
    own = [row for row in rows if row.model == model and row.endpoint in ("search", "batch") and not row.is_limited]
    answers = [(row.best.score if row.best else None, row.verdict) for row in own]
    return Sample(
        texts=sentences.texts if sentences else None,
        num_words=np.array([row.num_words for row in rows], dtype=np.float64),
        has_unknown=np.array([row.num_unknown > 0 for row in rows], dtype=bool),
        verbs=sentences.verbs if sentences else None,
        vectors=sentences.vectors if sentences else None,
        unknown_words=[word for row in rows for word in row.unknown_words or ()],
        answers=_collect(answers),
        feedback=feedback,
        clips=clips,
    )


def collapse_repeats(rows: Iterable[TrafficRow]) -> list[TrafficRow]:
    """Leave out a sentence that was asked within the last ten minutes. Rows without text and hash all stay."""
    kept: list[TrafficRow] = []
    last_s: dict[str, float] = {}
    for row in rows:
        key = row.query if row.query is not None else row.query_hash
        if key is None or row.time_s - last_s.get(key, -np.inf) > REPEAT_S:
            kept.append(row)
        if key is not None:
            last_s[key] = row.time_s
    return kept


def count_feedback(state_dir: Path, *, from_s: float = 0.0, to_s: float = np.inf) -> Feedback | None:
    """Return people's verdicts of a span of time, None without any."""
    path = state_dir / "feedback.jsonl"
    rows = [row for _, row in read_jsonl(path) if from_s <= row["time_s"] < to_s] if path.is_file() else []
    return Feedback(sum(row["verdict"] == "wrong" for row in rows), len(rows)) if rows else None


def load_upload_clips(places: Places, reader: SentenceReader) -> Floats | None:
    """Return the mean clip vector (V, E) of each upload that the bundle encoded, None without any."""
    records: list[Mapping[str, Any]] = [read_json(path) for path in sorted((places.state_dir / "uploads").glob("*/record.json"))]
    if not records or not reader.bundle.can_encode or not (places.state_dir / "encoded").is_dir():
        return None
    cache = open_cache(places.state_dir / "encoded", reader.bundle)
    encoded = [cache.load(str(record["sha256"])) for record in records]
    vectors = [one.vectors.mean(axis=0) for one in encoded if one is not None and hasattr(one, "vectors")]
    return np.stack(vectors).astype(np.float64) if vectors else None


def _average(clips: ClipIndex, video_ids: Iterable[str]) -> Floats | None:
    held = [clips.get_vectors(video_id).mean(axis=0) for video_id in video_ids if video_id in clips.video_ids]
    return np.stack(held).astype(np.float64) if held else None


def _judge(answer: Answer) -> tuple[float | None, Verdict]:
    best = answer.moments[0] if answer.moments else answer.best_guess
    return (best.score if best else None), answer.verdict


def _collect(answers: Sequence[tuple[float | None, Verdict]]) -> Answers | None:
    if not answers:
        return None
    scores = np.array([score for score, _ in answers if score is not None], dtype=np.float64)
    return Answers(scores, sum(verdict is Verdict.NOT_FOUND for _, verdict in answers), len(answers))
