"""Retraining on feedback: people judge the answers about shifted videos, and the next pipeline learns from what they said.

    python tests/benchmarks/feedback_loop.py run --folder /tmp/loop   # resumes after an interruption
    python tests/benchmarks/feedback_loop.py page                     # feedback_loop.md

`run` clones this checkout and trains the default pipeline. Its service then takes uploads of drawn videos from the world of
`test_shifted`, which no split of the corpus holds, and answers sentences about them. Simulated people judge the answers; some
of them err. `cuepoint feedback export` makes annotations of their verdicts, and the pipeline runs again on the larger corpus.
Both pipelines are judged on `test_shifted` and on `test`, none of whose videos people saw.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import yaml
from default_run import read_commit
from tqdm import tqdm

from corpus.files import read_json, read_jsonl, write_bytes, write_json
from corpus.moments import Moment, compute_iou
from corpus.shapes.drawing.video import write_video
from corpus.shapes.params import ShapesParams
from corpus.shapes.scenes import draw_scene, make_rng
from corpus.shapes.wording.grammar import Speaker
from corpus.shapes.wording.questions import ask
from evaluation.scoring.compare import compare, read_evaluation
from loopback import open_service, wait_until
from pipeline.executors.machine import describe_machine

ROOT = Path(__file__).resolve().parents[2]
RECORD = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).with_suffix(".md")
CORPUS = "people"  # the drawn corpus as one of a user's own, to which feedback may be added
SPLITS = ("test_shifted", "test")
FIRST_SCENE = 200_000  # no corpus and no other benchmark draws it
INDEXING_LIMIT_S = 3600
SEED = 2026


@dataclass(frozen=True)
class People:
    """How simulated people judge: the share of verdicts that are wrong, of wrong answers that they correct, and their aim."""

    per_sentence: int = 2
    error_share: float = 0.05
    correction_share: float = 0.5
    aim_s: float = 0.3  # standard deviation of a corrected start and end


@dataclass(frozen=True)
class Question:
    """A sentence about an uploaded video, and the moment that it describes."""

    text: str
    moment: Moment


def run(folder: Path, *, num_videos: int) -> None:
    """Do the steps that are still missing, and write the record."""
    checkout = folder / "checkout"
    if not checkout.is_dir():
        subprocess.run(["git", "clone", "-q", str(ROOT), str(checkout)], check=True)
    before, after = folder / "before", folder / "after"
    if not before.is_dir():
        train(checkout, before)
    if not (folder / "verdicts.json").is_file():
        write_json(folder / "verdicts.json", give_feedback(checkout, folder, num_videos))
    if not after.is_dir():
        use_feedback(checkout, folder)
        train(checkout, after)
    rows = _read_rows(checkout)
    record = {
        "commit": read_commit(checkout),
        "machine": describe_machine(),
        "date": f"{datetime.now(UTC).date()}",
        "videos": num_videos,
        "people": asdict(People()),
        "verdicts": read_json(folder / "verdicts.json"),
        "annotations": len(rows),
        "disputed": sum(row["tags"]["disagreement"] == "yes" for row in rows),
        "splits": {split: _compare(before / split, after / split) for split in SPLITS},
    }
    write_json(RECORD, record)


def build_page(record: Mapping[str, Any]) -> str:
    """Return the page of a record."""
    people, verdicts = record["people"], record["verdicts"]
    lines = [
        "# Retraining on feedback",
        "",
        "```",
        f"python {Path(__file__).relative_to(ROOT)} run --folder /tmp/loop",
        "```",
        "",
        f"At {record['commit']} on {record['machine']}, {record['date']}. One training of each side, seed {SEED}.",
        "",
        f"The service of the default pipeline takes {record['videos']} uploads of drawn videos from the world of `test_shifted`: "
        "colours and words that training never shows. Simulated people ask each sentence "
        f"{people['per_sentence']} times and judge the first answer by its overlap with the true moment. "
        f"{100 * people['error_share']:.0f} % of the verdicts are wrong. {100 * people['correction_share']:.0f} % of those who "
        f"call an answer wrong give the right moment, with an error of {people['aim_s']} s at each edge.",
        "",
        f"Verdicts: {', '.join(f'{number} {name}' for name, number in sorted(verdicts.items()))}. `cuepoint feedback export` "
        f"makes {record['annotations']} annotations of them, {record['disputed']} with the tag `disagreement: yes`. The pipeline "
        "then runs again on the default corpus with these annotations and their videos.",
        "",
        "Both pipelines answer about videos that the people did not see. The interval is that of the paired difference over "
        "videos, 95 %.",
        "",
        "| split | sentences | figure | before | after | difference |",
        "|---|---|---|---|---|---|",
    ]
    for split, found in record["splits"].items():
        for name, one in found["figures"].items():
            values = [100 * one[key] for key in ("left", "right", "difference", "low", "high")]
            left, right, difference, low, high = (f"{value:.1f}" for value in values)
            lines.append(f"| `{split}` | {found['queries']} | {name} | {left} | {right} | {difference} [{low}, {high}] |")
    return "\n".join(lines) + "\n"


def train(checkout: Path, kept: Path) -> None:
    """Run the pipeline, and keep the evaluation of every split that is judged."""
    unfinished = kept.with_suffix(".part")
    for split in SPLITS:
        set_values(checkout, evaluate={"split": split})
        _run(checkout, "dvc", "repro", *([] if split == SPLITS[-1] else ["evaluate"]))
        shutil.copytree(checkout / "data" / "reports" / "evaluation", unfinished / split, dirs_exist_ok=True)
    unfinished.rename(kept)


def give_feedback(checkout: Path, folder: Path, num_videos: int) -> dict[str, int]:
    """Upload videos to the service of the trained pipeline and judge its answers; return the number of each verdict."""
    size = ShapesParams.model_validate(yaml.safe_load((checkout / "presets/render/default.yaml").read_text()))
    home = folder / "service"
    shutil.rmtree(home, ignore_errors=True)
    (home / "clips").mkdir(parents=True)
    data = checkout / "data"
    variables = {"CUEPOINT_BUNDLE": data / "bundle", "CUEPOINT_INDEX": data / "index", "CUEPOINT_MEDIA_ROOT": data / "raw/shapes"}
    given: Counter[str] = Counter()
    rng = np.random.default_rng(SEED)
    limits = {"CUEPOINT_MAX_UPLOADS": str(num_videos)}
    with open_service(home, **{name: str(path) for name, path in variables.items()}, **limits) as (_, client):
        asked = {}
        for number in tqdm(range(FIRST_SCENE, FIRST_SCENE + num_videos), desc="draw and upload", unit="video"):
            path, questions = draw_video(size, number, home / "clips")
            asked[_upload(client, path)] = questions
        for video_id, questions in tqdm(asked.items(), desc="ask and judge", unit="video"):
            _wait_until_indexed(client, video_id)
            for question in questions:
                given.update(judge(client, video_id, question, People(), rng))
    return dict(given)


def draw_video(size: ShapesParams, number: int, folder: Path) -> tuple[Path, list[Question]]:
    """Draw a video of the shifted world with its questions."""
    split = "test_shifted"
    scene = draw_scene(size, seed=SEED, split=split, number=number)
    rng = make_rng(SEED, split, number, "questions")
    speaker = Speaker(rng, shifted=True)
    questions = ask(scene, rng, limit=size.train_queries_per_video)
    spans = [Moment(one.interval.start / scene.fps, one.interval.end / scene.fps) for one in questions]
    texts = [speaker.say(one.sentence) for one in questions]
    return write_video(scene, folder, size), [Question(text, span) for text, span in zip(texts, spans, strict=True)]


def judge(client: httpx.Client, video_id: str, question: Question, people: People, rng: np.random.Generator) -> Iterator[str]:
    """Let several people ask one sentence and judge the first answer; yield their verdicts."""
    for _ in range(people.per_sentence):
        asked = {"query": question.text, "video_ids": [video_id], "top_k": 1, "min_confidence": 0.0}
        answer = client.post("/search", json=asked).raise_for_status().json()
        if not answer["moments"]:
            continue
        first = answer["moments"][0]
        is_right = find_iou(first, question.moment) >= 0.5
        if rng.random() < people.error_share:
            is_right = not is_right
        verdict = "right" if is_right else "corrected" if rng.random() < people.correction_share else "wrong"
        row = {"query": question.text, "video_id": video_id, "verdict": verdict, "answer_id": answer["answer_id"]}
        row |= {key: first[key] for key in ("start_s", "end_s")}
        if verdict == "corrected":
            row |= _correct(question.moment, first["duration_s"], people, rng)
        client.post("/feedback", json=row).raise_for_status()
        yield verdict


def find_iou(span: Mapping[str, float], moment: Moment) -> float:
    """Return the overlap of an answered span with the true moment."""
    answered, true = np.array([[span["start_s"], span["end_s"]]]), np.array([[moment.start_s, moment.end_s]])
    return float(compute_iou(answered, true)[0, 0])


def use_feedback(checkout: Path, folder: Path) -> None:
    """Make the drawn corpus a user's own, and add what people said to it."""
    raw = checkout / "data" / "raw"
    shutil.rmtree(raw / CORPUS, ignore_errors=True)
    shutil.copytree(raw / "shapes", raw / CORPUS)
    command = ("-m", "cuepoint", "feedback", "export", "--corpus", CORPUS, "--state", str(folder / "service" / "state"))
    told = _run(checkout, sys.executable, *command, keeps_output=True)
    write_bytes(folder / "export.txt", told.encode())
    set_values(checkout, corpus={"name": CORPUS})


def set_values(checkout: Path, **groups: dict[str, Any]) -> None:
    """Set values of params.yaml."""
    path = checkout / "params.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, group in groups.items():
        values[name] |= group
    write_bytes(path, yaml.safe_dump(values, sort_keys=False).encode())


def _correct(moment: Moment, duration_s: float, people: People, rng: np.random.Generator) -> dict[str, float]:
    start_s = float(np.clip(moment.start_s + rng.normal(0, people.aim_s), 0, duration_s - 0.2))
    end_s = float(np.clip(moment.end_s + rng.normal(0, people.aim_s), start_s + 0.1, duration_s))
    return {"corrected_start_s": start_s, "corrected_end_s": end_s}


def _upload(client: httpx.Client, path: Path) -> str:
    answer = client.post("/videos", files={"file": (path.name, path.read_bytes(), "video/mp4")}).raise_for_status()
    return str(answer.json()["video_id"])


def _wait_until_indexed(client: httpx.Client, video_id: str) -> None:
    state: dict[str, Any] = {}

    def is_ready() -> bool:
        state.update(client.get(f"/videos/{video_id}").raise_for_status().json())
        if state["state"] == "failed":
            raise ValueError(f"{video_id} was refused: {state['reason']}")
        return bool(state["state"] == "ready")

    wait_until(is_ready, INDEXING_LIMIT_S, what=lambda: f"{state}")


def _compare(left: Path, right: Path) -> dict[str, Any]:
    contest = compare(read_evaluation(left), read_evaluation(right), shared_only=False, num_samples=10_000, seed=SEED)
    result = contest.to_json()
    result["figures"] = {name: result["figures"][name] for name in ("R1_iou0.5", "mIoU")}
    return {key: result[key] for key in ("queries", "videos", "figures")}


def _read_rows(checkout: Path) -> list[dict[str, Any]]:
    return [row for _, row in read_jsonl(checkout / "data/raw" / CORPUS / "annotations.jsonl") if row["source"] == "feedback"]


def _run(checkout: Path, *command: str, keeps_output: bool = False) -> str:
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    pipe = subprocess.PIPE if keeps_output else None
    done = subprocess.run(command, cwd=checkout, check=True, env=environment, text=True, stdout=pipe)
    return done.stdout or ""


def main() -> int:
    """Measure, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("run", "page"))
    parser.add_argument("--folder", type=Path, help="folder of the checkout, the service and the results of each step")
    parser.add_argument("--videos", type=int, default=80, help="uploaded videos (default: 80)")
    options = parser.parse_args()
    if options.action == "run":
        if options.folder is None:
            parser.error("run needs --folder")
        run(options.folder.resolve(), num_videos=options.videos)
    PAGE.write_text(build_page(read_json(RECORD)), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
