"""Benchmark of the watch on the drawn corpus: false alarms on unshifted traffic, and the delay on shifted traffic.

`python tests/benchmarks/drift.py` uses corpus, bundle and index of the checkout in this folder and writes `drift.jsonl`;
`--page` writes `drift.md` and `docs/drift.svg` from it. Traffic is drawn: one sentence of each fresh scene, of the split `test`
(the world of training) or `test_shifted`, and answered by the search over the collection. `--words` needs no models: a sentence
is then the mean of random vectors of its words, the known words are those of the training sentences, and nothing is searched.
"""

import argparse
import subprocess
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from corpus.files import read_json, read_jsonl, write_json, write_jsonl
from corpus.shapes.params import ShapesParams
from corpus.shapes.scenes import draw_scene, make_rng
from corpus.shapes.wording.grammar import Speaker
from corpus.shapes.wording.questions import ask
from corpus.text import tokenize
from corpus.text.verbs import find_verb
from evaluation.drift.comparison import compare
from evaluation.drift.samples import Answers, Sample
from flows.watching.rules import Check, WatchRules, WatchState, add_check, decide
from flows.watching.samples import Places, build_reference, build_window, search_all
from flows.watching.sentences import SentenceReader
from search.answers import Answer, Verdict
from search.kinds import load_predictor
from serving.api.presentation import build_answer
from serving.api.schemas import Versions
from serving.library.catalogue import Brief
from serving.traffic.rows import Answered, TrafficRow, build_row

HERE = Path(__file__).parent
RECORDS, PAGE, PLOT = HERE / "drift.jsonl", HERE / "drift.md", HERE.parents[1] / "docs" / "drift.svg"
FRESH = 100_000  # number of the first scene: no corpus draws it
WINDOW, MOST_WINDOWS, WORD_DIM = 100, 12, 32
SHARES = (0.05, 0.1, 0.2, 0.4, 1.0)
PLACES = Places(Path("data/corpus"), Path("data/bundle"), Path("data/index"), Path("data/service"))


def draw_text(number: int, *, split: str, size: str, seed: int) -> str:
    """Return a sentence about a scene."""
    params = ShapesParams.model_validate(yaml.safe_load(Path(f"presets/render/{size}.yaml").read_text()))
    scene = draw_scene(params, seed=seed, split=split, number=number)
    rng = make_rng(seed, split, number, "questions")
    speaker = Speaker(rng, shifted=split == "test_shifted")
    questions = ask(scene, rng, limit=params.test_queries_per_video)
    return speaker.say(questions[int(rng.integers(len(questions)))].sentence)


def draw_pool(split: str, size: int, *, params: dict[str, Any], work: Path) -> list[str]:
    """Return a sentence of each scene, which are drawn once; those of `test` and `test_shifted` are in no corpus."""
    first = FRESH if split.startswith("test") else 0
    path = work / f"{split}-{size}.json"
    if not path.is_file():
        draw = partial(draw_text, split=split, size=params["size"], seed=params["seed"])
        with get_context("spawn").Pool(2) as pool:
            write_json(path, pool.map(draw, range(first, first + size), chunksize=4))
    texts: list[str] = read_json(path)
    return texts


def answer_all(texts: Sequence[str]) -> list[TrafficRow]:
    """Return the rows that the service would log, by its own code."""
    predictor = load_predictor(PLACES.bundle_dir, PLACES.index_dir, num_threads=1)
    model = predictor.bundle.version[:12]
    versions = Versions(model=model, model_name="drawn", model_revision=None, index="", variant="champion")
    brief = Brief("", 0.0, 0)
    rows = []
    for number, (text, answer) in enumerate(zip(texts, search_all(predictor, texts), strict=True)):
        shown = build_answer(text, answer, lambda _: brief)
        rows.append(build_row(Answered(shown, "search", False, versions, 0.0, float(number)), text="kept", key=b""))
    return rows


def take(sample: Sample, rows: Sequence[TrafficRow], chosen: np.ndarray[Any, Any]) -> Sample:
    """Return some rows of a sample of traffic."""
    assert sample.texts is not None
    assert sample.verbs is not None
    assert sample.vectors is not None
    some = [rows[one] for one in chosen]
    scores = np.array([row.best.score for row in some if row.best])
    return replace(
        sample,
        texts=[sample.texts[one] for one in chosen],
        verbs=[sample.verbs[one] for one in chosen],
        vectors=sample.vectors[chosen],
        num_words=sample.num_words[chosen],
        has_unknown=sample.has_unknown[chosen],
        unknown_words=[word for row in some for word in row.unknown_words or ()],
        answers=sample.answers and Answers(scores, sum(row.verdict is Verdict.NOT_FOUND for row in some), len(some)),
    )


def build_word_row(text: str, known: Collection[str], time_s: float) -> TrafficRow:
    """Return the row of a sentence without models: the answer is empty."""
    unknown = [word for word in tokenize(text) if word not in known]
    shown = build_answer(text, Answer(Verdict.UNSURE, (), None, tuple(unknown)), lambda _: Brief("", 0.0, 0))
    versions = Versions(model="", model_name="words", model_revision=None, index="", variant="")
    return build_row(Answered(shown, "search", False, versions, 0.0, time_s), text="kept", key=b"")


def embed_words(texts: Sequence[str]) -> Sample:
    """Return sentences as a sample, each the mean of fixed random vectors of its words."""
    vectors = [np.mean([draw_word(word) for word in tokenize(text)], axis=0) for text in texts]
    return Sample(
        num_words=np.array([len(tokenize(text)) for text in texts], dtype=np.float64),
        has_unknown=np.zeros(0, dtype=bool),
        texts=texts,
        verbs=[find_verb(text) for text in texts],
        vectors=np.stack(vectors),
    )


@cache
def draw_word(word: str) -> np.ndarray[Any, Any]:
    """Return the vector of a word, the same in every run."""
    return np.random.default_rng(list(word.encode())).normal(size=WORD_DIM)


class Traffic:
    """Windows of drawn traffic, and their comparison with training."""

    def __init__(self, num_old: int, rows: Sequence[TrafficRow], everything: Sample, reference: Sample) -> None:
        """Use rows of traffic, the sample of all of them and the reference; the first `num_old` rows are not shifted."""
        self._old, self._rows, self._all, self.reference = num_old, rows, everything, reference

    @classmethod
    def answer(cls, old: Sequence[str], new: Sequence[str]) -> "Traffic":
        """Answer the sentences of the world of training and of the shifted one by the models."""
        rows, reader = answer_all([*old, *new]), SentenceReader(PLACES.bundle_dir)
        return cls(len(old), rows, build_window(rows, reader), build_reference(PLACES, reader, feedback=None))

    @classmethod
    def read_words(cls, old: Sequence[str], new: Sequence[str], reference: Sequence[str], held_out: Sequence[str]) -> "Traffic":
        """Read the words of the sentences; `held_out` of the reference did not make the vocabulary."""
        known = {word for text in reference if text not in held_out for word in tokenize(text)}
        texts = [*old, *new]
        rows = [build_word_row(text, known, float(number)) for number, text in enumerate(texts)]
        unknown = np.array([any(word not in known for word in tokenize(text)) for text in held_out])
        samples = [embed_words(one) for one in (texts, reference)]
        everything = replace(samples[0], has_unknown=np.array([row.num_unknown > 0 for row in rows]))
        return cls(len(old), rows, everything, replace(samples[1], has_unknown=unknown))

    def watch(self, rng: np.random.Generator, *, share: float, size: int = WINDOW) -> tuple[Check, list[str]]:
        """Compare one window, of which a share is shifted; return the result and what moved."""
        num_new = int(rng.binomial(size, share))
        old = rng.choice(self._old, size - num_new, replace=False)
        new = self._old + rng.choice(len(self._rows) - self._old, num_new, replace=False)
        window = take(self._all, self._rows, np.concatenate([old, new]))
        found = compare(self.reference, window, seed=int(rng.integers(2**31)))
        check = Check(time_s=0, rows=size, p_value=found.p_value, has_drift=found.has_drift)
        return check, [one.key for one in found.list_moved()]


def measure_false_alarms(traffic: Traffic, *, num_windows: int, seed: int) -> dict[str, Any]:
    """Watch unshifted windows and count alarms, by test and in all."""
    rng = np.random.default_rng(seed)
    found = [traffic.watch(rng, share=0.0) for _ in range(num_windows)]
    by_test: dict[str, int] = {}
    for _, moved in found:
        for key in moved:
            by_test[key] = by_test.get(key, 0) + 1
    return {"kind": "false_alarms", "windows": num_windows, "alarms": sum(one.has_drift for one, _ in found), "by_test": by_test}


def measure_delay(traffic: Traffic, share: float, *, num_runs: int, seed: int) -> dict[str, Any]:
    """Watch runs of shifted windows; return the sentences until the first alarm and until the retrain, None without."""
    rules, alarms, retrains = WatchRules(), [], []
    for run in range(num_runs):
        rng, state = np.random.default_rng([seed, run]), WatchState()
        alarm = retrain = None
        for number in range(1, MOST_WINDOWS + 1):
            check, _ = traffic.watch(rng, share=share)
            state = add_check(state, check, until_s=0)
            alarm = alarm or (number * WINDOW if check.has_drift else None)
            if decide(state, rules, now_s=0).starts_retrain:
                retrain = number * WINDOW
                break
        alarms.append(alarm)
        retrains.append(retrain)
    return {"kind": "delay", "share": share, "runs": num_runs, "alarms": alarms, "retrains": retrains}


def main() -> None:
    """Measure, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", action="store_true", help="write drift.md and docs/drift.svg from the records")
    parser.add_argument("--windows", type=int, default=200, help="unshifted windows (default: 200)")
    parser.add_argument("--runs", type=int, default=20, help="runs for each share of shifted sentences (default: 20)")
    parser.add_argument("--pool", type=int, default=400, help="fresh scenes of the world of training (default: 400)")
    parser.add_argument("--words", action="store_true", help="compare words alone; needs no models")
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    if options.page:
        from drift_page import write_page

        write_page(list(read_jsonl(RECORDS)), PAGE, PLOT)
        return
    render = yaml.safe_load(Path("params.yaml").read_text())["render"]
    work = Path(".cache/benchmarks/drift")
    start_s = time.perf_counter()
    draw = partial(draw_pool, params=render, work=work)
    pools = [draw("test", options.pool), draw("test_shifted", 150)]
    if options.words:
        sizes = yaml.safe_load(Path(f"presets/render/{render['size']}.yaml").read_text())["videos"]
        training, held_out = (draw(split, sizes[split]) for split in ("train", "val"))
        traffic = Traffic.read_words(*pools, [*training, *held_out], held_out)
    else:
        traffic = Traffic.answer(*pools)
    records = [_describe(traffic, options, pools)]
    records.append(measure_false_alarms(traffic, num_windows=options.windows, seed=options.seed))
    print(records[-1], flush=True)
    for share in SHARES:
        records.append(measure_delay(traffic, share, num_runs=options.runs, seed=options.seed))
        print(records[-1], flush=True)
    records[0]["took_s"] = round(time.perf_counter() - start_s)
    write_jsonl(RECORDS, records)


def _describe(traffic: Traffic, options: argparse.Namespace, pools: Sequence[Sequence[str]]) -> dict[str, Any]:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=True)
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    reference = traffic.reference
    return {
        "kind": "setting",
        "commit": commit.stdout.strip(),
        "cpu": model.partition(":")[2].strip(),
        "seed": options.seed,
        "window": WINDOW,
        "pools": [len(one) for one in pools],
        "reference": len(reference.num_words),
        "words": options.words,
        "searched": reference.answers.total if reference.answers else 0,
        "videos": yaml.safe_load(Path("presets/render/default.yaml").read_text())["videos"],
    }


if __name__ == "__main__":
    main()
