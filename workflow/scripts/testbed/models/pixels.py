"""A model's input from the bytes of images, on the model's device."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def normalise(images: "torch.Tensor", mean: "torch.Tensor", std: "torch.Tensor") -> "torch.Tensor":
    """Return the model's input (B, 3, H, W) for `images` of that shape with values 0 to 255, in single precision.

    `mean` and `std` (3, 1, 1) are on the same device.
    """
    # The operations of torchvision's ToTensor and Normalize in their order, so that results are equal bit for bit.
    return images.float().div(255).sub_(mean).div_(std)
