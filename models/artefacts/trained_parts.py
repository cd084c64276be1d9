"""Trained parts of a project: encoders, features and checkpoints that belong together."""

from pathlib import Path
from typing import NamedTuple

from corpus.store import FeatureStore, require_same_fingerprint
from models.artefacts.checkpoint import CheckpointConfig, load_localizer, load_retriever
from models.artefacts.encoder_files import Encoders, load_encoders, require_own_features
from models.contracts.roles import Localizer, Retriever


class TrainedParts(NamedTuple):
    """Encoders, retriever and localizer with their training features."""

    encoders: Encoders
    retriever: Retriever
    localizer: Localizer
    retriever_config: CheckpointConfig
    localizer_config: CheckpointConfig
    store: FeatureStore

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that the retriever or the localizer reads, without duplicates."""
        return tuple(dict.fromkeys([*self.retriever.streams, *self.localizer.streams]))


def load_parts(*, encoder_dir: Path, features_dir: Path, checkpoints_dir: Path) -> TrainedParts:
    """Load encoders, checkpoints and features.

    Raises:
        ValueError: when they do not belong together, naming the role and the command that trains it.
        FingerprintMismatchError: when the features do not match the encoders or the roles.
    """
    encoders, store = load_encoders(encoder_dir), FeatureStore(features_dir)
    require_own_features(encoders, store)
    retriever, retriever_config = load_retriever(checkpoints_dir / "retriever")
    localizer, localizer_config = load_localizer(checkpoints_dir / "localizer")
    for config in (retriever_config, localizer_config):
        require_same_fingerprint(
            expected=store.combine_fingerprint(config.streams), found=config.fingerprint, what=f"the {config.role}"
        )
        if config.text_digest != encoders.text_digest:
            raise ValueError(
                f"the {config.role} was trained with the text encoder {config.text_digest}, "
                f"but {encoder_dir} holds {encoders.text_digest}; run: dvc repro train@{config.role}"
            )
    return TrainedParts(encoders, retriever, localizer, retriever_config, localizer_config, store)
