"""The memory format of image towers: channels side by side where there are convolutions."""

import pytest
import torch
from open_clip.model import CLIPVisionCfg, _build_vision_tower

from testbed.models.networks import is_convolutional


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ({"layers": [1, 1, 1, 1], "width": 8}, True),
        ({"layers": 2, "width": 64, "head_width": 32, "patch_size": 8}, False),
        ({"timm_model_name": "convnext_atto", "timm_pool": "", "timm_proj": "linear"}, True),
    ],
    ids=["residual", "transformer", "convnext"],
)
def test_networks_with_convolutions_are_known(network, expected):
    with torch.no_grad():
        tower = _build_vision_tower(64, CLIPVisionCfg(image_size=32, **network))
    assert is_convolutional(tower) == expected
