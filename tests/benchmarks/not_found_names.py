"""Measures whether a search by class names can tell that something is not there; keeps a record of not_found.py.

    PYTHONPATH=.:tests/benchmarks python tests/benchmarks/not_found_names.py NAME --bundle BUNDLE --index INDEX --sentences FILE

FILE has one JSON object a line with `query` and `video`, its id in the index; `--author` keeps the rows of one author. Every
sentence is asked of all videos, and again without those it was written for; then of its own video and of another one. The bank
of sentences calibrates, as for other searches. Kinds of evidence are compared on one half of the videos; the better of them is
judged on the other half. The predictor itself gives no confidence; this is what it would be worth.

Letters: Q sentences, B sentences of the bank, V videos, K classes, S frames.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from not_found import Asked, keep, measure

from corpus.files import read_jsonl
from corpus.moments import Floats, Ints
from evaluation.calibration import fit_logistic
from evaluation.presence import LOCALIZE, SEARCH
from models.metrics.roc import compute_roc
from models.metrics.spans import Bools
from search.calibration import squash
from search.class_names.bundle import ClassBundle, load_class_bundle
from search.class_names.collection import ClassCollection, load_class_collection
from search.class_names.networks import ClassNetworks
from search.class_names.recipe import ClassWeights, pool_frames, score, weigh_classes
from search.null_calibration import THRESHOLD, NullScores
from search.null_sentences import choose_sentences

CHOSEN_BY = "Evidence of a search, chosen on one half of the videos and judged on the other:"


class Scores(NamedTuple):
    """What sentences score in videos: (Q, V) each, higher is better."""

    recipe: Floats  # which ranks the videos
    standard: Floats  # the same with classes standardised over the videos
    share: Floats  # the probability of the sentence's classes in the frames that show them most
    nearest: Floats  # the same in every video: the similarity of the nearest class name


def score_sentences(sentences: Sequence[ClassWeights], collection: ClassCollection) -> Scores:
    """Score sentences in all videos of a collection."""
    pooled = collection.pooled.astype(np.float64)
    standard = (pooled - pooled.mean(axis=0)) / np.maximum(pooled.std(axis=0), 1e-6)
    shares = np.stack([pool_frames(compute_probabilities(video.logits)) for video in collection.classified.values()])
    nearest = np.array([[one.grounding] * len(pooled) for one in sentences])
    tables = (np.stack([score(table, one) for one in sentences]) for table in (pooled, standard, np.log(shares + 1e-6)))
    return Scores(*tables, nearest)


def compute_probabilities(logits: Floats) -> Floats:
    """Return the probabilities of classes: (S, K) -> (S, K)."""
    raised = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    probabilities: Floats = raised / raised.sum(axis=1, keepdims=True)
    return probabilities


class Search(NamedTuple):
    """One sentence in the videos that are left, best first by the recipe: (V,) each; and the bank's (B, V) in the same."""

    scores: Scores
    bank: Scores

    def count_deviations(self, above: Floats) -> float:
        """Return by how many deviations the best video exceeds other scores."""
        return float((self.scores.recipe[0] - above.mean()) / max(float(above.std()), 1e-6))


EVIDENCE: Mapping[str, Callable[[Search], float]] = {
    "score of the best video": lambda one: float(one.scores.recipe[0]),
    "its deviations above the other videos": lambda one: one.count_deviations(one.scores.recipe[1:]),
    "its deviations above the bank in that video": lambda one: one.count_deviations(one.bank.recipe[:, 0]),
    "its distance from the second video": lambda one: float(one.scores.recipe[0] - one.scores.recipe[1]),
    "its score with classes standardised over videos": lambda one: float(one.scores.standard[0]),
    "probability of the classes in it": lambda one: float(one.scores.share[0]),
    "similarity of the nearest class name": lambda one: float(one.scores.nearest[0]),
}


class Trials(NamedTuple):
    """Sentences, first with all videos and then without their own; `rows` number the videos that they are about."""

    searches: list[Search]
    present: Bools  # (2Q,)
    rows: Ints  # (2Q,)


def build_trials(scores: Scores, bank: Scores, own: Sequence[frozenset[int]], rows: Ints) -> Trials:
    """Search for every sentence twice; `own` are the videos that it was written for."""
    videos = range(scores.recipe.shape[1])
    asked = [(number, list(videos)) for number in range(len(own))]
    asked += [(number, [video for video in videos if video not in out]) for number, out in enumerate(own)]
    searches = []
    for number, left in asked:
        order = np.array(left)[np.argsort(-scores.recipe[number, left], kind="stable")]
        searches.append(Search(Scores(*(one[number, order] for one in scores)), Scores(*(one[:, order] for one in bank))))
    return Trials(searches, np.arange(2 * len(own)) < len(own), np.tile(rows, 2))


def judge_bank(trials: Trials, scores: Scores, bank: Floats, own: Sequence[frozenset[int]]) -> list[dict[str, Any]]:
    """Judge what the bank of sentences says of searches, and of single videos: the own one, and another."""
    names = tuple(map(str, range(bank.shape[1])))
    null, size = NullScores(names, bank), len(own)
    found = [null.assess_search(one.scores.recipe[:1]) for one in trials.searches]
    rows, inside = trials.rows[:size], []
    for shift in (0, 1):
        for number, out in enumerate(own):
            video = rows[number] if not shift else (rows[number] + 1 + number % (len(names) - 1)) % len(names)
            others = np.array([column for column in range(len(names)) if column != video and column not in out - {video}])
            inside.append(null.assess_video(scores.recipe[number, video], scores.recipe[number, others], num_moments=1))
    judged = []
    for way, presences in ((SEARCH, found), (LOCALIZE, inside)):
        confidences = np.array([one.confidences[0] for one in presences if one is not None])
        judged.append({"asked": way, "by": "bank"} | measure(Asked(confidences, trials.present, trials.rows, THRESHOLD)))
    return judged


def try_evidence(trials: Trials) -> list[dict[str, Any]]:
    """Learn each kind of evidence, and all together, on every other video, and judge it on the rest."""
    columns = np.array([[compute(one) for compute in EVIDENCE.values()] for one in trials.searches])  # (2Q, kinds)
    chosen = trials.rows % 2 == 0
    tried = [((number,), name) for number, name in enumerate(EVIDENCE)] + [(tuple(range(len(EVIDENCE))), "all of these")]
    records = []
    for kinds, name in tried:
        inputs = columns[:, kinds]
        *slopes, intercept = fit_logistic(inputs[chosen], trials.present[chosen])
        confidences = squash(inputs @ np.array(slopes) + intercept)
        area = compute_roc(confidences[chosen], trials.present[chosen]).area
        asked = Asked(confidences[~chosen], trials.present[~chosen], trials.rows[~chosen], THRESHOLD)
        judged = measure(asked)
        records.append({"inputs": [name], "auc_validation": round(area, 4), "auc": judged["auc"], "ece": judged["ece"]})
    return records


def weigh(texts: Sequence[str], bundle: ClassBundle) -> list[ClassWeights]:
    """Return the classes of sentences."""
    networks = ClassNetworks(bundle.folder, num_threads=1)
    vectors = [networks.encode_sentences(bundle.tokenizer.encode([text]))[0] for text in texts]
    return [weigh_classes(vector, bundle.name_vectors) for vector in vectors]


def measure_names(bundle: ClassBundle, collection: ClassCollection, asked: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the record of sentences in a collection."""
    names = list(collection.videos)
    rows = np.array([names.index(row["video"]) for row in asked])
    own = [frozenset(names.index(one["video"]) for one in asked if one["query"] == row["query"]) for row in asked]
    weights = weigh([row["query"] for row in asked], bundle)
    scores = score_sentences(weights, collection)
    bank = score_sentences(weigh(choose_sentences(bundle.tokenizer), bundle), collection)
    trials = build_trials(scores, bank, own, rows)
    firsts = [int(scores.recipe[number].argmax()) in out for number, out in enumerate(own)]
    return {
        "videos": len(names),
        "right_video_first": round(float(np.mean(firsts)), 4),
        "rows": judge_bank(trials, scores, bank.recipe, own),
        "tried": try_evidence(trials),
        "tried_by": CHOSEN_BY,
    }


def main() -> None:
    """Measure and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    for option in ("--bundle", "--index", "--sentences"):
        parser.add_argument(option, type=Path, required=True)
    parser.add_argument("--author", help="keep the sentences of one author")
    options = parser.parse_args()
    bundle = load_class_bundle(options.bundle)
    collection = load_class_collection(options.index, bundle, bundle_dir=options.bundle)
    asked = [row for _, row in read_jsonl(options.sentences) if options.author in (None, row.get("author"))]
    keep(options.name, measure_names(bundle, collection, asked))


if __name__ == "__main__":
    main()
