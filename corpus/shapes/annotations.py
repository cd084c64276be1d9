"""Annotation lines of the drawn corpus, in the QVHighlights format with optional keys of this project."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from corpus.shapes.facts import Fact, list_facts
from corpus.shapes.params import ShapesParams
from corpus.shapes.scene import Scene
from corpus.shapes.scenes import make_rng
from corpus.shapes.wording.grammar import Speaker
from corpus.shapes.wording.questions import Question, ask
from corpus.shapes.wording.sentences import Clause, Description, Interval, Sentence, list_clauses


@dataclass
class Library:
    """Index of the facts of all videos of a split, by event and object."""

    scenes: Sequence[Scene]
    facts: dict[str, tuple[Fact, ...]] = field(init=False)
    _videos: dict[Clause, set[str]] = field(init=False)
    _found: dict[Sentence, dict[str, list[Interval]]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """List the facts, and the videos in which each clause without object is true."""
        self.facts = {scene.video_id: list_facts(scene) for scene in self.scenes}
        self._videos = defaultdict(set)
        for video_id, facts in self.facts.items():
            for fact in facts:
                for color in (fact.actor.color, None):
                    for shape in (fact.actor.shape, None):
                        self._videos[Clause(fact.kind, Description(color, shape))].add(video_id)

    def find(self, sentence: Sentence) -> dict[str, list[Interval]]:
        """Return every interval in which a sentence is true, by video; videos without one are left out."""
        if sentence not in self._found:
            fps = self.scenes[0].fps
            keys = [Clause(clause.kind, clause.subject) for clause in list_clauses(sentence)]
            videos = set.intersection(*(self._videos.get(key, set()) for key in keys))
            found = {video_id: sorted(sentence.find(self.facts[video_id], fps)) for video_id in sorted(videos)}
            self._found[sentence] = {video_id: intervals for video_id, intervals in found.items() if intervals}
        return self._found[sentence]


def annotate(scenes: Sequence[Scene], params: ShapesParams, *, seed: int) -> list[dict[str, Any]]:
    """Return one line per question, with all moments of the split in which its sentence is true."""
    rows: list[dict[str, Any]] = []
    for split in dict.fromkeys(scene.split for scene in scenes):
        of_split = [scene for scene in scenes if scene.split == split]
        library = Library(of_split)
        for number, scene in enumerate(of_split):
            rows += _annotate_scene(scene, number, library, params, seed)
    return rows


def _annotate_scene(scene: Scene, number: int, library: Library, params: ShapesParams, seed: int) -> list[dict[str, Any]]:
    twin = "test" if scene.split == "test_background" else scene.split  # the same questions in the same words
    rng = make_rng(seed, twin, number, "questions")
    limit = params.train_queries_per_video if scene.split == "train" else params.test_queries_per_video
    speaker = Speaker(rng, shifted=scene.split == "test_shifted")
    return [
        _to_row(f"{scene.video_id}_{index}", scene, question, speaker.say(question.sentence), library)
        for index, question in enumerate(ask(scene, rng, limit=limit))
    ]


def _to_row(qid: str, scene: Scene, question: Question, text: str, library: Library) -> dict[str, Any]:
    places = {
        video_id: [_to_seconds(interval, scene.fps) for interval in intervals]
        for video_id, intervals in library.find(question.sentence).items()
    }
    own = places.pop(scene.video_id)
    row = {"qid": qid, "vid": scene.video_id, "duration": scene.duration_s, "query": text, "relevant_windows": own}
    return row | {"split": scene.split, "tags": _make_tags(question), "elsewhere": places, "source": "drawn"}


def _to_seconds(interval: Interval, fps: int) -> list[float]:
    return [interval.start / fps, interval.end / fps]


def _make_tags(question: Question) -> dict[str, str]:
    """Name the slices of a question; colour and shape only if the sentence names them."""
    subject = list_clauses(question.sentence)[-1 if question.form == "sequence" else 0].subject
    said = {"color": subject.color, "shape": subject.shape}
    tags = {"form": question.form, "kind": str(question.target.kind), "distractors": str(question.distractors)}
    if question.form == "relation":
        tags["needs_relation"] = "yes" if question.ambiguous else "no"
    return tags | {name: value for name, value in said.items() if value is not None}
