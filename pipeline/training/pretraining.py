"""Pretraining of the encoders: prepares videos and sentences, trains or resumes, and writes the encoders' folder."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from corpus.files import write_bytes, write_json
from corpus.media import decoder_version
from corpus.params import Params
from corpus.records import TRAIN, VALIDATION, Corpus
from corpus.stream_names import VIDEO
from models.artefacts.encoder_files import CONFIG, compute_text_digest, save_encoders
from models.contracts.roles import ClipEncoderParams, ClipStart, TextEncoderParams, TextStart, VideoEncoder
from models.encoders.pretrained.source import SourceParams
from models.objectives.base import Objective, ObjectiveParams
from models.objectives.clips import ClipData, build_pretraining_videos
from models.training.fitting import FitResult, fit
from models.training.learner import Report
from models.training.objective import ObjectiveModule
from pipeline.executors.clip_cache import ClipCache
from pipeline.executors.machine import choose_device
from pipeline.identity import find_code
from pipeline.resumable import open_state
from pipeline.tracking.tracked_run import TrackedRun, flatten
from pipeline.training.curves import format_csv
from pipeline.training.tracked import CURVES, METRICS, UNTRAINED, finish_run, run_tracked, summarize


@dataclass(frozen=True, slots=True)
class PretrainPlan:
    """The chosen components and the seed. Without streams, features come from files and nothing is trained."""

    streams: Mapping[str, ClipEncoderParams]  # encoder of each stream; the objective trains the encoder of `video`
    text_encoder: TextEncoderParams
    objective: ObjectiveParams
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return all values."""
        parts = {"text_encoder": self.text_encoder, "objective": self.objective}
        streams = {name: params.model_dump(mode="json") for name, params in self.streams.items()}
        return {"streams": streams, **{name: part.model_dump(mode="json") for name, part in parts.items()}, "seed": self.seed}


@dataclass(frozen=True, slots=True)
class Start:
    """The encoders before pretraining, and the objective around them; None if nothing is learned."""

    streams: Mapping[str, ClipStart]
    text: TextStart
    objective: Objective | None

    def list_licences(self) -> dict[str, str]:
        """Return the licence of each published source."""
        params: list[Params] = [self.text.params, *(start.params for start in self.streams.values())]
        return {one.source: one.licence or "not stated" for one in params if isinstance(one, SourceParams)}


def start(plan: PretrainPlan, corpus: Corpus) -> Start:
    """Build the encoders and the objective with weights from the plan's seed.

    Raises:
        ValueError: when the objective learns and the corpus has no training video, the stream that it trains is missing, or it
            needs sentences and the corpus has none.
    """
    _require_trained_stream(plan)
    train = corpus.of_split(TRAIN)
    if not train.videos and plan.objective.training is not None:
        raise ValueError("the corpus has no video in the split 'train'; add videos or lower ingest.test_share")
    texts = [query.text for query in train.queries]
    torch.manual_seed(plan.seed)
    video = plan.streams[VIDEO].start() if VIDEO in plan.streams else None
    text = plan.text_encoder.start(texts)
    return Start(_start_streams(plan, {VIDEO: video} if video else {}), text, _build_objective(plan, video, text, texts))


def _build_objective(plan: PretrainPlan, video: ClipStart | None, text: TextStart, texts: Sequence[str]) -> Objective | None:
    """Return the objective around the encoder of `video`; None if nothing is learned.

    Raises:
        ValueError: when the encoder that the objective would train reads sound.
    """
    if video is None or plan.objective.training is None:
        return None
    if not isinstance(video.encoder, VideoEncoder):
        raise ValueError(
            f"the objective learns from pictures, but the encoder of the stream {VIDEO!r} reads sound; give "
            f"pretrain.streams.{VIDEO} an encoder of pictures, or train nothing: dvc exp run -S pretrain.objective=none"
        )
    return plan.objective.build(video.encoder, text if plan.objective.reads_sentences else None, texts)


def _require_trained_stream(plan: PretrainPlan) -> None:
    if plan.streams and VIDEO not in plan.streams and plan.objective.training is not None:
        raise ValueError(
            f"the objective trains the encoder of the stream {VIDEO!r}, but pretrain.streams names only "
            f"{', '.join(plan.streams)}; add it, or train nothing: dvc exp run -S pretrain.objective=none"
        )


def _start_streams(plan: PretrainPlan, started: Mapping[str, ClipStart]) -> dict[str, ClipStart]:
    """Return the encoders of all streams; initial weights do not depend on the other streams."""
    streams = {}
    for name, params in plan.streams.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            streams[name] = started[name] if name in started else params.start()
    return streams


@dataclass(frozen=True, slots=True)
class Folders:
    """Folders of the videos, of the encoders to write, and of the cached clips and resumable states."""

    media_dir: Path
    out_dir: Path
    cache_dir: Path


def pretrain(plan: PretrainPlan, corpus: Corpus, folders: Folders) -> FitResult:
    """Train the encoders and write them.

    The state is saved to the cache after every epoch. A killed run resumes from it and ends with the same bytes.
    """
    begun = start(plan, corpus)
    state_dir = _open_state(plan, corpus, begun, folders)
    result = _learn(plan, corpus, begun, folders, state_dir)
    shutil.rmtree(state_dir, ignore_errors=True)
    return result


def pretrain_tracked(plan: PretrainPlan, corpus: Corpus, folders: Folders, *, tags: Mapping[str, str]) -> FitResult:
    """Train the encoders like `pretrain`, under a tracked run; without training there is no run."""
    if not plan.streams or plan.objective.training is None:
        return pretrain(plan, corpus, folders)
    begun = start(plan, corpus)
    state_dir = _open_state(plan, corpus, begun, folders)
    tags = {**tags, "role": "pretrain", "cuepoint.key": state_dir.name}
    run = TrackedRun(folders.cache_dir / "tracking", state_dir, name="pretrain", params=flatten(plan.to_json()), tags=tags)
    result = run_tracked(run, lambda report: _learn(plan, corpus, begun, folders, state_dir, report))
    metrics = {f"best/{figure}": value for figure, value in result.best.items()}
    finish_run(run, folders.out_dir, metrics=metrics, files=(CONFIG, METRICS, CURVES))
    shutil.rmtree(state_dir, ignore_errors=True)
    return result


def _learn(
    plan: PretrainPlan, corpus: Corpus, begun: Start, folders: Folders, state_dir: Path, report: Report | None = None
) -> FitResult:
    """Train the objective, if there is one, and write the encoders with the figures of their training."""
    for source, licence in begun.list_licences().items():
        print(f"pretrain: licence of {source}: {licence}")
    result = UNTRAINED
    if begun.objective is not None:
        module, clips = _build_module(plan, corpus, begun.objective, folders, report)
        result = fit(module, state_dir=state_dir, device=choose_device(), show_progress=sys.stderr.isatty())
        clips.remove_others()
    text = begun.text
    save_encoders(
        folders.out_dir,
        streams=begun.streams,
        text_params=text.params,
        text=text.encoder,
        tokenizer=text.tokenizer,
    )
    write_json(folders.out_dir / METRICS, summarize(result))
    write_bytes(folders.out_dir / CURVES, format_csv(result.curve, empty=("epoch", "train/loss")))
    return result


def _build_module(
    plan: PretrainPlan, corpus: Corpus, objective: Objective, folders: Folders, report: Report | None
) -> tuple[ObjectiveModule, ClipCache]:
    """Decode the clips that the cache lacks, and return the training module of the objective and the cache."""
    assert plan.objective.training is not None
    splits = {split: corpus.of_split(split) for split in (TRAIN, VALIDATION)}
    videos = [video for part in splits.values() for video in part.videos]
    sampling = objective.video.sampling
    clips = ClipCache(folders.cache_dir / "clips", videos=videos, media_dir=folders.media_dir, sampling=sampling)
    clips.fill()
    data = {split: _prepare(part, objective, clips, sampling.clip_rate_hz) for split, part in splits.items()}
    module = ObjectiveModule(
        objective, plan.objective.training, train=data[TRAIN], validation=data[VALIDATION], seed=plan.seed, report=report
    )
    return module, clips


def _prepare(part: Corpus, objective: Objective, clips: ClipCache, rate_hz: float) -> ClipData:
    num_clips = {video.video_id: clips.count_clips(video.video_id) for video in part.videos}
    videos = build_pretraining_videos(num_clips, part.queries, clip_rate_hz=rate_hz, reads=objective.reads)
    return ClipData(videos, clips.load, rate_hz)


def _open_state(plan: PretrainPlan, corpus: Corpus, begun: Start, folders: Folders) -> Path:
    """Return the folder of the resumable state, keyed by code, values and data."""
    training, started = plan.objective.training, begun.streams
    built = [begun.text.encoder, *(start.encoder for start in started.values())]
    built += [begun.objective] if begun.objective else []
    steps = [training.optimizer, training.schedule] if training else []
    return open_state(
        folders.cache_dir / "pretrain",
        "pretrain",
        find_code(pretrain, *map(type, [*built, *steps])),
        values=plan.to_json() | {"started": {name: start.params.model_dump(mode="json") for name, start in started.items()}},
        data={
            "text": compute_text_digest(begun.text.params, begun.text.encoder, begun.text.tokenizer),
            "videos": [video.to_json() for video in corpus.videos],
            "queries": [query.to_json() for query in corpus.queries],
        },
        machine=[torch.__version__, decoder_version(), torch.get_num_threads(), str(choose_device())],
    )
