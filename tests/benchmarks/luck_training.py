"""Training and scoring of the parts of an experiment of luck.py, one a process, with the functions of the stages.

All files are in a work folder: `encoders/<name>/` has a checkpoint of each epoch and two folders of encoders, `average/` and
`last/`; `features/` has their features of the videos; `localizers/<name>/` has a checkpoint of each epoch.
"""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import torch
from pydantic import TypeAdapter
from torch import nn

from corpus.files import read_json, write_json
from corpus.records import TRAIN, VALIDATION, Corpus, load_corpus
from corpus.store import FeatureStore
from corpus.stream_names import VIDEO
from evaluation.examiner import EvaluationPlan
from evaluation.predictions import rank_moments
from evaluation.tables.scores import HEADLINE, flatten_estimates
from flows.bench.scoring import Examination
from models.artefacts import encoder_files
from models.artefacts.encoder_files import CONFIG, save_encoders
from models.contracts.roles import ClipStart
from models.encoders.text import TextEncoderParams
from models.training.fitting import FitResult, fit
from models.training.learner import Learner
from models.training.role_module import RoleModule
from pipeline.components.loading import load_pretraining
from pipeline.executors.extraction import extract
from pipeline.executors.machine import count_workers, prepare_torch
from pipeline.params import load_params
from pipeline.training import pretraining, role_training
from pipeline.training.inputs import TrainInputs, measure_dims
from pipeline.training.roles import TrainPlan, load_plan

Weights = Literal["average", "last"]
SEED = 2026  # of params.yaml


@dataclass(frozen=True, slots=True)
class Pretraining:
    """One pretraining; `nudged` moves each initial weight to the next larger representable number."""

    name: str
    isa: str = "native"
    seed: int = SEED
    nudged: bool = False
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Localizing:
    """One training of the localizer on the features of an encoder, extracted with the native instructions."""

    name: str
    encoder: str
    weights: Weights = "average"
    isa: str = "native"
    seed: int = SEED
    nudged: bool = False


def run_pretraining(plan: Pretraining, *, data: Path, work: Path) -> dict[str, Any]:
    """Pretrain like stage `pretrain`, keep the weights of every epoch, and return curve and final figures."""
    prepare_torch(count_workers())
    params, corpus = load_params(), load_corpus(data / "corpus")
    out_dir, start_s = work / "encoders" / plan.name, time.process_time()
    components = load_pretraining(params)
    folders = pretraining.Folders(data / "raw" / params.corpus.name, out_dir / "average", _link_clips(work, plan.name))
    with patch.object(pretraining, "fit", _Watched(out_dir, plan.nudged)):
        result = pretraining.pretrain(pretraining.PretrainPlan(*components, plan.seed), corpus, folders)
    save_last(out_dir)
    training = components[-1].training
    assert training is not None
    steps = training.count_batches(len(corpus.of_split(TRAIN).videos))
    return describe_process(start_s) | {
        "figures": {"val": select_part(result.best, "val", "/")},
        "curve": list_steps(result, steps),
    }


def list_steps(result: FitResult, steps_per_epoch: int) -> list[dict[str, float]]:
    """Return the training figures of each epoch with the number of steps at its end."""
    ends = [(row["epoch"] + 1) * steps_per_epoch for row in result.curve]
    return [{"step": end, **select_part(row, "train", "/")} for end, row in zip(ends, result.curve, strict=True)]


def _link_clips(work: Path, name: str) -> Path:
    """Return a cache folder for this pretraining, with a link to the shared decoded clips."""
    cache_dir, clips = work / "cache" / name, work / "clips"
    cache_dir.mkdir(parents=True, exist_ok=True)
    clips.mkdir(exist_ok=True)
    if not (cache_dir / "clips").exists():
        (cache_dir / "clips").symlink_to(clips.resolve())
    return cache_dir


class _Watched:
    """The loop of the stage, with a copy of each epoch's checkpoint."""

    def __init__(self, folder: Path, nudged: bool) -> None:
        self._folder, self._nudged = folder, nudged

    def __call__(self, module: Learner, *, state_dir: Path, **options: Any) -> FitResult:
        if self._nudged:
            nudge_all(module)
        keep = _Keep(state_dir, self._folder)
        module.report = lambda _: keep()
        result = fit(module, state_dir=state_dir, **options)
        keep()
        return result


def nudge_all(module: Learner) -> None:
    """Nudge the initial weights of a model and of its average; a resumed training replaces them by its checkpoint."""
    nudge(module.model)
    if module.average is not None:
        nudge(module.average)


@torch.no_grad()
def nudge(module: nn.Module) -> None:
    """Move each weight to the next larger representable number."""
    for weight in module.parameters():
        weight.copy_(torch.nextafter(weight, torch.full_like(weight, float("inf"))))


def save_last(folder: Path) -> None:
    """Write the encoders with the weights of the last step beside the averaged encoders."""
    snapshot = select_part(torch.load(list_snapshots(folder)[-1], weights_only=True)["state_dict"], "model")
    encoders, config = encoder_files.load_encoders(folder / "average"), read_json(folder / "average" / CONFIG)
    encoders.streams[VIDEO].encoder.load_state_dict(select_part(snapshot, "video"))
    encoders.text.load_state_dict(select_part(snapshot, "text"))
    save_encoders(
        folder / "last",
        streams={name: ClipStart(stream.params, stream.encoder) for name, stream in encoders.streams.items()},
        text_params=TypeAdapter(TextEncoderParams).validate_python(config["text_encoder"]),
        text=encoders.text,
        tokenizer=encoders.tokenizer,
    )


def list_snapshots(folder: Path) -> list[Path]:
    """Return the files of all epochs in order."""
    return sorted(folder.glob("epoch-*"))


def select_part(state: dict[str, Any], part: str, separator: str = ".") -> dict[str, Any]:
    """Return the values of one part of a module, or of a row, under the part's own names."""
    start = f"{part}{separator}"
    return {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}


def run_extraction(encoder: str, weights: Weights, *, data: Path, work: Path) -> dict[str, Any]:
    """Extract the features of the training, validation and test videos like stage `extract`."""
    start_s, params, corpus = time.process_time(), load_params(), load_corpus(data / "corpus")
    extract(
        [video for split in (TRAIN, VALIDATION, params.evaluate.split) for video in corpus.of_split(split).videos],
        videos_per_shard=params.extract.videos_per_shard,
        encoder_dir=work / "encoders" / encoder / weights,
        media_dir=data / "raw" / params.corpus.name,
        out_dir=work / "features" / f"{encoder}-{weights}",
        cache_dir=work / "cache" / f"{encoder}-{weights}",
    )
    shutil.rmtree(work / "cache" / f"{encoder}-{weights}")
    return describe_process(start_s)


def load_inputs(plan: Localizing, *, data: Path, work: Path) -> tuple[TrainPlan, TrainInputs]:
    """Return the default localizer's plan and its training inputs."""
    corpus: Corpus = load_corpus(data / "corpus")
    store = FeatureStore(work / "features" / f"{plan.encoder}-{plan.weights}")
    encoders = encoder_files.load_encoders(work / "encoders" / plan.encoder / plan.weights)
    chosen = load_plan("localizer", load_params().train.models.localizer, plan.seed)
    return chosen, TrainInputs(corpus, store, encoders)


def run_localizing(plan: Localizing, *, data: Path, work: Path) -> dict[str, Any]:
    """Train like stage `train`, keep the checkpoint of every epoch, and return the curve."""
    prepare_torch(count_workers())
    start_s, out_dir = time.process_time(), work / "localizers" / plan.name
    chosen, inputs = load_inputs(plan, data=data, work=work)
    state_dir = out_dir / "state"
    keep = _Keep(state_dir, out_dir)
    with patch.object(role_training, "build_module", _Nudged() if plan.nudged else role_training.build_module):
        result = role_training.train(chosen, inputs, out_dir=out_dir / "best", state_dir=state_dir, report=lambda _: keep())
    keep()
    shutil.rmtree(state_dir)
    return describe_process(start_s) | {"curve": list(result.curve), "best_epoch": int(result.best["epoch"])}


class _Keep:
    """Copies the checkpoints of a training, because its folder only keeps the last two."""

    def __init__(self, state_dir: Path, folder: Path) -> None:
        self._state_dir, self._folder = state_dir, folder

    def __call__(self) -> None:
        for path in self._state_dir.glob("*.ckpt"):
            shutil.copyfile(path, self._folder / f"epoch-{path.stem}.ckpt")


class _Nudged:
    """Builds a role's module with nudged initial weights, including those of the average."""

    def __init__(self) -> None:
        self._build_module = role_training.build_module

    def __call__(self, *arguments: Any) -> RoleModule:
        module = self._build_module(*arguments)
        nudge_all(module)
        return module


def run_scoring(plan: Localizing, *, data: Path, work: Path) -> dict[str, Any]:
    """Score the averaged weights of every epoch on the test split like stage `evaluate`."""
    prepare_torch(count_workers())
    chosen, inputs = load_inputs(plan, data=data, work=work)
    params, dims = load_params(), measure_dims(inputs, chosen.chosen.component.streams)
    exam = Examination(inputs, EvaluationPlan(search=params.search, **params.evaluate.model_dump()))
    model = chosen.chosen.component.build(dims)
    scoring, videos = exam.build_scoring(model.num_cells), exam.open_windows(model)
    epochs = []
    for path in list_snapshots(work / "localizers" / plan.name):
        model.load_state_dict(select_part(torch.load(path, weights_only=True)["state_dict"], "average"))
        model.eval().requires_grad_(False)
        answers = rank_moments(model, exam.questions, exam.text, videos, scoring.convention).widen()
        figures = scoring.convention.compute_figures(answers, exam.questions.truth)
        estimates = flatten_estimates(scoring.estimate(figures, exam.questions))
        epochs.append({"figures": estimates, "hits": "".join(str(int(hit)) for hit in figures[HEADLINE])})
    return {"split": exam.questions.split, "videos": exam.questions.video_index.tolist(), "epochs": epochs}


def measure_distances(left: Path, right: Path, parts: tuple[str, ...]) -> list[dict[str, float]]:
    """Return the distance of two trainings after every epoch: |a - b| / |a| over all weights, for each part."""
    rows = []
    for number, paths in enumerate(zip(list_snapshots(left), list_snapshots(right), strict=True), start=1):
        first, second = (_load_weights(path) for path in paths)
        rows.append({"epoch": number} | {part: compare_weights(first[part], second[part]) for part in parts})
    return rows


def _load_weights(path: Path) -> dict[str, dict[str, Any]]:
    """Return the weights of an epoch by kind: of the last step, and averaged."""
    state = torch.load(path, weights_only=True)["state_dict"]
    return {"last": select_part(state, "model"), "average": select_part(state, "average")}


def compare_weights(left: dict[str, Any], right: dict[str, Any]) -> float:
    """Return |left - right| / |left| over all floating-point tensors."""
    names = [name for name, value in left.items() if value.is_floating_point()]
    apart = sum(float((left[name] - right[name]).double().square().sum()) for name in names)
    size = sum(float(left[name].double().square().sum()) for name in names)
    return float((apart / size) ** 0.5)


def describe_process(start_s: float) -> dict[str, Any]:
    """Return the instructions and threads of this process, and its CPU seconds since `start_s`."""
    return {
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "cpu_s": round(time.process_time() - start_s, 1),
    }


def run_part(kind: str, plan: dict[str, Any], *, data: Path, work: Path, out_path: Path) -> None:
    """Run one part of an experiment in this process and write its result."""
    match kind:
        case "pretraining":
            result = run_pretraining(Pretraining(**plan), data=data, work=work)
        case "extraction":
            result = run_extraction(plan["encoder"], plan["weights"], data=data, work=work)
        case "localizing":
            result = run_localizing(Localizing(**plan), data=data, work=work)
        case "scoring":
            result = run_scoring(Localizing(**plan), data=data, work=work)
        case _:
            raise ValueError(f"part {kind!r} is unknown; known: pretraining, extraction, localizing, scoring")
    write_json(out_path, result)
