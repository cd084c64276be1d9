"""What all arms of a checkout share: the features that the pipeline made, how is scored, and where a run comes from."""

import subprocess
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from corpus.files import sha256_json
from corpus.records import load_corpus
from corpus.store import FeatureStore
from flows.bench.arms import Group
from flows.bench.scoring import Examination
from models.exchange.encoder_files import load_encoders
from stages.support import paths
from stages.support.lineage import collect_lineage
from stages.support.params import load_params
from stages.support.role_training import TrainInputs

_NEEDED = (paths.CORPUS / "queries.jsonl", paths.ENCODER / "config.json", paths.FEATURES / "index.json")


class Given(NamedTuple):
    """Data and rules."""

    inputs: TrainInputs
    exam: Examination
    corpus: str  # its name
    dataset: str  # digest of features, sentences and moments
    evaluate: Mapping[str, Any]  # the values of `evaluate` and `search` that figures depend on
    search: Mapping[str, Any]

    def list_rules(self, group: Group) -> dict[str, Any]:
        """Return what the figures of a group of arms depend on beside their own values; only retrievers search."""
        search = self.search if group == "retriever" else {"max_iou": self.search["max_iou"]}
        return {"dataset": self.dataset, "evaluate": self.evaluate, "search": search}


def load_given() -> Given:
    """Load what the stages up to `extract` have made in this checkout.

    Raises:
        FileNotFoundError: naming what is not there, and the command that makes it.
    """
    missing = [str(path) for path in _NEEDED if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"{', '.join(missing)}: not there; arms train on what the pipeline makes; run: dvc repro extract")
    params = load_params()
    inputs = TrainInputs(load_corpus(paths.CORPUS), FeatureStore(paths.FEATURES), load_encoders(paths.ENCODER))
    dataset = sha256_json(inputs.to_json())[:16]
    evaluate = params.evaluate.model_dump(mode="json", exclude={"hit_rate"})  # arms are not asked about absent things
    exam = Examination(inputs, params.evaluate, params.search)
    return Given(inputs, exam, params.corpus.name, dataset, evaluate, params.search.model_dump(mode="json"))


def collect_tags() -> dict[str, str]:
    """Return the tags of an arm's run: the commit, what was changed since, and the inputs' hashes."""
    return collect_lineage([paths.CORPUS, paths.ENCODER, paths.FEATURES])


def describe_commit(outputs: Collection[str]) -> str:
    """Return the short commit, `-dirty` where files but for the bench's own `outputs` differ from it, `unknown` without git."""
    commit, changed = _run_git("rev-parse", "--short=7", "HEAD"), _run_git("diff", "--name-only", "HEAD")
    if not commit or changed is None:
        return "unknown"
    return commit[0] + ("-dirty" if {*changed} - {*outputs} else "")


def _run_git(*arguments: str) -> list[str] | None:
    """Return the lines that git prints, None where it cannot be run here."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=True, timeout=30, text=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.splitlines()
