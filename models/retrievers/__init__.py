"""The registry of retrievers: one line per retriever in `RetrieverParams`."""

from typing import Annotated

from pydantic import Field

from models.retrievers.cal import CALParams
from models.retrievers.dual_encoder import DualEncoderParams

RetrieverParams = Annotated[CALParams | DualEncoderParams, Field(discriminator="name")]
