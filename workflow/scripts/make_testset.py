"""Draw a test set of the mini-web in CLIP_benchmark's local WebDataset format.

In:  no files; a seed
Out: a manifest; beside it classnames.txt, zeroshot_classification_templates.txt, test/nshards.txt and test/N.tar with
     <key>.png and <key>.cls of each image; classes have equal numbers of images
"""

from pathlib import Path
from typing import TYPE_CHECKING

from testbed.miniweb.testsets import make_testset
from testbed.records.log import log_to
from testbed.records.manifest import write_json

if TYPE_CHECKING:
    from snakemake.script import snakemake

if __name__ == "__main__":
    log_to(snakemake.log[0])
    manifest = Path(snakemake.output.manifest)
    params = snakemake.params
    write_json(manifest, make_testset(params.kind, int(params.images), int(params.seed), manifest.parent))
