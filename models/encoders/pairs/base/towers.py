"""Values shared by pairs that run as the encoders `clip_image` and `clip_text`."""

from abc import ABC

from pydantic import Field, NonNegativeInt

from models.contracts.roles import EncoderPair
from models.encoders.pairs.base.published import PublishedPairParams
from models.encoders.pretrained.model_files import Form
from models.encoders.text.clip_text import CLIPTextParams
from models.encoders.video.clip_image import CLIPImageParams


class TowerPairParams(PublishedPairParams, ABC):
    """Both towers of a CLIP or SigLIP, for files of any form."""

    max_tokens: int = Field(default=77, ge=4)  # of a sentence, with special tokens; later tokens are cut
    padding_id: NonNegativeInt | None = None  # only for networks that read the padding after a sentence

    def expand_as(self, form: Form) -> EncoderPair:
        """Return the two towers for files of a form; sentences are not projected out of the shared space."""
        source = {**self.list_source(), "form": form}
        text = {"max_tokens": self.max_tokens, "padding_id": self.padding_id, "text_cleaning": self.text_cleaning}
        return EncoderPair(
            CLIPImageParams(name="clip_image", sampling=self.sampling, **source),
            CLIPTextParams(name="clip_text", **text, **source),
        )
