"""What open_clip does to images before evaluation, up to the picture in bytes, by Pillow alone.

Its own transform needs torch, whose import takes as long as decoding thousands of images, once for each test set. Tests
hold this one to it, bit for bit.
"""

from dataclasses import dataclass

from PIL import Image, ImageOps

EVALUATION = (
    "clip_benchmark.metrics.zeroshot_classification",
    "clip_benchmark.metrics.zeroshot_retrieval",
    "open_clip",
)
"""What the scripts import that show images to a model."""


@dataclass(frozen=True)
class Preprocessing:
    """How images are brought to a model's `size` (rows, columns): the keys of open_clip's `preprocess_cfg` that say so."""

    size: tuple[int, int]
    resize_mode: str = "shortest"
    interpolation: str = "bicubic"
    fill_color: int = 0

    @classmethod
    def of(cls, preprocess: dict) -> "Preprocessing":
        """What open_clip's `preprocess_cfg`, with its size, asks for; its mean and std are applied later, on the device."""
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
            # torchvision's rule, which cuts fractions off; open_clip's own rounds them.
            return tuple(int(rows * side / min(width, height)) for side in (width, height))
        ratios = height / rows, width / columns
        ratio = max(ratios) if self.resize_mode == "longest" else min(ratios)
        return round(width / ratio), round(height / ratio)

    @property
    def resampling(self) -> Image.Resampling:
        # open_clip forgets the interpolation where the shortest side of an oblong is resized.
        is_forgotten = self.resize_mode == "shortest" and self.size[0] != self.size[1]
        is_bilinear = self.interpolation == "bilinear" and not is_forgotten
        return Image.Resampling.BILINEAR if is_bilinear else Image.Resampling.BICUBIC
