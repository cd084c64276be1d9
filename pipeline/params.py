"""Schema of `params.yaml`: unknown or misspelt keys fail here, before any work."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveInt, field_validator

from corpus.ingestion.params import IngestParams
from corpus.params import Params
from corpus.records import GATE
from corpus.schema_files import load_yaml, validate
from corpus.stream_names import StreamName
from pipeline.corpus_name import require_folder, spell_name
from search.params import SearchParams

PARAMS_FILE = Path("params.yaml")


class CorpusParams(Params):
    """Name of the corpus, its reader of `corpus.readers`, and the preset of its features."""

    name: Annotated[str, BeforeValidator(spell_name)] = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    reader: str
    features: str


class RenderParams(Params):
    """Size (a preset) and seed of the embedded corpus."""

    size: str
    seed: NonNegativeInt


class ValidateParams(Params):
    """The suite of the data gate, a preset."""

    suite: str


class PretrainParams(Params):
    """Presets of the pretraining stage, and its seed."""

    encoder: str | None  # preset of a pair, which replaces the stream `video`, the text encoder and the objective
    streams: dict[StreamName, str] = Field(min_length=1)  # name -> preset of the encoder that makes it
    text_encoder: str
    objective: str
    seed: NonNegativeInt


class ExtractParams(Params):
    """Packing of features."""

    videos_per_shard: PositiveInt


class TrainModels(Params):
    """The preset of each role."""

    retriever: str
    localizer: str
    blind: str


class TrainParams(Params):
    """Presets of the roles, and the seed."""

    models: TrainModels
    seed: NonNegativeInt


class EvaluateParams(Params):
    """Split to score, resampling of intervals, and the threshold of "not found"."""

    split: str
    hit_rate: float = Field(gt=0, le=1)
    bootstrap_samples: PositiveInt
    seed: NonNegativeInt

    @field_validator("split")
    @classmethod
    def _gate_stays_unseen(cls, split: str) -> str:
        if split == GATE:
            raise ValueError(f"the split {GATE!r} is kept for promotions, so that nothing is chosen on it; name another split")
        return split


class ExportParams(Params):
    """Required parity of exported networks."""

    max_difference: NonNegativeFloat


class PackageParams(Params):
    """Content of the bento besides bundle and index."""

    thumbnails_per_video: NonNegativeInt


class RetrainParams(Params):
    """The rules of the promotion gate, a preset."""

    gate: str


class PipelineParams(Params):
    """All of `params.yaml`."""

    corpus: CorpusParams
    render: RenderParams
    ingest: IngestParams
    validate_: ValidateParams = Field(alias="validate")
    pretrain: PretrainParams
    extract: ExtractParams
    train: TrainParams
    search: SearchParams
    evaluate: EvaluateParams
    export: ExportParams
    package: PackageParams
    retrain: RetrainParams


def load_params(path: Path = PARAMS_FILE) -> PipelineParams:
    """Read `params.yaml`.

    Raises:
        ValueError: naming each wrong key with its value and the rule it breaks.
    """
    content = load_yaml(path)
    require_folder(content, source=path)
    params: PipelineParams = validate(PipelineParams, content, source=path)
    return params
