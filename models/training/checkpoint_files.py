"""Atomic writing of Lightning checkpoints."""

import io
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from corpus.files import write_bytes


class WholeCheckpointIO(TorchCheckpointIO):
    """Checkpoint plugin that writes by temporary file, fsync and rename.

    Lightning's own plugin uses the system's temporary folder. If that is on another disk, a full disk leaves a truncated
    checkpoint under the final name.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            NoRoomError: when the file does not fit, naming it, the bytes needed and the bytes free.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_bytes(Path(path), content.getvalue())
