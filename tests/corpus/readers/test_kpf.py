"""KPF reader: turns activities in frames into sentences with moments in seconds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from corpus.moments import Moment
from corpus.readers import build_reader
from corpus.readers.base import ReadResult
from corpus.readers.parsing.activity_template import describe_actors, write_sentence

Read = Callable[..., ReadResult]
ACTIVITIES, TYPES = "train/clip.activities.yml", "train/clip.types.yml"


def act(name: str, first: int, last: int, **actors: int) -> str:
    named = ", ".join(f"{{id1: {number}, timespan: [{{tsr0: [{first}, {last}]}}]}}" for number in actors.values())
    return f"- {{ act: {{ act2: {{{name}: 1.0}}, id2: 3, timespan: [{{tsr0: [{first}, {last}]}}], actors: [{named}] }} }}\n"


def test_an_activity_becomes_a_sentence_in_seconds(read: Read) -> None:
    found = read("kpf")
    (query,) = found.queries
    assert (query.qid, query.video_id, query.text) == ("clip-1", "clip", "a person sits down")
    assert (query.spans, query.split, query.source) == ((Moment(1.0, 2.0),), "train", "generated")
    assert found.rows == {"clip-1": f"{ACTIVITIES} line 2"}
    assert build_reader("kpf").assumed_fps == 30.0


def test_activities_of_one_sentence_are_windows_of_one_query_joined_where_they_overlap(read: Read) -> None:
    rows = [act("person_sits_down", 0, 29), act("person_stands_up", 0, 29), act("person_sits_down", 90, 119)]
    found = read("kpf", {ACTIVITIES: "".join([*rows, act("person_sits_down", 100, 149)])})
    sits, stands = found.queries
    assert sits.spans == (Moment(0, 1), Moment(3, 5))
    assert stands.spans == (Moment(0, 1),)
    assert found.rows["clip-1"] == f"{ACTIVITIES} lines 1, 3, 4"
    assert found.num_rows == {"train": 4}


def test_an_activity_that_ends_before_it_starts_is_dropped_and_listed(read: Read) -> None:
    found = read("kpf", {ACTIVITIES: act("person_sits_down", 9, 8) + act("person_sits_down", 8, 8)})
    assert [(note.row, note.reason) for note in found.dropped] == [
        (f"{ACTIVITIES} line 1", "it ends before it starts: frames 9 to 8")
    ]
    assert found.queries[0].spans == (Moment(8 / 30, 9 / 30),)


def test_subjects_come_from_the_types_of_actors(read: Read) -> None:
    types = (
        "- types: {id1: 1, cset3: {Person: 0.9, Vehicle: 0.1}}\n"
        "- types: {id1: 2, obj_type: Person}\n"
        "- { types: {id1: 3, cset3: {other: 1}}}"
    )
    rows = (
        act("Talking", 0, 9, a=1, b=2) + act("Open_Trunk", 0, 9, a=1, c=3) + act("Moving", 0, 9, c=3) + act("Moving", 20, 29, d=9)
    )
    texts = [query.text for query in read("kpf", {TYPES: types, ACTIVITIES: rows}).queries]
    assert texts == ["two people are talking", "a person: open a trunk", "an object is moving", "something is moving"]


def test_the_flow_style_with_sets_and_the_bare_style_are_read(read: Read) -> None:
    flow = "[{meta: clip.avi}, {act: {act2: !!set {person_sitting_down: null},\n actors: [], timespan: [{tsr0: [0,\n 59]}]}}]"
    assert read("kpf", {ACTIVITIES: flow}).queries[0].text == "a person is sitting down"
    bare = "- { act2: Talking, id2: 3, src: truth, timespan: [ { tsr0: [0, 59] } ], actors: [ { id1: 5 } ] }"
    assert read("kpf", {ACTIVITIES: bare}).queries[0].text == "a person is talking"


def test_folders_name_splits_and_files_may_be_joined_with_a_dash(read: Read) -> None:
    text = act("person_sits_down", 0, 29)
    files = {
        "a/validate/b/x-activities.yml": text,
        "a/validate/b/x-types.yml": "[]",
        "test/y.activities.yml": text,
        "test/y.types.yml": "[]",
    }
    splits = {query.video_id: query.split for query in read("kpf", files).queries}
    assert splits == {"clip": "train", "x": "val", "y": "test"}


def test_videos_may_carry_the_release_in_their_name(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "2018-03-05.13-10-00.13-15-00.bus.G331.r13.avi").touch()
    assert list(build_reader("kpf").find_videos(tmp_path).paths) == ["2018-03-05.13-10-00.13-15-00.bus.G331"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {act: {act2: {a: 1}}\n", "clip.activities.yml line 2 is not YAML: did not find expected"),
        ("act: 3", "clip.activities.yml: it must hold a list of records"),
        ("- 3", r"line 1: a record must be {act: {...}} or {meta: ...}, got '3'"),
        ("- {act: {id2: 1, timespan: [{tsr0: [0, 1]}]}}", "line 1: an activity needs its name, act2"),
        ("- {act: {act2: {a: 1.0}}}", "line 1: the key 'timespan' is missing"),
        ("- {act: {act2: {a: 1.0}, timespan: []}}", "line 1: timespan = "),
        ("- {act: {act2: {a: 1.0}, timespan: [{tsr0: [-1, 5]}]}}", "line 1: timespan.0.tsr0.0 = '-1'"),
        ("- {act: {act2: {a: 1.0}, timespan: [{tsr0: [.nan, 5]}]}}", "line 1: timespan.0.tsr0.0 = '.nan'"),
        ("- {act: {act2: {a: 1.0}, timespan: [{tsr0: [true, 5]}]}}", "line 1: timespan.0.tsr0.0 = 'true'"),
        ("- {act: {act2: {a: 1.0}, timespan: [{tsr1: [1, 5]}]}}", "line 1: the key 'timespan.0.tsr0' is missing"),
        ("- {act: {act2: {a: high}, timespan: [{tsr0: [1, 5]}]}}", "line 1: a confidence must be a number, got 'high'"),
        ("- {act: {act2: [a], timespan: [{tsr0: [1, 5]}]}}", "line 1: a name must be a text or {name: confidence}"),
        ("- {act: {act2: '?!', timespan: [{tsr0: [1, 5]}]}}", "line 1: the activity '\\?!' has no words"),
        ("- &a {act: *a}", "anchors and aliases are not part of the format, as in line 1"),
        ("- " * 100_000, "line 1 is nested too deeply"),
        ("!!python/object/apply:os.system ['true']", "it must hold|nothing|a record must be"),
    ],
)
def test_broken_records_are_named(read: Read, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read("kpf", {ACTIVITIES: text})


def test_an_object_without_type_is_named(read: Read) -> None:
    with pytest.raises(ValueError, match=r"clip.types.yml line 1: an object needs id1 and cset3 \(or obj_type\)"):
        read("kpf", {TYPES: "- {types: {id1: 5}}"})


def test_a_clip_annotated_twice_is_refused(read: Read) -> None:
    with pytest.raises(
        ValueError, match="train/clip.activities.yml and .*val/clip.activities.yml both annotate 'clip'; remove one"
    ):
        read("kpf", {"val/clip.activities.yml": "[]"})


def test_a_clip_without_its_types_is_refused(read: Read) -> None:
    with pytest.raises(ValueError, match="clip.types.yml does not exist; it is in the annotations of MEVA"):
        read("kpf", {TYPES: None})


@pytest.mark.parametrize(
    ("name", "types", "sentence"),
    [
        ("person_opens_facility_door", [], "a person opens a facility door"),
        ("person_talks_to_person", ["person", "person"], "a person talks to a person"),
        ("vehicle_turning_left", ["vehicle"], "a vehicle is turning left"),
        ("person_carries_heavy_object", [], "a person carries a heavy object"),
        ("vehicle_makes_u_turn", [], "a vehicle makes a u turn"),
        ("person_enters_scene_through_structure", [], "a person enters the scene through a structure"),
        ("person_person_embrace", [], "two people embrace"),
        ("activity_walking", ["Person"], "a person is walking"),
        ("Transport_HeavyCarry", ["Person", "Other"], "a person: transport a heavy carry"),
        ("Misc", [], "something: misc"),
        ("person", ["person"], "a person"),
        ("__", [], ""),
    ],
)
def test_sentences_of_the_template(name: str, types: list[str], sentence: str) -> None:
    assert write_sentence(name, types) == sentence


def test_actors_are_counted() -> None:
    assert describe_actors(["person", "bag", "person"]) == "two people and a bag"
    assert describe_actors(["other"] * 12) == "12 objects"
    assert describe_actors([]) == "something"
