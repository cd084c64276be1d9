"""Pictures of MLflow's and Prefect's pages in docs/, taken in Chromium from the runs of a checkout.

    python tests/benchmarks/screenshots.py mlflow CHECKOUT    # docs/mlflow-runs.png, docs/mlflow-compare.png
    python tests/benchmarks/screenshots.py version CHECKOUT   # docs/mlflow-version.png, of the latest registered version
    python tests/benchmarks/screenshots.py prefect CHECKOUT   # docs/prefect-run.png, of the latest flow run

CHECKOUT has at least two pipeline runs, a rejected version, and a flow run whose Prefect server had its home in .cache/prefect.
PREFECT_API_URL names a server that is running, for a picture of a run at work.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, sync_playwright

from loopback import find_free_port, wait_until
from pipeline.dvc.process import build_environment
from pipeline.tracking.run_table import MAIN, VIEW

DOCS = Path(__file__).resolve().parents[2] / "docs"
LIMIT_S = 600  # a busy machine takes minutes to draw such pages
WIDTH, HEIGHT = 1680, 800
COMPARED = 4


def picture_mlflow(checkout: Path, page: Page) -> None:
    """Picture the table of the runs, and the comparison of the latest pipeline runs."""
    with serve_runs(checkout) as url:
        page.goto(f"{url}/#/experiments/1/runs?viewStateShareKey={VIEW}")
        page.get_by_text(MAIN).first.wait_for()
        hide_notices(page)
        page.screenshot(path=DOCS / "mlflow-runs.png")
        runs = json.dumps(list_pipeline_runs(url))
        page.goto(f'{url}/#/compare-runs?runs={runs}&experiments=["1"]')
        page.get_by_text("Run details").first.wait_for()
        page.get_by_text("Visualizations").first.click()  # folds them up
        page.wait_for_timeout(3000)
        page.screenshot(path=DOCS / "mlflow-compare.png")


def list_pipeline_runs(url: str) -> list[str]:
    """Return the ids of the latest pipeline runs, best first."""
    query = {"experiment_ids": ["1"], "filter": "tags.`cuepoint.kind` = 'pipeline'", "order_by": [f"metrics.`{MAIN}` DESC"]}
    answer = httpx.post(f"{url}/api/2.0/mlflow/runs/search", json={**query, "max_results": COMPARED}, timeout=LIMIT_S)
    return [run["info"]["run_id"] for run in answer.raise_for_status().json()["runs"]]


def picture_version(checkout: Path, page: Page) -> None:
    """Picture the page of the latest registered version, which was rejected."""
    with serve_runs(checkout) as url:
        answer = httpx.get(f"{url}/api/2.0/mlflow/model-versions/search", timeout=LIMIT_S)
        number = max(int(one["version"]) for one in answer.raise_for_status().json()["model_versions"])
        page.set_viewport_size({"width": WIDTH, "height": 600})
        page.goto(f"{url}/#/models/cuepoint/versions/{number}")
        page.get_by_text("Why it was rejected").wait_for()
        hide_notices(page)
        page.screenshot(path=DOCS / "mlflow-version.png")


def picture_prefect(checkout: Path, page: Page) -> None:
    """Picture the page of the latest flow run with its artefacts."""
    home = str(checkout.resolve() / ".cache/prefect")
    running = os.environ.get("PREFECT_API_URL", "").removesuffix("/api")
    server = contextlib.nullcontext(running) if running else serve("server prefect", PREFECT_HOME=home, path="/api/health")
    with server as url:
        body = {"sort": "START_TIME_DESC", "limit": 1}
        (run,) = httpx.post(f"{url}/api/flow_runs/filter", json=body, timeout=LIMIT_S).raise_for_status().json()
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT + 160})  # the cards of the artifacts are at the end
        page.goto(f"{url}/runs/flow-run/{run['id']}")
        page.get_by_text("Artifacts", exact=True).click()
        page.get_by_text("stages", exact=True).first.wait_for()
        page.wait_for_timeout(3000)
        page.screenshot(path=DOCS / "prefect-run.png")


def hide_notices(page: Page) -> None:
    """Close what covers the table, and wait until it stands still."""
    for label in ("Close", "Hide banner"):
        button = page.get_by_label(label)
        if button.count():
            button.first.click()
    page.wait_for_timeout(3000)


def serve_runs(checkout: Path) -> contextlib.AbstractContextManager[str]:
    """Serve the runs of a checkout, and yield the address."""
    store = f"sqlite:///{checkout.resolve() / '.cache/mlflow/mlflow.db'}"
    return serve("ui", MLFLOW_TRACKING_URI=store, path="/health")


@contextlib.contextmanager
def serve(command: str, *, path: str, **variables: str) -> Iterator[str]:
    """Start `cuepoint ui` or `cuepoint server` on a free port, yield its address when it answers, and stop it at the end."""
    port = find_free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = [sys.executable, "-m", "cuepoint", *command.split(), "--port", str(port)]
    server = subprocess.Popen(arguments, env={**build_environment(), **variables})
    try:
        wait_until(lambda: answers(f"{url}{path}"), LIMIT_S)
        yield url
    finally:
        server.terminate()
        server.wait(60)


def answers(url: str) -> bool:
    """Tell whether a server answers with success."""
    try:
        return httpx.get(url, timeout=10).is_success
    except httpx.HTTPError:
        return False


def main() -> None:
    """Take the pictures that the command line names."""
    pictures: dict[str, Callable[[Path, Page], Any]] = {
        "mlflow": picture_mlflow,
        "version": picture_version,
        "prefect": picture_prefect,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=sorted(pictures))
    parser.add_argument("checkout", type=Path)
    options = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"], timeout=LIMIT_S * 1000
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(LIMIT_S * 1000)
        page.set_default_navigation_timeout(LIMIT_S * 1000)
        pictures[options.what](options.checkout, page)
        browser.close()


if __name__ == "__main__":
    main()
