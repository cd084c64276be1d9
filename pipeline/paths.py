"""Paths of artefacts, relative to the checkout that a stage runs in, and the machine's own folder for resumable work."""

import os
from pathlib import Path

DATA = Path("data")
IDENTITY = DATA / "identity"
RAW = DATA / "raw"
CORPUS = DATA / "corpus"
ENCODER = DATA / "encoder"
FEATURES = DATA / "features"
CHECKPOINTS = DATA / "checkpoints"
REPORTS = DATA / "reports"
BUNDLE = DATA / "bundle"
INDEX = DATA / "index"
BENTO = DATA / "bento"
SERVICE = DATA / "service"  # state of a running service: uploads, deletions, feedback
TIMINGS = Path(".cache/timings")  # of this checkout, an experiment's temporary copy included


def find_main_checkout() -> Path:
    """Return the main checkout; DVC runs experiments in temporary copies and names the main checkout in `DVC_ROOT`."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def find_cache_dir() -> Path:
    """Return the folder for unfinished work (shards, training state, locks), which survives DVC's clearing of `outs`."""
    return find_main_checkout() / ".cache"
