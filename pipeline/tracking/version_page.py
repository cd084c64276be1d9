"""Description of a registered version on MLflow's page: models, data, figures, and why it was promoted or rejected."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from pipeline.tracking.pipeline_run import CORPUS, PRESET, QUERIES, VIDEOS

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL_NOTE = """Each version is a packaged search: encoders, retriever, localizer and index.
The alias `champion` names the served version. A version's page says what it is and why it was promoted or rejected."""
_WHY = "### Why it was "
_SHORT = 12  # characters of a hash


def describe_bundle(tags: Mapping[str, str], metrics: Mapping[str, float], *, run_page: str | None = None) -> str:
    """Return the description of a bundle in Markdown, from its lineage and figures; `run_page` is that of its pipeline run."""
    parts = [f"{slot} `{tags[PRESET + slot]}`" for slot in ("localizer", "retriever", "encoder", "pair") if PRESET + slot in tags]
    data = f"Trained on `{tags[CORPUS]}`" if CORPUS in tags else ""
    if data and VIDEOS in tags:
        data += f" ({tags[VIDEOS]} videos, {tags.get(QUERIES, '0')} sentences)"
    dirty = " with uncommitted changes" if tags.get("git.dirty") == "true" else ""
    commit = f"Commit `{tags['git.commit'][:_SHORT]}`{dirty}" if "git.commit" in tags else ""
    lock = f"`dvc.lock` `{tags['dvc.lock.sha256'][:_SHORT]}`" if "dvc.lock.sha256" in tags else ""
    made = ", ".join(filter(None, (commit, lock)))
    link = f"[Pipeline run]({run_page}) with its report" if run_page else ""
    sentences = [f"{part}." for part in (", ".join(parts), data, made, link) if part]
    figures = [f"| {name} | {value:.4f} |" for name, value in sorted(metrics.items())]
    table = ["", "| figure | value |", "|---|---|", *figures] if figures else []
    return "\n".join([" ".join(sentences), *table])


def explain_decision(
    client: "MlflowClient", model: str, version: str, decision: Literal["promoted", "rejected"], *, who: str, why: str
) -> None:
    """Add to the page of a version who decided about it, when and why; an earlier reason of the same version is replaced."""
    description = client.get_model_version(model, version).description or ""
    kept = description.partition(_WHY)[0].rstrip()
    reason = f"{_WHY}{decision}\n\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, by {who}: {why}"
    client.update_model_version(model, version, f"{kept}\n\n{reason}".lstrip())
