"""Memory-augmented autoencoder: rebuilds a row from few learned memory rows; what is far from all of them is rebuilt badly.

Source: Gong et al. 2019, "Memorizing Normality to Detect Anomaly" (arXiv:1904.02639), eqs. 4-10.
Deviations: vectors in place of frames, so encoder and decoder are two linear layers; the memory has 64 rows, since a
reference has hundreds of rows, not videos; the shrinkage threshold is 1 / rows, as the paper recommends.
Letters: B rows of a batch, N reference rows, M memory rows, D width, H code width.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from corpus.moments import Floats

_EPSILON = 1e-12


class MemoryAutoencoder(nn.Module):
    """Encoder, memory addressed by cosine with hard shrinkage, and decoder."""

    def __init__(self, width: int, *, code_dim: int = 16, num_slots: int = 64) -> None:
        super().__init__()
        hidden = 2 * code_dim
        self.encoder = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, code_dim))
        self.memory = nn.Parameter(torch.randn(num_slots, code_dim))
        self.decoder = nn.Sequential(nn.Linear(code_dim, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.threshold = 1 / num_slots

    def address(self, codes: Tensor) -> Tensor:
        """Return the weights of the memory rows, (B, H) -> (B, M): each row is non-negative with the sum 1."""
        similarity = F.normalize(codes, dim=1) @ F.normalize(self.memory, dim=1).T  # (B, M)
        return shrink(similarity.softmax(dim=1), self.threshold)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows (B, D) rebuilt from memory, and the weights (B, M)."""
        weights = self.address(self.encoder(rows))
        return self.decoder(weights @ self.memory), weights


def shrink(weights: Tensor, threshold: float) -> Tensor:
    """Set weights (B, M) up to the threshold to 0, smoothly above it, and rescale each row to the sum 1 (eqs. 7 and 8)."""
    above = weights - threshold
    kept = F.relu(above) * weights / (above.abs() + _EPSILON)
    return kept / kept.sum(dim=1, keepdim=True).clamp_min(_EPSILON)


def compute_entropy(weights: Tensor) -> Tensor:
    """Return the mean entropy of the rows of weights (B, M), in nats."""
    return -(weights * (weights + _EPSILON).log()).sum(dim=1).mean()


class RebuildError:
    """Scores rows by the squared error of their rebuilding, after training on the reference."""

    def __init__(self, reference: Floats, *, seed: int = 2026, num_epochs: int = 200) -> None:
        """Train on three quarters of the reference (N, D). All rows are scored; the others tell what new rows score."""
        self._mean, self._scale = reference.mean(axis=0), reference.std(axis=0) + 1e-6
        held = np.arange(len(reference)) % 4 == 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._model = MemoryAutoencoder(reference.shape[1])
            self._train(self._normalise(reference[~held]), num_epochs)
        self.reference: Floats = self.score(reference[held])

    def score(self, rows: Floats) -> Floats:
        """Return the squared errors (B,) of rows (B, D), in units of the reference's variance."""
        inputs = self._normalise(rows)
        with torch.no_grad():
            rebuilt, _ = self._model(inputs)
        errors: Floats = ((rebuilt - inputs) ** 2).mean(dim=1).numpy()
        return errors

    def _normalise(self, rows: Floats) -> Tensor:
        return torch.from_numpy(((rows - self._mean) / self._scale).astype(np.float32))

    def _train(self, rows: Tensor, num_epochs: int) -> None:
        """Minimize squared error + 0.0002 x entropy (eq. 10)."""
        optimizer = torch.optim.Adam(self._model.parameters(), lr=3e-3)
        for _ in range(num_epochs):
            for batch in torch.split(rows[torch.randperm(len(rows))], 64):
                rebuilt, weights = self._model(batch)
                loss = F.mse_loss(rebuilt, batch) + 2e-4 * compute_entropy(weights)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call] # torch has no types here
                optimizer.step()
