"""How huggingface_hub is told which Hub to ask, and through which proxy: by the environment, before its import."""

import os


def ask_hub(url: str | None, proxy: str) -> None:
    """Set the Hub's `url` (None: the default) and `proxy` ("none": the environment's) for huggingface_hub.

    The package reads them when it is imported.
    """
    if url:
        os.environ["HF_ENDPOINT"] = url.rstrip("/")
    if proxy != "none":
        os.environ |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), proxy)
