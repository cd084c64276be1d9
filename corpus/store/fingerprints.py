"""Fingerprints of features: hashes of everything that made them. Stores, checkpoints, bundles and indexes carry them."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from corpus.files import sha256_json


class FingerprintMismatchError(ValueError):
    """Two artefacts were made with different features."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Origin of a feature. `identity` must agree wherever features meet; a different `environment` only warns."""

    identity: Mapping[str, str]  # for instance sampling, weights, normalisation: name -> hash or value
    environment: Mapping[str, str]  # for instance the decoder's version

    @property
    def digest(self) -> str:
        """The hash of the identity."""
        return sha256_json(dict(self.identity))

    def to_json(self) -> dict[str, dict[str, str]]:
        """Return the JSON form."""
        return {"identity": dict(self.identity), "environment": dict(self.environment)}

    @classmethod
    def from_json(cls, row: Mapping[str, Mapping[str, str]]) -> "Fingerprint":
        """Build a fingerprint from its JSON form."""
        return cls(identity=dict(row["identity"]), environment=dict(row["environment"]))


def combine_fingerprints(streams: Mapping[str, Fingerprint]) -> Fingerprint:
    """Return the joint fingerprint of several streams, with keys `<stream>.<name>`."""
    return Fingerprint(
        identity={f"{name}.{key}": value for name, part in sorted(streams.items()) for key, value in part.identity.items()},
        environment={f"{name}.{key}": value for name, part in sorted(streams.items()) for key, value in part.environment.items()},
    )


def require_same_fingerprint(*, expected: Fingerprint, found: Fingerprint, what: str, remedy: str = "dvc repro") -> None:
    """Refuse `what` if its identity differs from the expected one; warn if only the environment differs.

    `remedy` is the command that rebuilds `what`.

    Raises:
        FingerprintMismatchError: naming the differing fields and both values.
    """
    for part in ("identity", "environment"):
        left, right = getattr(expected, part), getattr(found, part)
        names = sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))
        if not names:
            continue
        differences = "; ".join(f"{name}: expected {left.get(name)}, found {right.get(name)}" for name in names)
        if part == "identity":
            raise FingerprintMismatchError(f"{what} was made with other features ({differences}); run: {remedy}")
        warnings.warn(f"{what} was made in another environment ({differences})", stacklevel=2)
