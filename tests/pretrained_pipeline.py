"""Runs the stages from pretraining to export on the small project, for encoders of published networks."""

from pathlib import Path
from typing import Any

from corpus.files import write_json
from corpus.records import load_corpus
from corpus.store import FeatureStore
from models.artefacts.encoder_files import load_encoders
from models.training.fitting import FitResult
from pipeline.executors.extraction import extract
from pipeline.training.inputs import TrainInputs
from pipeline.training.pretraining import Folders, PretrainPlan, pretrain
from pipeline.training.role_training import train
from search.params import SearchParams
from small_training import make_plan
from stages.export import ExportInputs, export


def run_to_bundle(root: Path, small_models: Any, plan: PretrainPlan) -> tuple[FitResult, dict[str, Any]]:
    """Write encoder, features, checkpoints and bundle below `root`; return the pretraining result and the export report."""
    corpus = load_corpus(small_models.corpus)
    result = pretrain(plan, corpus, Folders(small_models.raw, root / "encoder", root / "cache"))
    extract(
        corpus.videos,
        videos_per_shard=4,
        encoder_dir=root / "encoder",
        media_dir=small_models.raw,
        out_dir=root / "features",
        cache_dir=root / "cache",
    )
    inputs = TrainInputs(corpus, FeatureStore(root / "features"), load_encoders(root / "encoder"))
    for role in ("retriever", "localizer"):
        train(make_plan(role, max_epochs=1), inputs, out_dir=root / "checkpoints" / role, state_dir=root / "state" / role)
    write_json(root / "calibration.json", {"search": None, "localize": None, "missing": {"search": "none", "localize": "none"}})
    settings = SearchParams(survivors=3, window_weight=2, localizer_weight=0.05, max_iou=0.5, moments_per_video=3)
    folders = ExportInputs(
        small_models.corpus, root / "encoder", root / "features", root / "checkpoints", root / "calibration.json"
    )
    return result, export(folders, settings, max_difference=1e-4, bundle_dir=root / "bundle")
