"""Lists of entries: MetaCLIP's four sources, the user's lists, and the words of the mini-web's captions.

The rules are those of "Demystifying CLIP Data" (arXiv 2309.16671, Table 1, and build_metadata in its code). Entries are:
the first word of each WordNet synset, in lower case; Wikipedia's words that occur at least 100 times; its bigrams with a
pointwise mutual information of at least 30; its titles with at least 70 views; the numbers from 0 to 99. Empty entries
and single punctuation marks are left out.
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
from testbed.records.shipped import shipped

MINIMUM = {"unigrams": 100, "bigrams": 30, "titles": 70}
SYNSET = re.compile(r"\d{8} \d\d [nvasr] [0-9a-f]{2} (\S+) ")
SYNTACTIC = re.compile(r"\((?:a|p|ip)\)$")
"""WordNet's syntactic marker of an adjective, which says where it may stand."""


class EntryError(ValueError):
    """A list of entries is missing, or is not what the experiment says."""


def no_match_error(filter: str, entries: int, captions: int) -> EntryError:
    """The error for a pool in which no caption has any of the filter's entries."""
    return EntryError(
        f"filter {filter}: none of its {entries} entries is in any of {captions} captions. Matching is case-sensitive, and "
        "an entry matches whole words. Give other entries"
    )


def find_lists(path: str) -> list[Path]:
    """The files of `path` (a file, a glob pattern or a folder), sorted; raises `EntryError` if there are none."""
    folder = Path(shipped(path))
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
    """The lines of a text file, plain or gzip, without line ends; raises `EntryError` if it is not UTF-8 text."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.removesuffix("\n").removesuffix("\r")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise EntryError(f"{path}: cannot be read as UTF-8 text ({error}). Get it again") from error


def read_user_list(path: Path) -> Iterator[str]:
    """The entries of a user's list: JSON (a list of strings, or a mapping whose keys are entries), or one per line."""
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
                f"{path}: is not a list of strings. Write a JSON list, or a text file with one entry per line"
            )
        yield from content
    else:
        yield from read_lines(path)


def read_wordnet(path: Path) -> Iterator[str]:
    """The first word of each synset in a file of WordNet's database (data.noun, data.verb, data.adj, data.adv)."""
    for line in read_lines(path):
        if match := SYNSET.match(line):
            yield SYNTACTIC.sub("", match[1]).replace("_", " ").lower()


def read_counted(path: Path) -> Iterator[tuple[str, float]]:
    """The text and the number of each line, separated by white space; raises `EntryError` for other lines."""
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        text, _, value = line.rstrip().replace("\t", " ").rpartition(" ")
        try:
            count = float(value)
        except ValueError:
            count = math.nan
        if not math.isfinite(count):
            raise EntryError(f"{path}:{number}: {value!r} is not a number. Each line needs a text and a number")
        yield text.strip(), count


def read_entries(kind: str, path: str | None = None, minimum: float | None = None) -> Iterator[str]:
    """The entries of one list in the order of its files, perhaps with repeats; the module docstring has the rule of each
    `kind`.

    Raises `EntryError` if a file is missing or is not of this kind.
    """
    if kind == "numbers":
        yield from map(str, range(100))
    elif kind == "miniweb":
        yield from sorted(miniweb_words())
    elif kind in ("list", "wordnet"):
        for file in find_lists(path):
            yield from read_user_list(file) if kind == "list" else read_wordnet(file)
    else:
        minimum = MINIMUM[kind] if minimum is None else minimum
        # Wikipedia publishes one file of page views per hour.
        totals = Counter()
        for file in find_lists(path):
            for text, value in read_counted(file):
                if value < 0 and kind != "bigrams":
                    raise EntryError(f"{file}: {text!r} has a count below 0. Correct the list")
                totals[text] = max(totals[text], value) if kind == "bigrams" else totals[text] + value
                if totals[text] >= minimum and not (kind == "titles" and ":" in text):
                    yield text.replace("_", " ") if kind == "titles" else text


def miniweb_words() -> set[str]:
    """The words for objects, and all other words, in the captions of the mini-web."""
    from testbed.miniweb.captions import CAPTION_TEMPLATES, FILLERS
    from testbed.miniweb.world import CLASSES

    words = {word for entry in CLASSES for word in (entry.name, entry.casual, entry.formal)}
    words |= {word for fillers in FILLERS.values() for word in fillers}
    for templates in CAPTION_TEMPLATES.values():
        for template in (*templates.naming, *templates.vague):
            words |= {word for word in template.split() if word.isalpha()}
    return words | {word[0].upper() + word[1:] for word in words}


def read_usable_entries(entry_list: Mapping) -> Iterator[str]:
    """The entries of one of the experiment's lists (see `read_entries`), without empty ones and punctuation marks."""
    for entry in read_entries(entry_list["kind"], entry_list.get("path"), entry_list.get("minimum")):
        if entry.strip() and entry not in string.punctuation:
            yield entry


def check_sha256(path: str, sha: str) -> None:
    """Raise `EntryError` unless `path` is one file with the SHA-256 `sha`."""
    files = find_lists(path)
    if len(files) > 1:
        raise EntryError(
            f"{path}: matches {len(files)} files, and sha256 is that of one file. Name one file, or leave out sha256"
        )
    if (found := sha256(files[0])) != sha:
        raise EntryError(f"{path}: has the SHA-256 {found} and not {sha}. Get the right file, or correct sha256")


def build_list(lists: list[Mapping]) -> tuple[list[str], list[dict]]:
    """All distinct entries of `lists`, sorted; and for each list its number of entries and how many of them are new."""
    entries: set[str] = set()
    origins = []
    for entry_list in lists:
        if "path" in entry_list and entry_list.get("sha256"):
            check_sha256(entry_list["path"], entry_list["sha256"])
        found = set(read_usable_entries(entry_list))
        if not found:
            name = entry_list.get("path", entry_list["kind"])
            raise EntryError(f"{name}: has no entry. Give another list, or a lower minimum")
        origins.append({**entry_list, "entries": len(found), "new": len(found - entries)})
        entries |= found
    return sorted(entries), origins
