"""Lists of entries: MetaCLIP's four origins, lists of one's own, and the words of the mini-web's captions.

The rules for what becomes an entry are those of "Demystifying CLIP Data" (arXiv 2309.16671, Table 1 and its code's
build_metadata): WordNet's synsets by the first of their words, in small letters; Wikipedia's words that occur at least
100 times; its pairs of words of a pointwise mutual information of at least 30; its titles with at least 70 views; the
numbers from 0 to 99. Empty entries and single punctuation marks are left out.
"""

import gzip
import json
import math
import re
import string
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from testbed.lists.pairs import is_text
from testbed.records.files import sha256

MINIMUM = {"unigrams": 100, "bigrams": 30, "titles": 70}
SYNSET = re.compile(r"\d{8} \d\d [nvasr] [0-9a-f]{2} (\S+) ")
SYNTACTIC = re.compile(r"\((?:a|p|ip)\)$")
"""WordNet's note of where an adjective may stand."""


class EntryError(ValueError):
    """A list of entries is not there or not what the experiment says."""


def no_match(filter: str, entries: int, captions: int) -> EntryError:
    """What is wrong where no caption of a pool has any of a filter's entries."""
    return EntryError(
        f"filter {filter}: none of its {entries} entries is in any of {captions} captions. Case counts, and an entry is a "
        "whole word or several. Give other entries"
    )


def find_lists(path: str) -> list[Path]:
    """The files that `path` (a file, a glob or a folder) stands for, sorted; raises `EntryError` where there are none."""
    folder = Path(path)
    if folder.is_dir():
        files = [file for file in folder.iterdir() if file.is_file()]
    elif any(mark in path for mark in "*?["):
        files = [file for file in Path(folder.anchor).glob(str(folder.relative_to(folder.anchor))) if file.is_file()]
    else:
        files = [folder] if folder.is_file() else []
    if not files:
        raise EntryError(f"{path}: there is no such file. Put the list there or change the path")
    return sorted(files)


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a text file, packed (gz) or not, without their ends; raises `EntryError` where it is no text."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.removesuffix("\n").removesuffix("\r")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise EntryError(f"{path}: cannot be read as UTF-8 text ({error}). Get it again") from error


def read_own(path: Path) -> Iterator[str]:
    """A list of one's own: JSON (a list of texts, or a mapping whose keys are the entries), or a line for each entry."""
    if path.name.removesuffix(".gz").endswith(".json"):
        text = "\n".join(read_lines(path))
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise EntryError(f"{path}: is not JSON ({error}). Correct it") from error
        if not isinstance(content, list | dict) or not all(
            isinstance(entry, str) and is_text(entry) for entry in content
        ):
            raise EntryError(
                f"{path}: is no list of texts. Write a JSON list, or a text file with a line for each entry"
            )
        yield from content
    else:
        yield from read_lines(path)


def read_wordnet(path: Path) -> Iterator[str]:
    """The synsets of a file of WordNet's database (data.noun, data.verb, data.adj, data.adv), by their first word."""
    for line in read_lines(path):
        if match := SYNSET.match(line):
            yield SYNTACTIC.sub("", match[1]).replace("_", " ").lower()


def read_counted(path: Path) -> Iterator[tuple[str, float]]:
    """Lines of a text and a number behind its last white space; raises `EntryError` for others."""
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        text, _, value = line.rstrip().replace("\t", " ").rpartition(" ")
        try:
            count = float(value)
        except ValueError:
            count = math.nan
        if not math.isfinite(count):
            raise EntryError(f"{path}:{number}: {value!r} is no number. Each line has a text and its number")
        yield text.strip(), count


def read_entries(kind: str, path: str | None = None, minimum: float | None = None) -> Iterator[str]:
    """The entries of one list as they are read, some more than once; see the module's text for what its `kind` makes of it.

    Raises `EntryError` where a file is missing or is not of the kind.
    """
    if kind == "numbers":
        yield from map(str, range(100))
    elif kind == "miniweb":
        yield from sorted(miniweb_words())
    elif kind in ("list", "wordnet"):
        for file in find_lists(path):
            yield from read_own(file) if kind == "list" else read_wordnet(file)
    else:
        least = MINIMUM[kind] if minimum is None else minimum
        # Views of a title come by the hour, in a file each.
        totals = Counter()
        for file in find_lists(path):
            for text, value in read_counted(file):
                if value < 0 and kind != "bigrams":
                    raise EntryError(f"{file}: {text!r} has a count below 0. Correct the list")
                totals[text] = max(totals[text], value) if kind == "bigrams" else totals[text] + value
                if totals[text] >= least and not (kind == "titles" and ":" in text):
                    yield text.replace("_", " ") if kind == "titles" else text


def miniweb_words() -> set[str]:
    """The words for objects, and all other words that stand by themselves, in the captions of the mini-web."""
    from testbed.miniweb.captions import CAPTION_TEMPLATES, FILLERS
    from testbed.miniweb.world import CLASSES

    words = {word for entry in CLASSES for word in (entry.name, entry.casual, entry.formal)}
    words |= {word for fillers in FILLERS.values() for word in fillers}
    for templates in CAPTION_TEMPLATES.values():
        for template in (*templates.naming, *templates.vague):
            words |= {word for word in template.split() if word.isalpha()}
    return words | {word[0].upper() + word[1:] for word in words}


def usable_entries(one: Mapping) -> Iterator[str]:
    """The entries of one list of the experiment as they are read, without empty ones and single punctuation marks."""
    for entry in read_entries(one["kind"], one.get("path"), one.get("minimum")):
        if entry.strip() and entry not in string.punctuation:
            yield entry


def check_sha256(path: str, sha: str) -> None:
    """Raise `EntryError` unless `path` is one file that has the SHA-256 `sha`."""
    files = find_lists(path)
    if len(files) > 1:
        raise EntryError(
            f"{path}: it is {len(files)} files, and not one, which sha256 is of. Name one, or leave out sha256"
        )
    if (found := sha256(files[0])) != sha:
        raise EntryError(f"{path}: its SHA-256 is {found} and not {sha}. Get the right file, or correct sha256")


def build_list(lists: list[Mapping]) -> tuple[list[str], list[dict]]:
    """All different entries of `lists`, sorted, and for each list how many entries it has and how many of them are new."""
    entries: set[str] = set()
    origins = []
    for one in lists:
        if "path" in one and one.get("sha256"):
            check_sha256(one["path"], one["sha256"])
        found = set(usable_entries(one))
        if not found:
            raise EntryError(f"{one.get('path', one['kind'])}: has no entry. Give another list, or a lower minimum")
        origins.append({**one, "entries": len(found), "new": len(found - entries)})
        entries |= found
    return sorted(entries), origins
