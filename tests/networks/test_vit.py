"""MoCo v3's initialisation and ViT, by bounds and standard deviations."""

import math
from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from workbench.errors import WorkbenchError
from workbench.networks.options import SIZES
from workbench.networks.vit import ConvStem, Stem, ViT


def test_initialisation() -> None:
    torch.manual_seed(0)
    model = ViT(size=32, channels=3, patch=4, width=192, depth=2, heads=3)
    bounds = {
        "patch_embed.proj.weight": math.sqrt(6 / (3 * 16 + 192)),
        "blocks.0.attn.qkv.weight": math.sqrt(6 / (192 + 192)),  # q, k and v as three square matrices
        "blocks.0.attn.proj.weight": math.sqrt(6 / (192 + 192)),
        "blocks.1.mlp.fc1.weight": math.sqrt(6 / (192 + 768)),
        "blocks.1.mlp.fc2.weight": math.sqrt(6 / (192 + 768)),
    }
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}
    for name, bound in bounds.items():
        weight = parameters[name]
        assert 0.99 * bound < weight.abs().max() <= bound, name
        assert weight.std() == pytest.approx(bound / math.sqrt(3), rel=0.02), name  # of a uniform distribution
    for name, parameter in parameters.items():
        if name.endswith("bias"):
            assert torch.equal(parameter, torch.zeros_like(parameter)), name
    assert parameters["cls_token"].std() == pytest.approx(1e-6, rel=0.2)


def test_a_learned_position_starts_from_numbers_of_the_seed() -> None:
    models = []
    for _ in range(2):
        torch.full((100_000,), torch.nan)  # what memory may hold
        torch.manual_seed(0)
        models.append(ViT(32, 3, 4, 192, 1, 3, position="learned").pos_embed)
    assert models[0] is not None and models[1] is not None and torch.equal(models[0], models[1])
    assert float(models[0].detach().std()) == pytest.approx(0.02, rel=0.02)


def test_what_is_frozen() -> None:
    frozen = {name for name, parameter in ViT(32, 3, 4, 192, 1, 3).named_parameters() if not parameter.requires_grad}
    assert frozen == {"pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"}
    learned = ViT(32, 3, 4, 192, 1, 3, frozen_patch=False)
    assert {name for name, p in learned.named_parameters() if not p.requires_grad} == {"pos_embed"}


@pytest.mark.parametrize("stem", ["patch", "conv"])
def test_forward_is_timms_class_token_with_its_gradients(stem: Stem) -> None:
    """The shortcut through the last block changes nothing but the cost."""
    torch.manual_seed(0)
    model = ViT(16, 3, 4, 48, 3, 3, stem=stem).double()
    images = torch.rand(5, 3, 16, 16, dtype=torch.float64)
    weights = torch.randn(5, 48, dtype=torch.float64)
    results = []
    for tokens in (model(images), VisionTransformer.forward(model, images)):
        model.zero_grad()
        (tokens * weights).sum().backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        results.append((tokens.detach(), gradients))
    (ours, our_gradients), (timms, timms_gradients) = results
    torch.testing.assert_close(ours, timms, rtol=1e-10, atol=1e-12)
    assert our_gradients.keys() == timms_gradients.keys()
    for name, gradient in timms_gradients.items():
        torch.testing.assert_close(our_gradients[name], gradient, rtol=1e-8, atol=1e-10)


def test_a_shifted_image_gives_shifted_patches_but_for_position() -> None:
    """Without its position table the ViT cannot tell where a patch is."""
    model = ViT(16, 3, 4, 48, 2, 3).eval()
    assert isinstance(model.pos_embed, nn.Parameter)
    images = torch.rand(2, 3, 16, 16)
    moved = images.roll(shifts=(4, 8), dims=(2, 3))
    with torch.inference_mode():
        assert not torch.allclose(model(images), model(moved), atol=1e-4)
        model.pos_embed.zero_()
        torch.testing.assert_close(model(images), model(moved), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("patch", [2, 4, 8])
def test_conv_stem_gives_as_many_tokens_as_patches(patch: int) -> None:
    stem = ConvStem(32, patch, 3, 64)
    assert stem(torch.rand(2, 3, 32, 32)).shape == (2, (32 // patch) ** 2, 64)


def test_a_conv_stem_needs_a_power_of_two() -> None:
    with pytest.raises(WorkbenchError, match="power of two"):
        ViT(30, 3, 5, 48, 1, 3, stem="conv")


@pytest.mark.parametrize(
    ("name", "patch", "published"),
    [("vit_small", 16, 4.6), ("vit_base", 16, 17.5), ("vit_large", 16, 61.3), ("vit_huge", 14, 166.7)],
)
def test_multiply_adds_are_the_published_ones(name: str, patch: int, published: float) -> None:
    """MoCo v3, table 2, for one image of 224 px; ours are 0.0 to 0.4 % more than what is printed there."""
    with torch.device("meta"):
        sizes = dict(zip(("embed_dim", "depth", "num_heads"), SIZES[name], strict=False))
        model = VisionTransformer(img_size=224, patch_size=patch, num_classes=0, **sizes)
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(1, 3, 224, 224))
    assert counter.get_total_flops() / 2e9 == pytest.approx(published, rel=0.005)


@pytest.mark.parametrize("changes", [{"token": "mean"}, {"mlp_norm": "batch"}, {"position": "learned"}], ids=str)
def test_variants_are_timms_networks(changes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = ViT(16, 3, 4, 48, 2, 3, **changes).double()
    images = torch.rand(4, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(model(images), VisionTransformer.forward(model, images), rtol=1e-10, atol=1e-12)
    assert (model.cls_token is None) == ("token" in changes)
    assert any(isinstance(module, nn.BatchNorm1d) for module in model.modules()) == ("mlp_norm" in changes)
    assert model.pos_embed is not None and model.pos_embed.requires_grad == ("position" in changes)


def test_without_position_the_order_of_patches_is_of_no_matter() -> None:
    torch.manual_seed(0)
    model = ViT(16, 3, 4, 48, 2, 3, position="none").double()
    images = torch.rand(4, 3, 16, 16, dtype=torch.float64)
    rows = images.reshape(4, 3, 4, 4, 16).flip(2).reshape(4, 3, 16, 16)
    torch.testing.assert_close(model(images), model(rows))
    assert not torch.allclose(ViT(16, 3, 4, 48, 2, 3).double()(images), ViT(16, 3, 4, 48, 2, 3).double()(rows))


def test_recomputed_activations_give_the_same_gradients() -> None:
    torch.manual_seed(0)
    model, images = ViT(16, 3, 4, 48, 3, 3).double(), torch.rand(4, 3, 16, 16, dtype=torch.float64)
    gradients = []
    for recompute in (False, True):
        model.set_grad_checkpointing(recompute)
        model.zero_grad()
        model(images).square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)
