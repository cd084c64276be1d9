"""Flow `watch`: compares the service's recent traffic with training, and starts `retrain` on drift that persists.

`python -m flows.watch` runs it once, and starts a temporary server if `PREFECT_API_URL` names none.
"""

import os
import time
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

from flows.watching.rules import WatchRules, add_retrain, load_state, save_state
from flows.watching.samples import Places
from flows.watching.watching import Watched
from flows.watching.watching import watch as watch_window
from pipeline import paths
from pipeline.entry import run_main
from pipeline.executors.process import hold_lock

RETRAIN = "retrain/retrain"
WATCH = "watch"
DEFAULT_RULES = WatchRules()


@flow(name="watch", persist_result=False)
def watch(state_dir: Path | None = None, rules: WatchRules = DEFAULT_RULES) -> str:
    """Watch the traffic once and return what follows. `state_dir` is the service's (default: CUEPOINT_STATE, or data/service)."""
    watch_dir = find_watch_dir()
    with hold_lock(watch_dir / "watch.lock", what="the flow watch"):
        watched = compare_window(find_places(state_dir), watch_dir, rules)
        get_run_logger().info(watched.action.reason)
        if watched.action.starts_retrain:
            start_retrain(watch_dir, watched.action.reason)
    return watched.action.reason


@task(cache_policy=NO_CACHE, persist_result=False)
def compare_window(places: Places, watch_dir: Path, rules: WatchRules) -> Watched:
    """Compare the next window with training; the report becomes an artifact of the run."""
    watched = watch_window(places, watch_dir, rules, now_s=time.time(), records=True)
    note = f"\nThe page with the map of the sentences: `{watched.page}`\n" if watched.page else ""
    create_markdown_artifact(watched.markdown + note, key="drift", description="The traffic compared with training")
    return watched


@task(cache_policy=NO_CACHE, persist_result=False)
def start_retrain(watch_dir: Path, reason: str) -> None:
    """Start the deployment `retrain/retrain` and remember that; the run is not waited for.

    Raises:
        ValueError: when there is no such deployment. Drift then still counts, and the next watch tries again.
    """
    state = load_state(watch_dir)
    key = f"drift-{state.model[:12]}-{state.checked_until_s:.3f}"  # one run for one window, whoever asks again
    try:
        run = run_deployment(
            RETRAIN, parameters={"why": f"drift: {reason}"}, timeout=0, as_subflow=False, idempotency_key=key, tags=["drift"]
        )
    except ObjectNotFound as error:
        raise ValueError(f"drift persists, and there is no deployment {RETRAIN!r} to start; run: cuepoint deploy") from error
    assert isinstance(run, FlowRun)
    save_state(watch_dir, add_retrain(state, now_s=time.time()))
    get_run_logger().info(f"started {run.name} of {RETRAIN}")


def find_places(state_dir: Path | None = None) -> Places:
    """Return where this checkout and its service keep their data."""
    named = os.environ.get("CUEPOINT_STATE")
    return Places(paths.CORPUS, paths.BUNDLE, paths.INDEX, state_dir or (Path(named) if named else paths.SERVICE))


def find_watch_dir() -> Path:
    """Return the folder of the state and the last report of the watch of this checkout."""
    return paths.find_cache_dir() / WATCH


def main() -> None:
    """Run the flow once, here and now."""
    watch()


if __name__ == "__main__":
    run_main(main, name="watch")
