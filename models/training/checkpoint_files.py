"""How Lightning writes its checkpoints: whole or not at all."""

import io
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from corpus.files import write_bytes


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint by temporary file, fsync and rename.

    Lightning's own goes through the folder for temporary files: where that is another disk, a full disk leaves a truncated
    checkpoint under its final name.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            NoRoomError: when it does not fit, naming the file, the bytes needed and the bytes free.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_bytes(Path(path), content.getvalue())
