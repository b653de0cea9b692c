"""Where the U-Net has attention."""

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.networks.options import sides, unet_presets
from workbench.networks.unet import unet

EXPECTED = {6: 6, 8: 4, 16: 8, 28: 7, 32: 8, 48: 12, 64: 16, 96: None, 224: None}


@pytest.mark.parametrize("size", EXPECTED)
def test_presets_name_a_side_that_there_is(size: int) -> None:
    presets = unet_presets(size)
    assert presets["cpu"]["attention_size"] == EXPECTED[size]
    for preset in presets.values():
        assert preset["attention_size"] in [None, *sides(size, len(preset["widths"]))]


@pytest.mark.parametrize("attention_size", [8, 4, None])
def test_attention_is_where_it_was_asked_for(attention_size: int | None) -> None:
    with torch.device("meta"):
        network = unet(8, 1, (8, 16), 1, attention_size, 0.0)
    attends = [block == "AttnDownBlock2D" for block in network.config["down_block_types"]]
    assert attends == [side == attention_size for side in (8, 4)]


def test_a_side_that_is_not_there_is_refused() -> None:
    with pytest.raises(WorkbenchError, match=r"--attention-size 16 is none of the sides 28, 14, 7 px.*or none"):
        unet(28, 1, (8, 8, 8), 1, 16, 0.0)


def test_published_unet_has_the_published_size() -> None:
    with torch.device("meta"):
        network = unet(32, 3, (128, 256, 256, 256), 2, 16, 0.1)
    assert sum(parameter.numel() for parameter in network.parameters()) == 35_746_307
