"""Training of one role, whatever it is: its data, its module, its checkpoint folder and its tracked run."""

import contextlib
import csv
import inspect
import io
import shutil
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from corpus.files import NoRoomError, sha256_file, sha256_json, write_bytes, write_json
from corpus.records import TRAIN, VALIDATION, Corpus
from corpus.store import FeatureStore
from models.exchange.batches import InputDims, LossDims, TextFeatures
from models.exchange.checkpoint import CONFIG, CheckpointConfig, save_checkpoint
from models.exchange.encoder_files import Encoders, require_own_features
from models.exchange.inputs import encode_queries, iterate_cells
from models.exchange.roles import Localizer, LocalizerParams, Retriever, RetrieverParams
from models.losses.base import LearnedTermParams, WeightedLosses
from models.training.data import LocalizerData, RetrieverData
from models.training.fitting import FitResult, fit
from models.training.localizer import LocalizerModule
from models.training.retriever import RetrieverModule
from models.training.role_module import Metrics, Report, RoleModule
from models.training.schema import derive_seed
from stages.support.components import TrainedComponent, load_blind, load_localizer, load_retriever
from stages.support.machine import choose_device
from stages.support.tracked_run import TrackedRun, flatten

METRICS, CURVES, RUN = "metrics.json", "curves.csv", "run.json"

Examine = Callable[[FitResult], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """The role, its component with losses and training, and the seed."""

    role: str
    chosen: TrainedComponent[Any]
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return all values."""
        return {
            "role": self.role,
            "component": self.chosen.component.model_dump(mode="json"),
            "losses": [loss.model_dump(mode="json") for loss in self.chosen.losses],
            "training": self.chosen.training.model_dump(mode="json"),
            "seed": self.seed,
        }


@dataclass(frozen=True, slots=True)
class TrainInputs:
    """What a training reads."""

    corpus: Corpus
    store: FeatureStore
    encoders: Encoders

    def __post_init__(self) -> None:
        """Refuse features of other encoders, and a corpus with nothing to train on."""
        require_own_features(self.encoders, self.store)
        if not self.corpus.of_split(TRAIN).queries:
            raise ValueError("the corpus has no query in the split 'train'; add videos or lower ingest.test_share")

    def to_json(self) -> dict[str, Any]:
        """Return hashes of everything that decides the weights."""
        return {
            "features": self.store.fingerprint.digest,
            "text": self.encoders.text_digest,
            "videos": [video.to_json() for video in self.corpus.videos],
            "queries": [query.to_json() for query in self.corpus.queries],
        }


def train(plan: TrainPlan, inputs: TrainInputs, *, out_dir: Path, state_dir: Path, report: Report | None = None) -> FitResult:
    """Train one role and write its checkpoint folder; `report` gets the row of each epoch.

    After every epoch the state goes to `state_dir`; a training that was killed goes on there and ends with the same bytes.
    """
    torch.manual_seed(derive_seed(plan.seed, plan.role))
    module = build_module(plan, inputs, report)
    result = fit(module, state_dir=state_dir, device=choose_device(), show_progress=sys.stderr.isatty())
    config = CheckpointConfig(
        role=plan.role,
        component=plan.chosen.component.model_dump(mode="json"),
        dims=measure_dims(inputs),
        fingerprint=inputs.store.fingerprint,
        text_digest=inputs.encoders.text_digest,
        longest_s=measure_longest(inputs.corpus),
    )
    save_checkpoint(out_dir, module.model, config)
    write_json(out_dir / METRICS, summarize(result))
    write_bytes(out_dir / CURVES, format_csv(result.curve))
    return result


def measure_longest(corpus: Corpus) -> float:
    """Return the length of the longest training video in seconds."""
    return max(video.duration_s for video in corpus.of_split(TRAIN).videos)


def measure_dims(inputs: TrainInputs) -> InputDims:
    """Return the widths of features and text."""
    num_places, feature_dim = inputs.store.feature_shape
    text = encode_queries(inputs.encoders.text, inputs.encoders.tokenizer, [inputs.corpus.queries[0].text])
    return InputDims(feature_dim=feature_dim, num_places=num_places, text_dim=text.tokens.shape[-1])


def build_module(plan: TrainPlan, inputs: TrainInputs, report: Report | None = None) -> RoleModule:
    """Build the untrained model of a role with its data."""
    role = ROLES[plan.role]
    component = plan.chosen.component
    train_data = role.load_data(component, inputs, TRAIN)
    has_validation = bool(inputs.corpus.of_split(VALIDATION).queries)
    if not has_validation:
        warnings.warn("the corpus has no query in the split 'val': the last epoch is kept, not the best", stacklevel=2)
    model = component.build(measure_dims(inputs))
    module: RoleModule = role.module(
        model,
        WeightedLosses(plan.chosen.losses, measure_loss_dims(plan, model, train_data)),
        plan.chosen.training,
        train=train_data,
        validation=role.load_data(component, inputs, VALIDATION) if has_validation else None,
        seed=plan.seed,
        report=report,
    )
    return module


def measure_loss_dims(plan: TrainPlan, model: Localizer | Retriever, data: LocalizerData | RetrieverData) -> LossDims:
    """Return what losses with parameters of their own are built for; classes are counted only where there is such a loss."""
    learned = any(isinstance(term, LearnedTermParams) for term in plan.chosen.losses)
    labels = data.queries.labels._asdict() if learned else {}
    return LossDims(model.embedding_dim, {name: int(part.max()) + 1 for name, part in labels.items()})


def load_retriever_data(_: RetrieverParams, inputs: TrainInputs, split: str) -> RetrieverData:
    """Load a split clip by clip."""
    part = inputs.corpus.of_split(split)
    features = [inputs.store.load(video.video_id) for video in part.videos]
    return RetrieverData.from_corpus(part, encode_texts(inputs, part), features, inputs.store.clip_rate_hz)


def load_localizer_data(component: LocalizerParams, inputs: TrainInputs, split: str) -> LocalizerData:
    """Load a split on the localizer's own grid."""
    part = inputs.corpus.of_split(split)
    cells = iterate_cells(inputs.store, [video.video_id for video in part.videos], component.num_cells)
    return LocalizerData.from_corpus(part, encode_texts(inputs, part), cells)


def load_blind_data(component: LocalizerParams, inputs: TrainInputs, split: str) -> LocalizerData:
    """Load the sentences and durations of a split; the text-only floor gets empty clips of one place and one number."""
    part = inputs.corpus.of_split(split)
    nothing = np.zeros((component.num_cells, 1, 1), dtype=np.float16)
    return LocalizerData.from_corpus(part, encode_texts(inputs, part), [nothing] * len(part.videos))


def encode_texts(inputs: TrainInputs, part: Corpus) -> TextFeatures:
    """Encode the sentences of a corpus, in order."""
    return encode_queries(inputs.encoders.text, inputs.encoders.tokenizer, [query.text for query in part.queries])


@dataclass(frozen=True, slots=True)
class Role:
    """How a role's preset is read, what data it is trained on, and by which module."""

    load_component: Callable[[str], TrainedComponent[Any]]
    load_data: Callable[[Any, TrainInputs, str], Any]
    module: type[Any]  # of RoleModule


ROLES: Mapping[str, Role] = {
    "retriever": Role(load_retriever, load_retriever_data, RetrieverModule),
    "localizer": Role(load_localizer, load_localizer_data, LocalizerModule),
    "blind": Role(load_blind, load_blind_data, LocalizerModule),
}


def load_plan(role: str, component: str, seed: int) -> TrainPlan:
    """Read the preset of a role's component."""
    return TrainPlan(role, ROLES[role].load_component(component), seed)


def summarize(result: FitResult) -> dict[str, float]:
    """Return the figures of the epoch that was kept, and how many epochs there were."""
    best = dict(result.best)
    return {"best_epoch": int(best.pop("epoch")), "epochs": len(result.curve), **best}


def format_csv(rows: Sequence[Mapping[str, float]]) -> bytes:
    """Return rows of equal keys as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def compute_key(plan: TrainPlan, inputs: TrainInputs) -> str:
    """Name everything that the weights depend on, the source of the networks too: a state never meets other code."""
    component = type(plan.chosen.component)
    training = plan.chosen.training
    chosen = (component, *map(type, plan.chosen.losses), type(training.optimizer), type(training.schedule))
    kinds = (*chosen, RoleModule, ROLES[plan.role].module, LocalizerData)
    sources = [Path(inspect.getfile(kind)) for kind in kinds]
    machine = [torch.__version__, torch.get_num_threads(), str(choose_device())]
    hashes = [sha256_file(path) for path in sources]
    return sha256_json({**plan.to_json(), **inputs.to_json(), "sources": hashes, "machine": machine})[:16]


def train_tracked(
    plan: TrainPlan,
    inputs: TrainInputs,
    *,
    out_dir: Path,
    cache_dir: Path,
    tags: Mapping[str, str],
    states_dir: Path | None = None,
    name: str | None = None,
    examine: Examine | None = None,
) -> FitResult:
    """Train one role under a tracked run, and remove the resumable state when its result is written.

    The state lies in `states_dir`, or in a folder of the cache. The run goes by the role, or by `name`. `examine` looks at
    what was written; what it measures becomes part of the run.
    """
    key = compute_key(plan, inputs)
    state_dir = (states_dir or cache_dir / "training") / key
    tags = {**tags, "role": plan.role, "features": inputs.store.fingerprint.digest, "cuepoint.key": key}
    run = TrackedRun(cache_dir / "tracking", state_dir, name=name or plan.role, params=flatten(plan.to_json()), tags=tags)

    def report(row: Metrics) -> None:
        run.log(int(row["epoch"]), {name: value for name, value in row.items() if name != "epoch"})

    try:
        result = train(plan, inputs, out_dir=out_dir, state_dir=state_dir, report=report)
        measured = examine(result) if examine else {}
    except BaseException as error:
        with contextlib.suppress(NoRoomError):  # where the training failed for the same reason, that is what to report
            run.end("FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    files = {name: (out_dir / name).read_bytes() for name in (CONFIG, METRICS, CURVES)}
    metrics = {f"best/{figure}": value for figure, value in result.best.items()} | dict(measured)
    write_json(out_dir / RUN, {"run_id": run.end("FINISHED", metrics=metrics, files=files), "spool": run.spool.name})
    shutil.rmtree(state_dir, ignore_errors=True)
    return result
