"""A model's input from the bytes of images, on the model's device."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def as_pixels(images: "torch.Tensor", device: str, memory_format: "torch.memory_format") -> "torch.Tensor":
    """Return decoded `images` (B, H, W, 3; uint8) as (B, 3, H, W) on `device`, stored in `memory_format`.

    They travel to the device as bytes, a quarter of their size in float32.
    """
    return images.to(device).permute(0, 3, 1, 2).contiguous(memory_format=memory_format)


def normalise(images: "torch.Tensor", mean: "torch.Tensor", std: "torch.Tensor") -> "torch.Tensor":
    """Return the model's input (B, 3, H, W) for `images` of that shape with values 0 to 255, in single precision.

    `mean` and `std` (3, 1, 1) are on the same device.
    """
    # The operations of torchvision's ToTensor and Normalize in their order, so that results are equal bit for bit.
    return images.float().div(255).sub_(mean).div_(std)
