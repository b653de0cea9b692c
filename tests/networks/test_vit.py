"""MoCo v3's initialisation and ViT, by bounds and standard deviations."""

import math

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from workbench.errors import WorkbenchError
from workbench.networks.vit import ConvStem, Stem, vit


def test_initialisation() -> None:
    torch.manual_seed(0)
    model = vit(size=32, channels=3, patch=4, width=192, depth=2, heads=3)
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


def test_what_is_frozen() -> None:
    frozen = {name for name, parameter in vit(32, 3, 4, 192, 1, 3).named_parameters() if not parameter.requires_grad}
    assert frozen == {"pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"}
    learned = vit(32, 3, 4, 192, 1, 3, frozen_patch=False)
    assert {name for name, p in learned.named_parameters() if not p.requires_grad} == {"pos_embed"}


@pytest.mark.parametrize("stem", ["patch", "conv"])
def test_forward_is_timms_class_token_with_its_gradients(stem: Stem) -> None:
    """The shortcut through the last block changes nothing but the cost."""
    torch.manual_seed(0)
    model = vit(16, 3, 4, 48, 3, 3, stem=stem).double()
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
    model = vit(16, 3, 4, 48, 2, 3).eval()
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
        vit(30, 3, 5, 48, 1, 3, stem="conv")
