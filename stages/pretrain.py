"""DVC stage `pretrain`: videos and training sentences -> data/encoder/ (both encoders, metrics.json, curves.csv)."""

import csv
import inspect
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from tqdm import tqdm

from corpus.files import sha256_file, sha256_json, write_bytes, write_json
from corpus.media import decoder_version
from corpus.records import TRAIN, VALIDATION, Corpus, load_corpus
from models.exchange.encoder_files import compute_text_digest, save_encoders
from models.exchange.roles import TextEncoderParams, TextStart, VideoEncoderParams
from models.objectives.base import Objective, ObjectiveParams
from models.objectives.clips import PretrainingVideo, build_pretraining_videos
from models.objectives.fit import FitState, ObjectiveFit, measure_objective
from stages.support import paths
from stages.support.clip_cache import ClipCache
from stages.support.components import load_encoder, load_features, load_objective, load_text_encoder
from stages.support.entry import run_stage
from stages.support.machine import choose_device, count_workers, prepare_torch
from stages.support.params import load_params


@dataclass(frozen=True, slots=True)
class PretrainPlan:
    """The chosen components and the seed. Without a video encoder, for features from files, nothing is trained."""

    encoder: VideoEncoderParams | None
    text_encoder: TextEncoderParams
    objective: ObjectiveParams
    seed: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What pretraining reports: final figures by split, and one row per epoch."""

    metrics: Mapping[str, object]
    curves: Sequence[Mapping[str, float]]


def pretrain(plan: PretrainPlan, corpus: Corpus, *, media_dir: Path, out_dir: Path, cache_dir: Path) -> Figures:
    """Train the encoders on the training split and write them to `out_dir`.

    After every epoch the state goes to `cache_dir`; a run that was killed goes on there and ends with the same bytes.

    Raises:
        ValueError: when the corpus has no training video, or the objective needs sentences and there are none.
    """
    train = corpus.of_split(TRAIN)
    if not train.videos:
        raise ValueError("the corpus has no video in the split 'train'; add videos or lower ingest.test_share")
    texts = [query.text for query in train.queries]
    torch.manual_seed(plan.seed)
    video, start = plan.encoder.build() if plan.encoder else None, plan.text_encoder.start(texts)
    text = start.encoder
    objective = plan.objective.build(video, text, start.tokenizer, texts) if video else None
    figures = Figures(metrics={"steps": 0}, curves=[])
    state_dir = cache_dir / "pretrain" / _hash_inputs(plan, corpus, start, objective)
    if objective is not None:
        trained, figures = _train(plan, corpus, objective.to(choose_device()), media_dir, cache_dir, state_dir)
        video, text = trained.video, trained.text
    save_encoders(out_dir, video_params=plan.encoder, video=video, text_params=start.params, text=text, tokenizer=start.tokenizer)
    write_json(out_dir / "metrics.json", figures.metrics)
    write_bytes(out_dir / "curves.csv", _format_csv(figures.curves))
    shutil.rmtree(state_dir, ignore_errors=True)
    return figures


def _train(
    plan: PretrainPlan, corpus: Corpus, objective: Objective, media_dir: Path, cache_dir: Path, state_dir: Path
) -> tuple[Objective, Figures]:
    assert plan.objective.schedule is not None
    assert plan.encoder is not None
    schedule = plan.objective.schedule
    splits = {split: corpus.of_split(split) for split in (TRAIN, VALIDATION)}
    videos = [video for part in splits.values() for video in part.videos]
    clips = ClipCache(cache_dir / "clips", videos=videos, media_dir=media_dir, sampling=plan.encoder.sampling)
    clips.fill()
    rate_hz = plan.encoder.sampling.clip_rate_hz
    prepared = {split: _prepare_videos(part, objective, clips, rate_hz) for split, part in splits.items()}
    fit = ObjectiveFit(objective, schedule, prepared[TRAIN], load_clips=clips.load, seed=plan.seed)
    run_fit(fit, state_dir)
    final = {
        split: measure_objective(fit.average, part, schedule, load_clips=clips.load, seed=plan.seed)
        for split, part in prepared.items()
    }
    clips.remove_others()
    return fit.average, Figures({"steps": fit.num_epochs * fit.steps_per_epoch, **final}, fit.curves)


def _prepare_videos(part: Corpus, objective: Objective, clips: ClipCache, rate_hz: float) -> list[PretrainingVideo]:
    num_clips = {video.video_id: clips.count_clips(video.video_id) for video in part.videos}
    return build_pretraining_videos(num_clips, part.queries, clip_rate_hz=rate_hz, reads=objective.reads)


def run_fit(fit: ObjectiveFit, state_dir: Path, *, max_epochs: int | None = None) -> None:
    """Run the epochs that the state in `state_dir` lacks, at most up to `max_epochs`, and keep the state after each."""
    state_path = state_dir / "state.pt"
    if state_path.is_file():
        device = next(fit.objective.parameters()).device
        fit.set_state(cast(FitState, torch.load(state_path, map_location=device, weights_only=True)))
        print(f"pretrain: going on after epoch {fit.epoch} of {fit.num_epochs}")
    last = fit.num_epochs if max_epochs is None else min(max_epochs, fit.num_epochs)
    total, done = fit.num_epochs * fit.steps_per_epoch, fit.epoch * fit.steps_per_epoch
    with tqdm(total=total, initial=done, desc="pretrain", unit="step") as bar:
        while fit.epoch < last:
            means = fit.run_epoch(on_step=bar.update)
            bar.set_postfix({name: f"{means[name]:.3g}" for name in ("loss", "accuracy") if name in means})
            _save_state(fit, state_path)


def _save_state(fit: ObjectiveFit, path: Path) -> None:
    """Write the state by way of memory: torch hides what goes wrong with a file."""
    content = io.BytesIO()
    torch.save(fit.get_state(), content)
    write_bytes(path, content.getvalue())


def _hash_inputs(plan: PretrainPlan, corpus: Corpus, start: TextStart, objective: Objective | None) -> str:
    """Name everything that the weights depend on, the source of the networks too: a state never meets other code."""
    classes = [ObjectiveFit, PretrainingVideo] + (
        [type(objective), type(objective.video), type(objective.text)] if objective else []
    )
    return sha256_json(
        {
            "values": [part and part.model_dump(mode="json") for part in (plan.encoder, plan.text_encoder, plan.objective)],
            "seed": plan.seed,
            "text": compute_text_digest(start.params, start.encoder, start.tokenizer),
            "videos": [video.to_json() for video in corpus.videos],
            "queries": [query.to_json() for query in corpus.queries],
            "sources": [sha256_file(Path(inspect.getfile(kind))) for kind in classes],
            "machine": [torch.__version__, decoder_version(), torch.get_num_threads(), str(choose_device())],
        }
    )[:16]


def _format_csv(rows: Sequence[Mapping[str, float]]) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["step", "epoch", "loss"]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def main() -> None:
    """Read params and paths, train, and print what was reached."""
    params = load_params()
    chosen = params.pretrain
    prepare_torch(count_workers())
    plan = PretrainPlan(
        encoder=None if load_features(params.corpus.features).streams else load_encoder(chosen.encoder),
        text_encoder=load_text_encoder(chosen.text_encoder),
        objective=load_objective(chosen.objective),
        seed=chosen.seed,
    )
    figures = pretrain(
        plan,
        load_corpus(paths.CORPUS),
        media_dir=paths.RAW / params.corpus.name,
        out_dir=paths.ENCODER,
        cache_dir=paths.find_cache_dir(),
    )
    if plan.encoder is None:
        print(f"pretrain: features come from files ({params.corpus.features}): no video encoder, the text encoder is not trained")
    for name, value in figures.metrics.items():
        print(f"pretrain: {name}: {value}")


if __name__ == "__main__":
    run_stage(main, name="pretrain", slots=("encoder", "text_encoder", "objective"))
