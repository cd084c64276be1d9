"""Speed of turning videos into clips, compared with a PyAV loop and the decoder alone: python tests/benchmarks/decode.py.

The contenders get the same files and number of processes, and take turns in changing order, under the same load of the machine.
The time of a turn includes the start and end of its processes.
"""

import argparse
import multiprocessing
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from corpus.isolation import Report
from corpus.media import ClipSampling, compute_clip_times, decoder_version, iter_clips, probe
from pipeline.executors.decoding import decode_videos

SAMPLING = ClipSampling(clip_rate_hz=2.0, offsets_s=(-0.6, -0.2, 0.0, 0.2, 0.6), size_px=64)  # of presets/encoder/place_cnn.yaml

TONE_RATE_HZ = 44_100


class Cost(NamedTuple):
    """Time of a turn, and its number of frames."""

    wall_s: float
    cpu_s: float
    num_frames: int


def decode_only(path: Path) -> int:
    """Decode every frame and keep none, with libavcodec alone: the upper limit for loops that decode every frame."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream))


def run_bare_loop(path: Path) -> int:
    """Decode every frame; resize the frames of clips with one shared scaler, and keep them."""
    scaler, images, shown = VideoReformatter(), list[NDArray[np.uint8]](), None
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        times = iter(np.unique(compute_clip_times(container.duration / av.time_base, SAMPLING)).tolist())
        wanted_s = next(times)
        for frame in container.decode(stream):
            image = None
            while shown is not None and wanted_s is not None and frame.time > wanted_s + 1e-6:
                image = _resize(scaler, shown) if image is None else image
                images.append(image)
                wanted_s = next(times, None)
            shown = frame
        images += [_resize(scaler, shown) for _ in times]
    return len(images)


def _resize(scaler: VideoReformatter, frame: av.VideoFrame) -> NDArray[np.uint8]:
    size = SAMPLING.size_px
    small = scaler.reformat(frame, size, size, "rgb24", interpolation=Interpolation.FAST_BILINEAR, threads=1)
    return np.asarray(small.to_ndarray(), dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class MakeClips:
    """The work of `extract` on a file before its network; durations are known, as from data/corpus."""

    durations_s: dict[Path, float]

    def __call__(self, path: Path, report: Report) -> int:
        """Return the number of frames."""
        num_frames = 0
        for clips in iter_clips(path, SAMPLING, duration_s=self.durations_s[path]):
            num_frames += clips.shape[0] * clips.shape[1]
            report(0.0)
        return num_frames


def run_in_pool(function: Callable[[Path], int], paths: Sequence[Path], num_workers: int) -> int:
    """Run a bare loop on every file in plain worker processes."""
    with ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn")) as pool:
        return sum(pool.map(function, paths))


def run_as_extract(paths: Sequence[Path], num_workers: int) -> int:
    """Make the clips of every file in the processes of `extract`, with their budgets."""
    os.environ["CUEPOINT_WORKERS"] = str(num_workers)
    work = MakeClips(dict.fromkeys(paths, probe(paths[0]).duration_s))  # all paths are links to one file
    return sum(num_frames for _, num_frames in decode_videos(work, paths))


CONTENDERS: dict[str, Callable[[Sequence[Path], int], int]] = {
    "decoder alone, nothing resized": lambda paths, num_workers: run_in_pool(decode_only, paths, num_workers),
    "bare PyAV loop, decode and resize": lambda paths, num_workers: run_in_pool(run_bare_loop, paths, num_workers),
    "extract without a network": run_as_extract,
}
BARE, OURS = list(CONTENDERS)[1:]


def measure(contender: Callable[[Sequence[Path], int], int], paths: Sequence[Path], num_workers: int) -> Cost:
    """Run one turn."""
    before, start_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    num_frames = contender(paths, num_workers)
    wall_s, after = time.monotonic() - start_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, num_frames)


def draw_shapes(folder: Path, seconds: float) -> Path:
    """Draw a video like stage `render`: 96 px, 10 frames a second."""
    from corpus.schema_files import load_yaml
    from corpus.shapes.drawing.video import write_video
    from corpus.shapes.params import ShapesParams
    from corpus.shapes.scenes import draw_scene
    from pipeline.components.presets import preset_path

    values = load_yaml(preset_path("render", "default")) | {"shortest_s": seconds, "longest_s": seconds}
    params = ShapesParams.model_validate(values)
    return folder / write_video(draw_scene(params, seed=1, split="train", number=0), folder, params).name


def draw_large(folder: Path, width: int, height: int, seconds: float, *, tone_hz: float | None = None) -> Path:
    """Draw a video of a moving texture with cuts: H.264 with B-frames, 30 frames a second; with a tone if asked for."""
    import cv2

    coarse = np.random.default_rng(1).integers(0, 256, (height // 8 + 40, width // 8 + 40, 3), dtype=np.uint8)
    texture = cv2.resize(coarse, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    path = folder / f"{width}x{height}.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        sound = container.add_stream("aac", rate=TONE_RATE_HZ, layout="mono") if tone_hz else None
        for number in range(round(30 * seconds)):
            x, y = round(100 + 90 * np.sin(number / 40)), round(100 + 90 * np.cos(number / 55))
            picture = texture[y : y + height, x : x + width].copy()
            cv2.circle(picture, (number * 5 % width, height // 2), height // 6, (number % 256, 40, 200), -1)
            picture = 255 - picture if number // 150 % 2 else picture
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
        if sound is not None:
            container.mux([*sound.encode(draw_tone(tone_hz, seconds)), *sound.encode(None)])
    return path


def draw_tone(tone_hz: float, seconds: float) -> av.AudioFrame:
    """Return a tone of constant loudness."""
    samples = 0.5 * np.sin(2 * np.pi * tone_hz * np.arange(round(seconds * TONE_RATE_HZ)) / TONE_RATE_HZ)
    frame = av.AudioFrame.from_ndarray(samples.astype(np.float32)[None], format="fltp", layout="mono")
    frame.sample_rate = TONE_RATE_HZ
    return frame


def link_copies(path: Path, count: int) -> list[Path]:
    """Link a file under `count` names, so that contenders have many files."""
    copies = [path.with_stem(f"{path.stem}-{number}") for number in range(count)]
    for copy in copies:
        copy.hardlink_to(path)
    return copies


def iter_sizes(folder: Path, scale: float) -> Iterator[tuple[str, list[Path]]]:
    """Draw the files of each size; `scale` multiplies their number."""
    yield "96 x 96, 10 fps, no B-frames (`render`)", link_copies(draw_shapes(folder, 40.0), round(160 * scale))
    for width, height, seconds, count in ((640, 360, 20.0, 24), (1280, 720, 10.0, 24)):
        yield (
            f"{width} x {height}, 30 fps, B-frames",
            link_copies(draw_large(folder, width, height, seconds), round(count * scale)),
        )


def print_table(label: str, costs: dict[str, list[Cost]]) -> None:
    """Print the medians of one size, and the rate of each contender relative to the bare loop in the same turn."""
    print(f"\n| {label} | wall, s | CPU, s | rate by wall | rate by CPU |\n|---|---|---|---|---|")
    for name, rows in costs.items():
        wall_s, cpu_s = (statistics.median(row[field] for row in rows) for field in (0, 1))
        ratios = [
            statistics.median(bare[field] / row[field] for bare, row in zip(costs[BARE], rows, strict=True)) for field in (0, 1)
        ]
        print(f"| {name} | {wall_s:.2f} | {cpu_s:.2f} | {ratios[0]:.2f} | {ratios[1]:.2f} |")


def print_preparations(label: str, path: Path, rounds: int) -> None:
    """Print the CPU time of one file's clips with each interpolation, relative to the default at 64 px, in this process."""
    duration_s = probe(path).duration_s
    ratios: dict[str, list[float]] = {}
    for _ in range(rounds):
        base_s = 0.0
        for size_px in (64, 224):
            for name in ("fast_bilinear", "bilinear", "bicubic"):
                values = {
                    "size_px": size_px,
                    "preparation": {"resize": "crop" if name != "fast_bilinear" else "stretch", "interpolation": name},
                }
                sampling = ClipSampling.model_validate(SAMPLING.model_dump() | values)
                start_s = time.process_time()
                for _ in iter_clips(path, sampling, duration_s=duration_s):
                    pass
                taken_s = time.process_time() - start_s
                base_s = base_s or taken_s
                ratios.setdefault(f"{name} {size_px}", []).append(taken_s / base_s)
    print(f"| {label} | " + " | ".join(f"{statistics.median(rows):.2f}" for rows in ratios.values()) + " |")


def main() -> None:
    """Draw the files, time the contenders in turns, and print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender for each size (default: 7)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the number of files (default: 1)")
    parser.add_argument("--preparations", action="store_true", help="compare the interpolations of clips instead")
    options = parser.parse_args()
    if options.preparations:
        print(
            "| CPU | stretch, fast_bilinear, 64 px | crop, bilinear, 64 px | crop, bicubic, 64 px "
            "| stretch, fast_bilinear, 224 px | crop, bilinear, 224 px | crop, bicubic, 224 px |\n|---|---|---|---|---|---|---|"
        )
        with tempfile.TemporaryDirectory() as name:
            for label, paths in iter_sizes(Path(name), 0.05):
                print_preparations(label, paths[0], options.rounds)
        return
    print(f"Medians of {options.rounds} turns with {options.workers} processes; {os.cpu_count()} cores, {decoder_version()},")
    print(f"Python {platform.python_version()}. Rates are relative to the bare loop in the same turn.")
    with tempfile.TemporaryDirectory() as name:
        for label, paths in iter_sizes(Path(name), options.scale):
            costs: dict[str, list[Cost]] = {contender: [] for contender in CONTENDERS}
            for turn in range(options.rounds):
                order = list(CONTENDERS)[turn % 3 :] + list(CONTENDERS)[: turn % 3]
                for contender in order:
                    costs[contender].append(measure(CONTENDERS[contender], paths, options.workers))
            print_table(label, costs)


if __name__ == "__main__":
    main()
