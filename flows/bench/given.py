"""Inputs that all arms of a checkout share: features, scoring rules and lineage."""

import subprocess
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from corpus.files import sha256_json
from corpus.records import load_corpus
from corpus.store import FeatureStore
from evaluation.examiner import EvaluationPlan
from flows.bench.arms import Group
from flows.bench.scoring import Examination
from models.artefacts.encoder_files import load_encoders
from pipeline import paths
from pipeline.lineage import collect_lineage
from pipeline.params import load_params
from pipeline.training.inputs import TrainInputs

_NEEDED = (paths.CORPUS / "queries.jsonl", paths.ENCODER / "config.json", paths.FEATURES / "index.json")


class Given(NamedTuple):
    """Data, scoring rules and lineage of this checkout."""

    inputs: TrainInputs
    exam: Examination
    corpus: str  # its name
    dataset: str  # digest of features, sentences and moments
    evaluate: Mapping[str, Any]  # the values of `evaluate` and `search` that figures depend on
    search: Mapping[str, Any]

    def list_rules(self, group: Group) -> dict[str, Any]:
        """Return the shared values that the figures of a group depend on; the search settings only affect retrievers."""
        search = self.search if group == "retriever" else {"max_iou": self.search["max_iou"]}
        return {"dataset": self.dataset, "evaluate": self.evaluate, "search": search}


def load_given() -> Given:
    """Load the outputs of the stages up to `extract` in this checkout.

    Raises:
        FileNotFoundError: naming the missing files and the command that makes them.
    """
    missing = [str(path) for path in _NEEDED if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"{', '.join(missing)}: missing, and arms train on them; run: dvc repro extract")
    params = load_params()
    inputs = TrainInputs(load_corpus(paths.CORPUS), FeatureStore(paths.FEATURES), load_encoders(paths.ENCODER))
    dataset = sha256_json(inputs.to_json(sorted(inputs.store.streams)))[:16]
    evaluate = params.evaluate.model_dump(mode="json", exclude={"hit_rate"})  # arms answer no sentences without an answer
    exam = Examination(inputs, EvaluationPlan(search=params.search, **params.evaluate.model_dump()))
    return Given(inputs, exam, params.corpus.name, dataset, evaluate, params.search.model_dump(mode="json"))


def collect_tags() -> dict[str, str]:
    """Return the tags of an arm's run: the commit, the files changed since, and the hashes of the inputs."""
    return collect_lineage([paths.CORPUS, paths.ENCODER, paths.FEATURES])


def describe_commit(outputs: Collection[str]) -> str:
    """Return the short commit, with `-dirty` when files other than the bench's `outputs` differ, or `unknown` without git."""
    commit, changed = _run_git("rev-parse", "--short=7", "HEAD"), _run_git("diff", "--name-only", "HEAD")
    if not commit or changed is None:
        return "unknown"
    return commit[0] + ("-dirty" if {*changed} - {*outputs} else "")


def _run_git(*arguments: str) -> list[str] | None:
    """Return the lines that git prints, None when git cannot run here."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=True, timeout=30, text=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.splitlines()
