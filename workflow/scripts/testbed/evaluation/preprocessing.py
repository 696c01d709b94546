"""open_clip's preprocessing of images for evaluation, up to the resized uint8 image, with Pillow only.

open_clip's own transform imports torch, which for each test set takes as long as decoding thousands of images. Tests
compare both bit for bit.
"""

from dataclasses import dataclass

from PIL import Image, ImageOps

EVALUATION = (
    # First, as for a training, so that the warm worker imports it once.
    "open_clip",
    "clip_benchmark.metrics.zeroshot_classification",
    "clip_benchmark.metrics.zeroshot_retrieval",
)
"""Slow imports of the scripts that run a model on images."""


@dataclass(frozen=True)
class Preprocessing:
    """Resizes and crops images to a model's `size` (rows, columns), by the keys of open_clip's `preprocess_cfg`."""

    size: tuple[int, int]
    resize_mode: str = "shortest"
    interpolation: str = "bicubic"
    fill_color: int = 0

    @classmethod
    def of(cls, preprocess: dict) -> "Preprocessing":
        """The preprocessing of open_clip's `preprocess_cfg` with its size; mean and std are applied later, on the device."""
        known = {name: preprocess[name] for name in cls.__dataclass_fields__ if preprocess.get(name) is not None}
        size = known["size"]
        return cls(**known | {"size": (size, size) if isinstance(size, int) else tuple(size)})

    def __call__(self, image: Image.Image) -> Image.Image:
        """`image` resized, cropped or padded to `size`, in RGB."""
        rows, columns = self.size
        image = image.resize(self.resized(*image.size), self.resampling)
        width, height = image.size
        if width < columns or height < rows:
            across, down = max(0, columns - width), max(0, rows - height)
            border = (across // 2, down // 2, (across + 1) // 2, (down + 1) // 2)
            bands = len(image.getbands())
            image = ImageOps.expand(image, border, self.fill_color if bands == 1 else (self.fill_color,) * bands)
        left, top = round((image.width - columns) / 2), round((image.height - rows) / 2)
        return image.crop((left, top, left + columns, top + rows)).convert("RGB")

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that an image of `width` x `height` is resized to."""
        rows, columns = self.size
        if self.resize_mode == "squash":
            return columns, rows
        if self.resize_mode == "shortest" and rows == columns:
            # torchvision's Resize truncates; open_clip's own transform rounds.
            return tuple(int(rows * side / min(width, height)) for side in (width, height))
        ratios = height / rows, width / columns
        ratio = max(ratios) if self.resize_mode == "longest" else min(ratios)
        return round(width / ratio), round(height / ratio)

    @property
    def resampling(self) -> Image.Resampling:
        # open_clip ignores the interpolation for resize_mode "shortest" if the size is not square.
        is_ignored = self.resize_mode == "shortest" and self.size[0] != self.size[1]
        is_bilinear = self.interpolation == "bilinear" and not is_ignored
        return Image.Resampling.BILINEAR if is_bilinear else Image.Resampling.BICUBIC
