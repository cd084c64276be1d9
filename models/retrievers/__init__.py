"""The registry of retrievers; with a second one it becomes a union discriminated by `name`."""

from models.retrievers.dual_encoder import DualEncoderParams

RetrieverParams = DualEncoderParams
