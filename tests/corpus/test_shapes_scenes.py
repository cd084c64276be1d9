"""Scenes of the drawn corpus: reproducible, without overlaps of actors, and without a bias in time."""

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from corpus.shapes.drawing.background import FAMILIES, home_of
from corpus.shapes.drawing.palette import COLORS, ROUND_SHAPES, SHAPES, SHIFTED_COLORS
from corpus.shapes.facts import is_held_out, list_facts
from corpus.shapes.motion import build_tracks
from corpus.shapes.params import ShapesParams
from corpus.shapes.scene import Kind, Scene
from corpus.shapes.scenes import draw_scene

PRESETS = Path(__file__).resolve().parents[2] / "presets" / "render"


def load(size: str) -> ShapesParams:
    return ShapesParams(**yaml.safe_load((PRESETS / f"{size}.yaml").read_text()))


def draw(split: str, count: int, *, size: str = "default", seed: int = 3) -> list[Scene]:
    return [draw_scene(load(size), seed=seed, split=split, number=number) for number in range(count)]


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return draw("train", 200)


def test_a_scene_depends_on_seed_split_and_number_alone() -> None:
    forwards, backwards = draw("train", 3), [draw_scene(load("default"), seed=3, split="train", number=n) for n in (2, 1, 0)]
    assert forwards == backwards[::-1]
    assert draw("val", 1)[0].events != forwards[0].events
    assert draw("train", 1, seed=4)[0].events != forwards[0].events


def test_all_kinds_colours_shapes_and_backgrounds_occur(scenes: list[Scene]) -> None:
    actors = [actor for scene in scenes for actor in scene.actors]
    assert {actor.color for actor in actors} == set(COLORS)
    assert {actor.shape for actor in actors} == set(SHAPES)
    assert {event.kind for scene in scenes for event in scene.events} == set(Kind)
    assert {scene.background.family for scene in scenes} == set(FAMILIES)
    assert {scene.background.drift == (0, 0) for scene in scenes} == {True, False}


def test_kinds_are_about_equally_frequent(scenes: list[Scene]) -> None:
    counts = Counter(event.kind for scene in scenes for event in scene.events)
    mean = sum(counts.values()) / len(Kind)
    assert all(0.5 * mean < counts[kind] < 1.7 * mean for kind in Kind), counts


def test_no_kind_of_event_reveals_its_time_or_length(scenes: list[Scene]) -> None:
    starts: dict[Kind, list[float]] = {kind: [] for kind in Kind}
    lengths: dict[Kind, list[int]] = {kind: [] for kind in Kind}
    for scene in scenes:
        for event in scene.events:
            length = event.end - event.start
            starts[event.kind].append(event.start / (scene.num_frames - length))
            lengths[event.kind].append(length)
    everything = np.concatenate(list(starts.values()))
    assert np.histogram(everything, 10, (0, 1))[0] / len(everything) == pytest.approx(0.1, abs=0.035)
    for kind in Kind:
        tolerance = 4 * 0.29 / np.sqrt(len(starts[kind]))  # four standard errors of a uniform mean
        assert np.mean(starts[kind]) == pytest.approx(0.5, abs=tolerance), kind
        assert np.mean(np.log(lengths[kind])) == pytest.approx(np.log([18, 80]).mean(), abs=0.17), kind


def test_actors_stay_in_the_picture_and_apart(scenes: list[Scene]) -> None:
    for scene in scenes[:60]:
        tracks = build_tracks(scene)
        edge_events = {event.actor for event in scene.events if event.kind in (Kind.ENTER, Kind.LEAVE)}
        for index, track in enumerate(tracks):
            inside = (track.place > 0.5 * track.radius[:, None]) & (track.place < 1 - 0.5 * track.radius[:, None])
            assert inside.all() or index in edge_events
        for one, other in combinations(tracks, 2):
            distance = np.hypot(*(one.place - other.place).T)
            assert (distance >= 0.9 * (one.radius + other.radius))[one.visible & other.visible].all()


def test_actors_of_a_scene_look_different_and_round_ones_never_spin(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert len({(actor.color, actor.shape) for actor in scene.actors}) == len(scene.actors)
        assert len({actor.color for actor in scene.actors}) <= 3 >= len({actor.shape for actor in scene.actors})
        spinning = {scene.actors[event.actor].shape for event in scene.events if event.kind is Kind.SPIN}
        assert not spinning & ROUND_SHAPES


def test_one_actor_does_one_thing_at_a_time(scenes: list[Scene]) -> None:
    for scene in scenes:
        for one, other in combinations(scene.events, 2):
            if {one.actor, one.patient} & {other.actor, other.patient} - {None}:
                assert not one.overlaps(other.start, other.end)


def test_only_the_unseen_split_shows_held_out_combinations(scenes: list[Scene]) -> None:
    assert not any(is_held_out(fact) for scene in scenes for fact in list_facts(scene))
    for scene in draw("test_unseen", 20):
        own = [fact for fact in list_facts(scene) if fact.kind is scene.events[fact.event].kind]
        assert all(is_held_out(fact) for fact in own)


def test_the_background_split_is_the_test_split_elsewhere() -> None:
    for original, swapped in zip(draw("test", 15), draw("test_background", 15), strict=True):
        assert (swapped.actors, swapped.events, swapped.num_frames) == (original.actors, original.events, original.num_frames)
        assert swapped.background.family != original.background.family
        assert swapped.background.family not in {home_of(event.kind) for event in swapped.events}


def test_the_shifted_split_has_new_colors() -> None:
    for scene in draw("test_shifted", 10):
        assert {actor.color for actor in scene.actors} & set(SHIFTED_COLORS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shortest_s": 50}, r"shortest_s=50.0 is above longest_s=40.0"),
        ({"longest_event_s": 15}, r"longest_event_s=15.0 is above half of the shortest video \(shortest_s=20.0\)"),
        ({"videos": {"train": 1, "val": 1, "test": 1, "test_background": 2}}, "test_background=2 is above test=1"),
        ({"pixels": 3}, "Extra inputs are not permitted"),
    ],
)
def test_impossible_sizes_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ShapesParams(**(load("default").model_dump() | values))


def test_a_size_without_room_is_refused_with_the_remedy() -> None:
    crowded = load("tiny").model_copy(update={"shortest_s": 5.0, "longest_s": 5.0, "min_events": 8, "max_events": 8})
    with pytest.raises(ValueError, match="no room for 8-8 events of 4-5 actors in 5.0-5.0 s; lower max_events or max_actors"):
        draw_scene(crowded, seed=0, split="train", number=0)
