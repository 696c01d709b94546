"""The source whose downloads tests make shards of."""

import pytest

from example_sources import MISSING, URLS, Source


@pytest.fixture
def source(tmp_path):
    """Two parts of 25 URLs each, six of which gave no image."""
    source = Source(tmp_path)
    for urls in URLS:
        source.add(urls, MISSING)
    return source
