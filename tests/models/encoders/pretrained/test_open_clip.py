"""Models of open_clip: beside transformers by other names of the same weights, and beside its towers written once more.

The names and the towers were compared with the package open_clip itself (3.3.0): ViT-B-32, ViT-B-32-quickgelu, ViT-M-32-alt,
ViT-B-16-plus-240 and ViT-B-16-SigLIP agree within 2e-6 of the largest number.
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from models.encoders.pretrained.open_clip import OpenClip
from open_clip_names import encode_image_slowly, encode_text_slowly, name_clip, name_siglip

pytestmark = pytest.mark.slow  # importing transformers takes seconds
WIDTH, LAYERS, HEADS, DIM, VOCABULARY = 32, 2, 4, 12, 90
CLIP: dict[str, Any] = {
    "embed_dim": DIM,
    "vision_cfg": {"image_size": 16, "layers": LAYERS, "width": WIDTH, "head_width": WIDTH // HEADS, "patch_size": 4},
    "text_cfg": {"context_length": 10, "vocab_size": VOCABULARY, "width": WIDTH, "heads": HEADS, "layers": LAYERS},
}
SIGLIP: dict[str, Any] = {  # timm names the size of its picture tower, so the width is that of vit_base with 12 heads
    "embed_dim": 24,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {
        "image_size": 16,
        "timm_model_name": "vit_base_patch16_siglip_224",
        "timm_model_pretrained": False,
        "timm_pool": "map",
        "timm_proj": "none",
    },
    "text_cfg": {
        "context_length": 10,
        "vocab_size": VOCABULARY,
        "hf_tokenizer_name": "timm/ViT-B-16-SigLIP",
        "tokenizer_kwargs": {"clean": "canonicalize"},
        "width": 24,
        "heads": 4,
        "layers": LAYERS,
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
        "norm_kwargs": {"eps": 1e-6},
    },
}
SIZES = {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}


def draw(network: Any) -> Any:
    """Give every weight a value of its own: zeros and ones would hide a lost one."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn_like(weight) * (0.3 if weight.ndim > 1 else 0.1) + (0.5 if weight.ndim == 1 else 0))
    return network.eval()


def make_clip(activation: str) -> Any:
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    vision = SIZES | {"image_size": 16, "patch_size": 4, "hidden_act": activation}
    text = SIZES | {"vocab_size": VOCABULARY, "max_position_embeddings": 10, "hidden_act": activation, "eos_token_id": 2}
    text |= {"bos_token_id": 0, "pad_token_id": 0}
    return draw(CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=DIM)))


def make_siglip() -> Any:
    from transformers import SiglipConfig, SiglipModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "intermediate_size": 96, "num_hidden_layers": LAYERS, "hidden_act": "gelu"}
    vision = sizes | {"image_size": 16, "patch_size": 4, "num_attention_heads": 12}
    text = sizes | {"vocab_size": VOCABULARY, "max_position_embeddings": 10, "num_attention_heads": 4}
    text |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    return draw(SiglipModel(SiglipConfig(text_config=text, vision_config=vision)))


def draw_pixels() -> Tensor:
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def draw_ids(padding: int) -> Tensor:
    ids = torch.full((3, 10), padding)
    for row, length in enumerate((3, 7, 10)):
        ids[row, :length] = torch.randint(2, VOCABULARY - 1, (length,), generator=torch.Generator().manual_seed(row))
        ids[row, length - 1] = VOCABULARY - 1  # the largest id ends a sentence
    return ids


def require_equal(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5


@pytest.mark.parametrize(("quick_gelu", "activation"), [(False, "gelu"), (True, "quick_gelu")])
@torch.no_grad()
def test_a_clip_gives_what_transformers_gives(quick_gelu: bool, activation: str) -> None:
    model = make_clip(activation)
    own = OpenClip.from_official(name_clip(model.state_dict()), CLIP | {"quick_gelu": quick_gelu})
    pixels, ids = draw_pixels(), draw_ids(0)
    require_equal(own.official_image(pixels), model.get_image_features(pixels).pooler_output)
    require_equal(own.official_text(ids), model.get_text_features(ids).pooler_output)


@torch.no_grad()
def test_a_siglip_gives_what_transformers_gives() -> None:
    model = make_siglip()
    own = OpenClip.from_official(name_siglip(model.state_dict()), SIGLIP)
    pixels, ids = draw_pixels(), draw_ids(1)
    require_equal(own.official_image(pixels), model.get_image_features(pixels).pooler_output)
    require_equal(own.official_text(ids), model.get_text_features(ids).pooler_output)


@pytest.mark.parametrize("quick_gelu", [False, True])
@pytest.mark.parametrize("causal", [True, False])
@torch.no_grad()
def test_the_towers_are_those_that_open_clip_describes(quick_gelu: bool, causal: bool) -> None:
    state = name_clip(make_clip("gelu").state_dict())
    text = CLIP["text_cfg"] | {"no_causal_mask": not causal}  # MobileCLIP's towers have none
    own = OpenClip.from_official(state, CLIP | {"quick_gelu": quick_gelu, "text_cfg": text})
    pixels, ids = draw_pixels(), draw_ids(0)
    activate = (lambda x: x * torch.sigmoid(1.702 * x)) if quick_gelu else (lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2)
    require_equal(own.official_image(pixels), encode_image_slowly(state, pixels, heads=HEADS, activate=activate))
    expected = encode_text_slowly(state, ids, heads=HEADS, activate=activate, causal=causal)
    require_equal(own.official_text(ids), expected)


@torch.no_grad()
def test_the_first_end_counts_where_the_configuration_names_its_id() -> None:
    model = make_clip("gelu")
    text = CLIP["text_cfg"] | {"pool_type": "eos", "eos_id": 5}
    own = OpenClip.from_official(name_clip(model.state_dict()), CLIP | {"text_cfg": text})
    ids = torch.tensor([[7, 5, 5, 0], [7, 8, 9, 5]])
    tokens = model.text_model(input_ids=ids).last_hidden_state
    require_equal(own.official_text(ids), model.text_projection(tokens[[0, 1], [1, 3]]))


@torch.no_grad()
def test_a_text_tower_in_a_module_of_its_own_is_the_same() -> None:
    state = name_clip(make_clip("gelu").state_dict())
    custom = {name if name.startswith(("visual.", "logit")) else f"text.{name}": weight for name, weight in state.items()}
    one, two = (OpenClip.from_official(names, CLIP) for names in (state, custom))
    assert torch.equal(one.official_text(draw_ids(0)), two.official_text(draw_ids(0)))


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("vision_cfg", {"layers": [3, 4, 6, 3]}, r"vision_cfg.layers = \[3, 4, 6, 3\], those of a ResNet"),
        ("vision_cfg", {"attentional_pool": True}, "vision_cfg.attentional_pool = True"),
        ("vision_cfg", {"pool_type": "avg"}, "vision_cfg.pool_type = 'avg'"),
        ("vision_cfg", {"no_ln_pre": True}, "vision_cfg.no_ln_pre = True"),
        ("vision_cfg", {"timm_model_name": "fastvit_mci2", "timm_pool": "avg"}, "vision_cfg.timm_model_name = 'fastvit_mci2'"),
        ("text_cfg", {"hf_model_name": "roberta-base"}, "text_cfg.hf_model_name = 'roberta-base'"),
        ("text_cfg", {"embed_cls": True}, "text_cfg.embed_cls = True"),
        ("text_cfg", {"pool_type": "first"}, "text_cfg.pool_type = 'first'"),
        ("text_cfg", {"pool_type": "last"}, "text_cfg.pool_type = 'last' with a causal mask"),
        ("text_cfg", {"proj_type": "none"}, "text_cfg.proj_type = 'none'"),
    ],
)
def test_what_no_tower_can_express_is_refused_with_the_way_around(part: str, values: dict[str, Any], message: str) -> None:
    state = name_clip(make_clip("gelu").state_dict())
    vision = {"image_size": 16} if "timm_model_name" in values else CLIP[part]
    with pytest.raises(ValueError, match=f"has {message}.* take a pair of ONNX files .* pretrain.encoder=onnx"):
        OpenClip.from_official(state, CLIP | {part: vision | values})


def test_weights_that_do_not_fit_are_named() -> None:
    state = name_clip(make_clip("gelu").state_dict())
    vision = CLIP["vision_cfg"] | {"layers": 3}
    with pytest.raises(ValueError, match=r"16 differ; vision_model.encoder.layers.2.\S+ is missing there and .*by the conf"):
        OpenClip.from_official(state, CLIP | {"vision_cfg": vision})
