"""Models of the paper's run in small, asked through open_clip alone: what evaluations and scores have to say.

Run as ``python paper_models.py CLONE MODEL...`` it prints, as JSON, the logits of each MODEL (a folder's name under
results/models) for the images of each test set, over the set's own classes and over ImageNet's; how far the decoded images
of each test set are from open_clip's own; and, of the pairs of yfcc, the cosine similarities by the teacher that the
mini-web's Hub has.
"""

import io
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import load_file
from torchvision.transforms import Compose, Normalize

NETWORK, TEACHER = "RN50", "ViT-B-32-quickgelu"
TESTSETS = ("imagenet", "imagenet-v2", "imagenet-r", "imagenet-sketch", "objectnet")


def distance_of(testset: str, results: Path) -> float:
    """The largest difference, in levels of 255, between decoded images and those that open_clip's own transform makes."""
    _, _, transform = open_clip.create_model_and_transforms(NETWORK)
    toward_bytes = Compose([step for step in transform.transforms if not isinstance(step, Normalize)])
    samples = samples_of(results / "testsets" / testset)
    own = torch.stack([toward_bytes(picture(image)) for image, _ in samples]).permute(0, 2, 3, 1) * 255
    decoded = torch.from_numpy(np.load(results / "decoded" / f"{testset}-rn50" / "images.npy"))
    return float((own - decoded).abs().max())


def samples_of(folder: Path) -> list[tuple[bytes, ...]]:
    """Image and label of each sample of a test set."""
    return [sample for shard in range(2) for sample in members_of(folder / f"test/{shard}.tar", "png", "cls")]


def members_of(archive: Path, *kinds: str) -> list[tuple[bytes, ...]]:
    """Of each sample in the tar `archive`, in its order, the files with the extensions `kinds`."""
    with tarfile.open(archive) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}
    keys = dict.fromkeys(name.partition(".")[0] for name in files)
    return [tuple(files[f"{key}.{kind}"] for kind in kinds) for key in keys]


def picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


@torch.no_grad()
def head_of(network, tokenizer, folder: Path) -> torch.Tensor:
    """Text embeddings (D, C) of the classes of the test set in `folder`: the normalised mean over its templates."""
    templates = lines_of(folder / "zeroshot_classification_templates.txt")
    columns = []
    for name in lines_of(folder / "classnames.txt"):
        prompts = tokenizer([template.format(c=name) for template in templates])
        columns.append(network.encode_text(prompts, normalize=True).mean(dim=0))
    return torch.nn.functional.normalize(torch.stack(columns), dim=1).T


@torch.no_grad()
def answers_of(weights: Path, results: Path) -> dict:
    network, _, transform = open_clip.create_model_and_transforms(NETWORK)
    network.load_state_dict(load_file(weights))
    network.eval()
    tokenizer = open_clip.get_tokenizer(NETWORK)
    imagenet = head_of(network, tokenizer, results / "testsets" / "imagenet")
    answers = {}
    for name in TESTSETS:
        folder = results / "testsets" / name
        own = head_of(network, tokenizer, folder)
        samples = samples_of(folder)
        images = torch.stack([transform(picture(image)) for image, _ in samples])
        features = network.encode_image(images, normalize=True)
        answers[name] = {
            "labels": [int(label) for _, label in samples],
            "own": (100 * features @ own).tolist(),
            "imagenet": (100 * features @ imagenet).tolist(),
        }
    return answers


@torch.no_grad()
def scores_of(results: Path) -> dict[str, float]:
    """Uid to cosine similarity of each pair of yfcc, by random weights that are drawn as the mini-web draws them."""
    torch.manual_seed(0)
    network, _, transform = open_clip.create_model_and_transforms(TEACHER, precision="fp16")
    network = network.float().eval()
    tokenizer = open_clip.get_tokenizer(TEACHER)
    scores = {}
    for shard in sorted((results / "shards" / "yfcc").glob("*.tar")):
        for image, caption, facts in members_of(shard, "jpg", "txt", "json"):
            one = network.encode_image(transform(picture(image))[None], normalize=True)
            other = network.encode_text(tokenizer([caption.decode()]), normalize=True)
            scores[json.loads(facts)["uid"]] = float(one @ other.T)
    return scores


def main(clone: Path, models: list[str]) -> None:
    results = clone / "results"
    answers = {
        model: answers_of(results / "models" / model / "open_clip_model.safetensors", results) for model in models
    }
    distances = {testset: distance_of(testset, results) for testset in TESTSETS}
    json.dump({"answers": answers, "distances": distances, "scores": scores_of(results)}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
