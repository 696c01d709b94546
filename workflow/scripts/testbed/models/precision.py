"""Numeric precision in which a model computes embeddings."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def computing_in(precision: str, device: str) -> Iterator[None]:
    """Context in which a model on `device` (cpu or cuda) computes in `precision`. Its weights stay in float32.

    fp32: float32 throughout. tf32: TensorFloat-32 for matrix products and convolutions of a GPU; a CPU computes in
    float32. bf16: automatic mixed precision with bfloat16.
    """
    import torch

    # torch's own default for convolutions of a GPU is TensorFloat-32, also where nobody asked for it.
    switches = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)
    before = [switch.fp32_precision for switch in switches]
    try:
        for switch in switches:
            switch.fp32_precision = "tf32" if precision == "tf32" else "ieee"
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.fp32_precision = value
