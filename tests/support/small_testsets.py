"""Small test sets in CLIP_benchmark's local format, of pictures of the mini-web."""

import io
import tarfile

from testbed.evaluation.testsets import TARGET_EXTENSIONS
from testbed.miniweb.scenes import draw
from testbed.miniweb.testsets import TEMPLATES
from testbed.records.files import add_member


def write_testset(folder, task, samples):
    """A test set of two shards of (image file, answer) pairs."""
    (folder / "test").mkdir(parents=True)
    (folder / "dataset_type.txt").write_text(task + "\n")
    (folder / "test" / "nshards.txt").write_text("2")
    half = len(samples) // 2 + 1
    for shard in range(2):
        with tarfile.open(folder / "test" / f"{shard}.tar", "w") as archive:
            for number, (image, answer) in enumerate(samples[shard * half : (shard + 1) * half], shard * half):
                add_member(archive, f"s{number:04d}.{TARGET_EXTENSIONS[task]}", answer)
                add_member(archive, f"s{number:04d}.png", image)
    return folder


def drawn(name, number, domain="photo"):
    """A picture of the class `name` as a PNG file."""
    file = io.BytesIO()
    draw(name, domain, number, 48).save(file, "PNG")
    return file.getvalue()


def write_classification(folder, names, labels, classnames=None, domain="photo"):
    """A test set of one picture for each of `labels`, which count in `names`; it calls the classes `classnames`."""
    samples = [(drawn(names[label], number, domain), str(label).encode()) for number, label in enumerate(labels)]
    write_testset(folder, "classification", samples)
    (folder / "classnames.txt").write_text("\n".join(classnames or names) + "\n")
    (folder / "zeroshot_classification_templates.txt").write_text("\n".join(TEMPLATES) + "\n")
    return folder
