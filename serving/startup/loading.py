"""Loading of a service: verifies and opens models and index, and restores the state folder."""

import fcntl
import logging
import time
from pathlib import Path
from typing import IO

from corpus.files import read_json
from search.answers import SearchQuery
from search.contracts import Predictor
from search.kinds import load_predictor
from search.recall_monitor import RecallMonitor
from serving.api.metrics import ServiceMetrics
from serving.library.jobs import JobQueue
from serving.library.journal import Journal
from serving.library.library import LibraryLimits, VideoLibrary
from serving.library.media_forms import CollectionMedia, MediaFolders, prepare_forms
from serving.startup.locations import Locations
from serving.startup.service_state import LoadedService
from serving.startup.settings import Settings
from serving.startup.successor import WANTS_STATE, tell
from serving.traffic.log import TrafficLog
from serving.variants.loading import Surroundings, load_variants
from serving.variants.metrics import VariantMetrics

_PERIOD_S = 0.2
_QUIET_S = 2.0  # a service with a successor gives its folder up sooner
_MILVUS_PERIOD_S = 2.0

logger = logging.getLogger("bentoml.cuepoint")


def load_service(places: Locations, settings: Settings, metrics: ServiceMetrics) -> LoadedService:
    """Verify and open models and index, lock the state folder, and restore acknowledged changes.

    Raises:
        FileNotFoundError: naming what is missing.
        ValueError: naming what is damaged or does not belong together.
        OSError: when the state folder cannot be written, or Milvus stops answering.
    """
    sizes = [f"{measure_bytes(folder) / 1e6:.1f} MB" for folder in (places.bundle_dir, places.index_dir)]
    logger.info("verifying the models, %s, and the index, %s", *sizes)
    predictor = open_predictor(places)
    corpus, media_dir = predictor.collection.corpus, places.find_media_dir(predictor.collection)
    predictor.search(SearchQuery("warm up", 1))
    logger.info("restoring uploads and deletions from %s", places.state_dir)
    tell(WANTS_STATE)
    lock = own_folder(places.state_dir)
    jobs = JobQueue()
    forms_dir = prepare_forms(places.state_dir / "playable")
    media = CollectionMedia(MediaFolders(media_dir, places.thumbnails_dir, forms_dir), jobs)
    limits = LibraryLimits(max_uploads=settings.max_uploads, max_video_s=settings.max_video_s)
    surroundings = Surroundings(places.state_dir, jobs, VariantMetrics(metrics.registry), places.num_threads)
    variants, target = load_variants(predictor, surroundings)
    library = VideoLibrary(target, media, state_dir=places.state_dir, jobs=jobs, limits=limits)
    library.restore()
    jobs.start()
    recall = RecallMonitor(predictor)
    recall.start()
    traffic = TrafficLog(places.state_dir, settings.traffic)
    traffic.start()
    loaded = LoadedService(
        settings=settings,
        predictor=predictor,
        variants=variants,
        library=library,
        jobs=jobs,
        feedback=Journal(places.state_dir / "feedback.jsonl"),
        traffic=traffic,
        examples=read_examples(places.examples_path, corpus=corpus),
        recall=recall,
        lock=lock,
    )
    logger.info("loaded: bundle %s, %d videos", predictor.bundle.version[:12], library.count_videos())
    return loaded


def measure_bytes(folder: Path) -> int:
    """Return the size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def open_predictor(places: Locations) -> Predictor:
    """Verify and open models and index; wait for a Milvus server that starts together with the service.

    Raises:
        FileNotFoundError: naming what is missing.
        ValueError: naming what is damaged or does not belong together.
    """
    has_waited = False
    while True:
        try:
            return load_predictor(places.bundle_dir, places.index_dir, num_threads=places.num_threads, milvus=places.milvus)
        except ConnectionError as error:
            if not has_waited:
                logger.warning("%s; waiting until it answers, or set CUEPOINT_MILVUS_URI", error)
            has_waited = True
            time.sleep(_MILVUS_PERIOD_S)


def own_folder(folder: Path) -> IO[str]:
    """Lock a state folder for this process; wait until a former service has ended.

    Raises:
        OSError: when it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / ".lock").open("w")
    start_s, has_told = time.monotonic(), False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not has_told and time.monotonic() - start_s > _QUIET_S:
                logger.warning("another service uses %s; waiting until it has ended, or set CUEPOINT_STATE", folder)
                has_told = True
            time.sleep(_PERIOD_S)
        else:
            return lock


def read_examples(path: Path, *, corpus: str) -> list[str]:
    """Return the example sentences of a bento if they belong to the searched corpus."""
    if not path.is_file():
        return []
    content = read_json(path)
    return list(content["examples"]) if content["corpus"] == corpus else []
