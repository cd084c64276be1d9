"""Random scenes from a seed. Each video has its own random numbers, so videos are independent of each other and of order."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple
from zlib import crc32

import numpy as np

from corpus.shapes.drawing.background import draw_background, swap_background
from corpus.shapes.facts import is_held_out, list_facts
from corpus.shapes.layout import place
from corpus.shapes.params import ShapesParams
from corpus.shapes.plan import Times, draw_events, draw_looks, draw_times
from corpus.shapes.scene import Scene
from corpus.shapes.wording.questions import ask

_PLANS_PER_TIMES = 60  # before other times are drawn
_PLACES_PER_PLAN = 6
_TIMES_PER_VIDEO = 100


class Video(NamedTuple):
    """The identity of a video in the drawn corpus."""

    split: str
    number: int

    @property
    def video_id(self) -> str:
        """The id of the video, which is also its file name."""
        return f"{self.split}_{self.number:04d}"


def make_rng(seed: int, split: str, number: int, purpose: str) -> np.random.Generator:
    """Return the random numbers of one video for one purpose."""
    return np.random.default_rng([seed, crc32(split.encode()), number, crc32(purpose.encode())])


def draw_scene(params: ShapesParams, *, seed: int, split: str, number: int) -> Scene:
    """Draw a scene that allows questions. Scenes of `test_background` are scenes of `test` with another background."""
    if split == "test_background":
        return _swap(draw_scene(params, seed=seed, split="test", number=number), seed, number)
    rng = make_rng(seed, split, number, "scene")
    for _ in range(_TIMES_PER_VIDEO):
        times = draw_times(rng, params)
        for _ in range(_PLANS_PER_TIMES):
            plan = _draw_plan(rng, times, params, Video(split, number))
            scene = plan and _find_places(rng, plan)
            if scene is not None and ask(scene, make_rng(seed, split, number, "questions"), limit=1):
                return scene
    raise ValueError(
        f"video {number} of {split}: no room for {params.min_events}-{params.max_events} events of {params.min_actors}-"
        f"{params.max_actors} actors in {params.shortest_s}-{params.longest_s} s; lower max_events or max_actors"
    )


def _draw_plan(rng: np.random.Generator, times: Times, params: ShapesParams, video: Video) -> Scene | None:
    """Draw actors, events and background without positions; None if the draws do not fit together."""
    num_actors = int(rng.integers(params.min_actors, params.max_actors + 1))
    events = draw_events(rng, times, num_actors, params.fps)
    if events is None:
        return None
    actors = draw_looks(rng, events, num_actors, video.split)
    if actors is None:
        return None
    background = draw_background(rng, [event.kind for event in events], bias=params.background_bias)
    return Scene(video.video_id, video.split, params.fps, times.num_frames, tuple(actors), tuple(events), background)


def _find_places(rng: np.random.Generator, plan: Scene) -> Scene | None:
    for _ in range(_PLACES_PER_PLAN):
        scene = place(rng, plan)
        if scene is not None and _suits(scene):
            return scene
    return None


def _suits(scene: Scene) -> bool:
    """Tell whether a scene fits its split: held-out combinations appear in `test_unseen` and nowhere else."""
    facts = list_facts(scene)
    return scene.split == "test_unseen" or not any(map(is_held_out, facts))


def _swap(scene: Scene, seed: int, number: int) -> Scene:
    rng = make_rng(seed, "test_background", number, "scene")
    background = swap_background(rng, scene.background, [event.kind for event in scene.events])
    return replace(scene, video_id=Video("test_background", number).video_id, split="test_background", background=background)


def draw_scenes(params: ShapesParams, *, seed: int) -> Iterator[Scene]:
    """Draw the scenes of every split, in the order of the splits."""
    for split, size in params.videos.by_split.items():
        for number in range(size):
            yield draw_scene(params, seed=seed, split=split, number=number)
