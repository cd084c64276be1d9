"""Pooling of projected places of clips into the cells of a map.

Letters: B rows, T clips, P places of a clip, N cells, H width.
"""

from torch import Tensor
from torch.nn import functional as F


def pool_clips(places: Tensor, mask: Tensor, clips_per_cell: int) -> Tensor:
    """Return the features of cells (B, H, N): the mean, over the clips of a cell, of the rectified maximum over places.

    `places` (B, T, P, H) are projected but not rectified. `mask` (B, T) bool is True at clips inside the video; other clips
    are ignored. Source: the first layer of 2D-TAN (arXiv:1912.03590); the places are this project's addition.
    """
    hidden = F.relu(places[:, :, 0] if places.shape[2] == 1 else places.max(dim=2).values) * mask[..., None]  # (B, T, H)
    batch, num_clips, hidden_dim = hidden.shape
    cells = hidden.reshape(batch, num_clips // clips_per_cell, clips_per_cell, hidden_dim).sum(2)  # (B, N, H)
    count = mask.reshape(batch, -1, clips_per_cell).sum(-1, keepdim=True).clamp_min(1)  # (B, N, 1)
    pooled: Tensor = (cells / count).transpose(1, 2)
    return pooled
