"""DVC stage `render`: presets/render/ -> data/raw/shapes/ (videos/*.mp4, annotations.jsonl, contact_sheet.png)."""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import cv2
from tqdm import tqdm

from corpus.files import write_jsonl
from corpus.schema_files import load_yaml, validate
from corpus.shapes.annotations import annotate
from corpus.shapes.drawing.contact_sheet import write_contact_sheet
from corpus.shapes.drawing.video import write_video
from corpus.shapes.params import ShapesParams
from corpus.shapes.scene import Scene
from corpus.shapes.scenes import draw_scenes
from pipeline import paths
from pipeline.components.presets import preset_path
from pipeline.entry import run_stage
from pipeline.executors.process import die_with_parent
from pipeline.params import load_params


def main() -> None:
    """Draw the embedded corpus in the chosen size."""
    params = load_params().render
    path = preset_path("render", params.size)
    size: ShapesParams = validate(ShapesParams, load_yaml(path), source=path)
    render(size, seed=params.seed, folder=paths.RAW / "shapes", workers=len(os.sched_getaffinity(0)))


def render(size: ShapesParams, *, seed: int, folder: Path, workers: int) -> None:
    """Draw videos, annotations and a contact sheet into `folder`; the bytes depend only on size and seed, not on `workers`."""
    num_videos = sum(size.videos.by_split.values())
    scenes = list(tqdm(draw_scenes(size, seed=seed), total=num_videos, desc="plan", unit="video"))
    rows = annotate(scenes, size, seed=seed)
    render_videos(scenes, size, folder=folder / "videos", workers=workers)
    write_contact_sheet(folder / "contact_sheet.png", scenes, rows, size_px=size.size_px)
    write_jsonl(folder / "annotations.jsonl", rows)
    print(f"drew {len(scenes)} videos with {len(rows)} sentences into {folder}")


def render_videos(scenes: Sequence[Scene], size: ShapesParams, *, folder: Path, workers: int) -> None:
    """Draw each scene into its own file, in `workers` processes with one thread each."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker) as pool:
        jobs = [pool.submit(write_video, scene, folder, size) for scene in scenes]
        try:
            for job in tqdm(as_completed(jobs), total=len(jobs), desc="render", unit="video"):
                job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start_worker() -> None:
    die_with_parent()
    cv2.setNumThreads(1)


if __name__ == "__main__":
    run_stage(main, name="render")
