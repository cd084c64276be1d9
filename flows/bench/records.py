"""Record of a finished arm: one JSON line. The page is built from these lines, without models or data."""

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from corpus.files import write_bytes
from corpus.moments import Floats, Ints
from corpus.params import Params
from flows.bench.arms import Arm, Group, Use, describe_loss

FOLDER = Path("docs")
RECORDS, PAGE = FOLDER / "models.jsonl", FOLDER / "models.md"
PICTURES = {"localizer": FOLDER / "models.svg", "loss": FOLDER / "losses.svg"}
OUTPUTS = frozenset(map(str, (RECORDS, PAGE, *PICTURES.values())))

PAIR, EMBED, ANSWER = "a video and a sentence", "embedding a video", "a sentence in an embedded video"  # the timed calls
Status = Literal["done", "failed", "cut"]


class TrainingCost(Params):
    """Wall and CPU seconds from the loading of the data to the kept weights; `resumed` after a kill."""

    wall_s: float
    cpu_s: float
    threads: int
    epochs: int
    best_epoch: int
    resumed: bool


class Latency(Params):
    """Median milliseconds of a call with warm caches; `cpu_share` is CPU time over wall and threads, low on a busy machine."""

    what: str
    threads: int
    median_ms: float
    cpu_share: float


class TrackedAt(Params):
    """The identifiers of the run in MLflow."""

    experiment_id: str
    run_id: str


class Scores(Params):
    """The figures of an arm on one split, and one value a query for paired comparisons."""

    split: str
    queries: int
    videos: int
    figures: Mapping[str, float | None]  # name, name_low, name_high
    others: Mapping[str, Mapping[str, float | None]] = {}  # the collection, or floors, by name
    first_iou: str  # packed (Q,) float32, IoU of the first answer in the right video
    video_index: str  # packed (Q,) int32

    def unpack_iou(self) -> Floats:
        """Return the IoU of each query's first answer, (Q,)."""
        values: Floats = np.frombuffer(base64.b64decode(self.first_iou), dtype="<f4").astype(np.float64)
        return values

    def unpack_videos(self) -> Ints:
        """Return the video of each query as an index, (Q,)."""
        values: Ints = np.frombuffer(base64.b64decode(self.video_index), dtype="<i4").astype(np.int64)
        return values


class Record(Params):
    """One arm: its values, machine, lineage and scores; a failed arm has a reason in place of scores."""

    arm: str
    group: Group
    key: str
    plan: Mapping[str, Any]
    use: Use | None = None  # of a loss
    shown: str = ""  # the loss that the arm is about, with its values
    status: Status
    reason: str = ""
    commit: str
    machine: str
    corpus: str
    dataset: str  # digest of features, sentences and moments
    wall_s: float  # of the whole arm
    parameters: int | None = None
    training: TrainingCost | None = None
    scores: Scores | None = None
    latency: tuple[Latency, ...] = Field(default=())
    run: TrackedAt | None = None

    @property
    def component(self) -> str:
        """The name of the component that was trained."""
        return str(self.plan["component"]["name"])

    @property
    def preset(self) -> str:
        """The preset that was trained; for an arm of a loss, the loss with its values."""
        return self.arm.partition("/")[2]

    @property
    def link(self) -> str:
        """The preset as a link of the page."""
        return f"[`{self.preset}`](../presets/{self.plan['role']}/{self.preset}.yaml)"

    def require_scores(self) -> Scores:
        """Return the scores; the arm must have some."""
        assert self.scores is not None, f"{self.arm} has no figures"
        return self.scores


def describe_arm(arm: Arm) -> dict[str, Any]:
    """Return the fields of a record that describe its arm."""
    shown = describe_loss(arm.shown) if arm.shown else ""
    return {"arm": arm.name, "group": arm.group, "plan": arm.plan.to_json(), "use": arm.use, "shown": shown}


def pack_iou(values: Floats) -> str:
    """Return (Q,) overlaps as text."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def pack_videos(values: Ints) -> str:
    """Return (Q,) indices as text."""
    return base64.b64encode(values.astype("<i4").tobytes()).decode()


def load_records(path: Path) -> dict[str, Record]:
    """Return the records of a file by arm, none when the file is missing.

    Raises:
        ValueError: naming the line that is not a record.
    """
    records = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for number, line in enumerate(lines, start=1):
        try:
            record = Record.model_validate_json(line)
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"])) or "the line"
            what = f"{path}:{number} is not a record: {place}: {problem['msg']}"
            raise ValueError(f"{what}; remove the line to run its arm again") from error
        records[record.arm] = record
    return records


def save_records(path: Path, records: Iterable[Record]) -> None:
    """Write one line a record, sorted by arm, so that a repeated arm changes one line."""
    ordered = sorted(records, key=lambda record: record.arm)
    lines = (json.dumps(record.model_dump(mode="json"), sort_keys=True, ensure_ascii=False) for record in ordered)
    write_bytes(path, "".join(f"{line}\n" for line in lines).encode())
