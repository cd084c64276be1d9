"""Prefect and MLflow in a real PostgreSQL, which the test starts as its own user."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from loopback import find_free_port, is_running, wait_until
from pipeline.dvc.process import build_environment

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
PROGRAMS = ("initdb", "postgres", "pg_isready", "createdb")
USER, PASSWORD = "cuepoint", "not-to-be-shown"


def find_programs() -> Path:
    """Return the folder of PostgreSQL's programs; skip the test if there is none."""
    found = shutil.which("pg_isready")
    folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), *([Path(found).parent] if found else [])]
    for folder in folders:
        if all((folder / name).exists() for name in PROGRAMS):
            return folder
    pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")


def find_owner() -> str | None:
    """Return the user that runs the database: PostgreSQL refuses root. None stands for this user."""
    if os.geteuid() != 0:
        return None
    if "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres")
    return "postgres"


@pytest.fixture
def postgres() -> Iterator[str]:
    """Start a database server on loopback with the databases `prefect` and `runs`; yield its address."""
    programs, owner, port = find_programs(), find_owner(), find_free_port()
    folder = Path(tempfile.mkdtemp(prefix="cuepoint-postgres-"))
    data, password_path = folder / "data", folder / "password"
    password_path.write_text(PASSWORD)
    if owner:
        for path in (folder, password_path):
            shutil.chown(path, owner)
    options = {"cwd": folder, "user": owner, "stdout": subprocess.DEVNULL}
    init = [programs / "initdb", "-D", data, "-U", USER, "--auth=scram-sha-256", f"--pwfile={password_path}", "--no-sync"]
    subprocess.run(init, check=True, **options)  # type: ignore[call-overload]
    start = [programs / "postgres", "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1", "-F"]
    server = subprocess.Popen(start, stderr=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    try:
        ready = [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]
        wait_until(lambda: subprocess.run(ready, stdout=subprocess.DEVNULL, check=False).returncode == 0)
        for name in ("prefect", "runs"):
            create = [programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", USER, name]
            subprocess.run(create, env={**os.environ, "PGPASSWORD": PASSWORD}, check=True)
        yield f"{USER}:{PASSWORD}@127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)
        shutil.rmtree(folder)


REGISTER = """
from pathlib import Path
from pipeline.tracking.server import register_bundle
bundle = Path("bundle")
bundle.mkdir()
(bundle / "manifest.json").write_text("{}")
print(register_bundle(bundle, digest="abc", metrics={"val/mIoU": 0.5}, tags={}))
"""


def test_both_servers_keep_their_data_in_postgresql_and_end_with_their_command(project: Path, postgres: str) -> None:
    port, runs_port = find_free_port(), find_free_port()
    env = {
        **build_environment(),
        "PREFECT_HOME": str(project / ".cache" / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{postgres}/prefect",
        "MLFLOW_TRACKING_URI": f"postgresql://{postgres}/runs",
        "DVC_ROOT": str(project),
    }
    command = [sys.executable, "-m", "cuepoint", "server", "--port", str(port), "--runs-port", str(runs_port)]
    log = project / ".cache" / "server.log"
    with log.open("wb") as output:
        both = subprocess.Popen(command, cwd=project, env=env, stdout=output, stderr=subprocess.STDOUT)
    try:
        for address in (f"http://127.0.0.1:{port}/api/health", f"http://127.0.0.1:{runs_port}/health"):
            wait_until(lambda address=address: answers(address), 240, what=lambda: log.read_text(errors="replace"))
        subprocess.run([sys.executable, "-m", "cuepoint", "deploy"], cwd=project, env=env, check=True, capture_output=True)
        assert (
            httpx.get(f"http://127.0.0.1:{port}/api/deployments/name/reproduce/cuepoint", timeout=60).json()["name"] == "cuepoint"
        )
        register = subprocess.run(
            [sys.executable, "-c", REGISTER], cwd=project, env=env, check=True, capture_output=True, text=True
        )
        assert register.stdout == "1\n"
        model = httpx.get(f"http://127.0.0.1:{runs_port}/api/2.0/mlflow/registered-models/get?name=cuepoint", timeout=60)
        assert model.json()["registered_model"]["latest_versions"][0]["version"] == "1"
        assert list((project / ".cache" / "mlflow" / "artifacts").rglob("manifest.json"))
        assert not list(project.rglob("*.db"))
        assert PASSWORD not in log.read_text(errors="replace") + str(psutil.Process(both.pid).children()[0].cmdline())
        family = psutil.Process(both.pid).children(recursive=True)
        both.kill()
        wait_until(lambda: not any(is_running(process.pid) for process in family), 60)
    finally:
        both.terminate()
        both.wait(60)


def answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
