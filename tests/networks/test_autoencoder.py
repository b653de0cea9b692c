"""Encoder and decoder fit images of any size."""

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.networks.autoencoder import ConvDecoder, ConvEncoder


@pytest.mark.parametrize("size", [1, 3, 8, 25, 28, 36, 50, 64])
def test_the_decoder_gives_back_the_size_that_the_encoder_took(size: int) -> None:
    images = torch.rand(2, 3, size, size)
    codes = ConvEncoder(3, size, 8, 10)(images)
    assert codes.shape == (2, 10)
    assert ConvDecoder(3, size, 8, 10)(codes).shape == images.shape


def test_a_width_that_its_groups_cannot_share() -> None:
    with pytest.raises(WorkbenchError, match="--width 12 must be a multiple of 8"):
        ConvEncoder(3, 8, 12, 10)
