"""Registry of retrievers: one line per retriever in `RetrieverParams`."""

from typing import Annotated

from pydantic import Field

from models.retrievers.cal import CALParams
from models.retrievers.dual_encoder import DualEncoderParams
from models.retrievers.shared_space import SharedSpaceParams

RetrieverParams = Annotated[CALParams | DualEncoderParams | SharedSpaceParams, Field(discriminator="name")]
