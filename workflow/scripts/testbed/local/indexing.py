"""The table of the usable samples of a tar, or of some files: uids, and images that are verified."""

import hashlib
import json
from collections.abc import Callable, Mapping

import pyarrow as pa

from testbed.lists.pairs import identities
from testbed.local.images import ImageFault, Storage, check_image
from testbed.local.tables import FILE_SHA256, PAIR, PLACE, own_arrays
from testbed.local.tar_samples import Contents, Sample

IN_SAMPLE = 50
"""With ``verify: sample``, one of so many images is decoded. Which ones depends on their uids."""

Read = Callable[[Sample], bytes]
"""Returns the file of a sample's image."""


def index_table(
    contents: Contents, read: Read, options: Mapping, storage: Storage, facts: Mapping, with_digests: bool = False
) -> pa.Table:
    """Return the table of the usable samples in `contents`. Its metadata has `facts`, and what is left out by cause.

    `options` has the fields `caption` and `url` of the metadata and how images are verified. The table has the SHA-256 of
    each image `with_digests`.
    """
    rows = contents.rows
    columns, verified = check_samples(contents, read, options["verify"], storage, with_digests)
    digests = columns.pop(FILE_SHA256, None)
    arrays = {name: pa.array(columns[name], kind) for name, kind in (PAIR | PLACE).items()}
    used = {options["url"], options.get("caption") or "caption"}
    own = own_arrays([sample.metadata for sample in contents.samples], used)
    if digests is not None:
        own[FILE_SHA256] = pa.array(digests, pa.string())
    facts = {
        **facts,
        "rows": rows,
        "verified": verified,
        "dropped": dict(contents.dropped),
        "members": dict(contents.members),
        "fault": contents.fault,
    }
    return pa.table(arrays | own).replace_schema_metadata({"tar": json.dumps(facts)})


def check_samples(
    contents: Contents, read: Read, verify: str, storage: Storage, with_digests: bool
) -> tuple[dict[str, list], int]:
    """Return the columns of the samples that stay in `contents`, and the number of images that were decoded.

    Samples whose image is left out are moved to the dropped ones. A sample whose URL is known has the uid that it has in its
    list. The uid of another one is that of the SHA-256 of its image, written as a URL, and its caption.
    """
    kept, uids, digests, verified = [], [], [], 0
    for sample in contents.samples:
        if sample.size > storage.max_bytes:
            contents.dropped["large"] += 1
            continue
        try:
            digest = hashlib.sha256(read(sample)).hexdigest() if with_digests or not sample.url else ""
            uid = identities([f"{sample.url or f'sha256:{digest}'}\0{sample.caption}".encode()]).hex()
            if verify == "all" or (verify == "sample" and int(uid[:8], 16) % IN_SAMPLE == 0):
                verified += 1
                check_image(read(sample), storage)
        except ImageFault as fault:
            contents.dropped[str(fault)] += 1
            continue
        kept.append(sample)
        uids.append(uid)
        digests.append(digest)
    contents.samples = kept
    columns = {
        "uid": uids,
        "url": [sample.url for sample in kept],
        "caption": [sample.caption for sample in kept],
        "file": [sample.file for sample in kept],
        "file_key": [sample.key for sample in kept],
        "file_offset": [sample.offset for sample in kept],
        "file_bytes": [sample.size for sample in kept],
    }
    return columns | ({FILE_SHA256: digests} if with_digests else {}), verified
