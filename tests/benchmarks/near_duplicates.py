"""Gain and loss of reusing the features of near-duplicate frames; writes the last section of index_speed.md.

    PYTHONPATH=.:tests:tests/benchmarks python tests/benchmarks/near_duplicates.py FOLDER ... --bundle data/models/real

Each FOLDER holds videos/, and annotations.jsonl as for real_bench.py if it has sentences. Every frame is classified once; the
thresholds are then applied to the same features, and every sentence searches all videos.
"""

import argparse
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from index_speed import PAGE
from not_found_names import weigh
from numpy.typing import NDArray
from real_bench import NUM_SAMPLES, SEED

from corpus.files import read_jsonl
from corpus.media import ExaminedFile
from corpus.media.pictures.near_duplicates import compute_cell_means, find_distinct
from corpus.media.pictures.views import iter_views
from models.metrics.intervals import estimate_means
from search.class_names.bundle import ClassBundle, load_class_bundle
from search.class_names.networks import ClassNetworks
from search.class_names.recipe import ClassWeights, score
from search.class_names.video import FRAMES_PER_BATCH, build_video

SECTION = "## Near-duplicate frames"  # the last one of the page
THRESHOLDS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)


class Questions(NamedTuple):
    """Sentences, and the videos that they were written for."""

    weights: list[ClassWeights]
    videos: list[str]


class Footage(NamedTuple):
    """The frames of one video."""

    duration_s: float
    logits: NDArray[np.float16]  # (S, classes)
    features: NDArray[np.float16]  # (S, D)
    means: NDArray[np.float32]  # (S, 1, C, C, 3) of the first view

    @property
    def motion(self) -> float:
        """The median over frames of the largest change of a cell since the frame before, in levels."""
        if len(self.means) < 2:
            return 0.0
        return float(np.median(np.abs(np.diff(self.means, axis=0)).max(axis=(1, 2, 3, 4))))


def read_footage(path: Path, bundle: ClassBundle, networks: ClassNetworks) -> Footage:
    """Classify every frame of a video."""
    file = ExaminedFile(path)
    found, means = [], []
    for views in iter_views(
        file.iter_displayed, bundle.manifest.sampling, duration_s=file.info.duration_s, frames_per_batch=FRAMES_PER_BATCH
    ):
        found.append(networks.classify(views))
        means.append(compute_cell_means(views[:, :1]))
    logits, features = (np.concatenate([getattr(one, name) for one in found]) for name in ("logits", "features"))
    return Footage(file.info.duration_s, logits.astype(np.float16), features.astype(np.float16), np.concatenate(means))


def reuse(footage: Footage, threshold: float) -> tuple[Footage, NDArray[np.bool_]]:
    """Return the footage with reused logits and features, and which frames (S,) reuse them."""
    if not threshold:
        return footage, np.zeros(len(footage.logits), dtype=np.bool_)
    rows, places = find_distinct(footage.means, threshold)
    source = rows[places]
    reused = footage._replace(logits=footage.logits[source], features=footage.features[source])
    return reused, source != np.arange(len(source))


def compute_cosines(one: NDArray[np.float16], other: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return the cosine of each row of two arrays, (S, D) -> (S,)."""
    first, second = one.astype(np.float32), other.astype(np.float32)
    cosines: NDArray[np.float32] = (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    return cosines


def measure_recall(videos: Mapping[str, Footage], questions: Questions) -> str:
    """Return R@1 with its interval: every sentence searches all videos, in the order of a predictor."""
    names = list(videos)
    pooled = np.concatenate([build_video(one.logits, one.features, one.duration_s).pooled for one in videos.values()])
    firsts = [names[int(score(pooled, weights).argmax())] for weights in questions.weights]
    hits = np.array([float(first == own) for first, own in zip(firsts, questions.videos, strict=True)])
    rows = np.array([names.index(own) for own in questions.videos])
    found = estimate_means({"R@1": hits}, rows, num_samples=NUM_SAMPLES, seed=SEED)["R@1"]
    return f"{100 * found.value:.1f} [{100 * (found.low or 0):.0f}, {100 * (found.high or 0):.0f}]"


def render_row(threshold: float, videos: Mapping[str, Footage], questions: Questions | None) -> str:
    """Return the row of one threshold."""
    reused = {name: reuse(footage, threshold) for name, footage in videos.items()}
    middle = np.median([footage.motion for footage in videos.values()])
    shares = []
    for is_still in (True, False):
        flags = [flags for name, (_, flags) in reused.items() if (videos[name].motion <= middle) == is_still]
        shares.append(f"{np.concatenate(flags).mean():.0%}")
    cosines = np.concatenate(
        [compute_cosines(videos[name].features[flags], other.features[flags]) for name, (other, flags) in reused.items()]
    )
    loss = [f"{np.median(cosines):.3f}", f"{np.quantile(cosines, 0.05):.3f}"] if len(cosines) else ["-", "-"]
    recall = measure_recall({name: other for name, (other, _) in reused.items()}, questions) if questions else "-"
    return "| " + " | ".join([f"{threshold:g}", *shares, *loss, recall]) + " |"


def build_section(folders: Sequence[Path], bundle: ClassBundle) -> list[str]:
    """Return the lines of the section."""
    networks, tables = ClassNetworks(bundle.folder, num_threads=1), list[str]()
    for folder in folders:
        names = sorted(path.name for path in (folder / "videos").iterdir())
        videos = {name: read_footage(folder / "videos" / name, bundle, networks) for name in names}
        tables += render_table(folder.name, videos, read_questions(folder, bundle))
    return [*introduce(bundle), *tables]


def read_questions(folder: Path, bundle: ClassBundle) -> Questions | None:
    """Read the sentences of a folder; None without any."""
    path = folder / "annotations.jsonl"
    if not path.is_file():
        return None
    rows: list[dict[str, Any]] = [row for _, row in read_jsonl(path)]
    return Questions(weigh([row["query"] for row in rows], bundle), [row["video"] for row in rows])


def introduce(bundle: ClassBundle) -> list[str]:
    """Return the lines before the tables."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    return [
        SECTION,
        "",
        f"`PYTHONPATH=.:tests:tests/benchmarks python tests/benchmarks/near_duplicates.py FOLDER ...`, at {commit}.",
        "",
        f"{bundle.manifest.sampling.frame_rate_hz:g} frames a second, classified by {bundle.model}.",
        "*Still* and *moving* are the halves of the videos below and above the median change between frames. A reused frame",
        "needs no network: its share is the time that the network saves. The cosine compares the features of reused frames with",
        "their own. R@1 is that of all sentences over all videos, in percent, with its 95 % interval.",
    ]


def render_table(title: str, videos: Mapping[str, Footage], questions: Questions | None) -> list[str]:
    """Return the lines about the videos of one folder."""
    num_frames = sum(len(footage.logits) for footage in videos.values())
    return [
        "",
        f"### {title}: {num_frames} frames of {len(videos)} videos",
        "",
        "| `reuse_below`, levels | reused, still | reused, moving | cosine, median | cosine, lowest 5 % | R@1 |",
        "|---|---|---|---|---|---|",
        *(render_row(threshold, videos, questions) for threshold in THRESHOLDS),
    ]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--bundle", type=Path, default=Path("data/models/real"))
    parser.add_argument("--dry", action="store_true", help="print the section without writing it")
    options = parser.parse_args()
    lines = build_section(options.folders, load_class_bundle(options.bundle))
    print("\n".join(lines))
    if not options.dry:
        others = PAGE.read_text(encoding="utf-8").partition(SECTION)[0].rstrip()
        PAGE.write_text("\n".join([others, "", *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
