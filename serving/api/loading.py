"""Everything that a service answers from, verified and opened."""

import fcntl
import logging
import time
from pathlib import Path
from typing import IO

from corpus.files import read_json
from serving.answers import SearchQuery
from serving.api.metrics import ServiceMetrics
from serving.api.service_state import LoadedService
from serving.api.settings import Settings
from serving.library.jobs import JobQueue
from serving.library.journal import Journal
from serving.library.library import LibraryLimits, VideoLibrary
from serving.library.media_forms import CollectionMedia, MediaPlaces
from serving.places import Places
from serving.predictor import MomentPredictor
from serving.recall_monitor import RecallMonitor
from serving.variants.loading import Surroundings, load_variants
from serving.variants.metrics import VariantMetrics

_PERIOD_S = 0.2
_MILVUS_PERIOD_S = 2.0

logger = logging.getLogger("bentoml.cuepoint")


def load_service(places: Places, settings: Settings, metrics: ServiceMetrics) -> LoadedService:
    """Verify and open models and index, take the state folder, and bring back what was acknowledged.

    Raises:
        FileNotFoundError: naming what is missing.
        ValueError: naming what is damaged or does not belong together.
        OSError: when the state folder cannot be written, or Milvus answers no more.
    """
    predictor = open_predictor(places)
    corpus, media_dir = predictor.collection.corpus, places.find_media_dir(predictor.collection)
    lock = own_folder(places.state_dir)
    jobs = JobQueue()
    media = CollectionMedia(MediaPlaces(media_dir, places.thumbnails_dir, places.state_dir / "playable"), jobs)
    limits = LibraryLimits(max_uploads=settings.max_uploads, max_video_s=settings.max_video_s)
    surroundings = Surroundings(places.state_dir, jobs, VariantMetrics(metrics.registry), places.num_threads)
    variants, target = load_variants(predictor, surroundings)
    library = VideoLibrary(target, media, state_dir=places.state_dir, jobs=jobs, limits=limits)
    library.restore()
    predictor.search(SearchQuery("warm up", 1))
    jobs.start()
    recall = RecallMonitor(predictor)
    recall.start()
    loaded = LoadedService(
        settings=settings,
        predictor=predictor,
        variants=variants,
        library=library,
        jobs=jobs,
        feedback=Journal(places.state_dir / "feedback.jsonl"),
        examples=read_examples(places.examples_path, corpus=corpus),
        recall=recall,
        lock=lock,
    )
    logger.info("ready: bundle %s, %d videos", predictor.bundle.version[:12], library.count_videos())
    return loaded


def open_predictor(places: Places) -> MomentPredictor:
    """Verify and open models and index; wait for a Milvus that starts together with the service.

    Raises:
        FileNotFoundError: naming what is missing.
        ValueError: naming what is damaged or does not belong together.
    """
    has_waited = False
    while True:
        try:
            return MomentPredictor.load(places.bundle_dir, places.index_dir, num_threads=places.num_threads, milvus=places.milvus)
        except ConnectionError as error:
            if not has_waited:
                logger.warning("%s; waiting until it answers, or set CUEPOINT_MILVUS_URI", error)
            has_waited = True
            time.sleep(_MILVUS_PERIOD_S)


def own_folder(folder: Path) -> IO[str]:
    """Take a state folder for this process alone; wait while a former service still ends.

    Raises:
        OSError: when it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / ".lock").open("w")
    has_waited = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not has_waited:
                logger.warning("another service uses %s; waiting until it has ended, or set CUEPOINT_STATE", folder)
            has_waited = True
            time.sleep(_PERIOD_S)
        else:
            return lock


def read_examples(path: Path, *, corpus: str) -> list[str]:
    """Return the sentences that come with a bento, where they belong to the corpus that is searched."""
    if not path.is_file():
        return []
    content = read_json(path)
    return list(content["examples"]) if content["corpus"] == corpus else []
