"""The rules as tests read them: the paths under results/ of each rule, and which paths of pages fit them."""

import re
from functools import cache

from pages import ROOT, text_of

DIRECTIVE = re.compile(r"^    (\w+):", re.MULTILINE)
PLACEHOLDER = re.compile(r"<\w+>|\{\w+\}")
MODEL = "<pool>-<architecture>-<size>-<seed>"


@cache
def rules() -> dict[str, dict[str, list[str]]]:
    """For each rule, the paths under results/ in each of its directives."""
    found = {}
    for file in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        _, *rest = re.split(r"^(?:use rule \w+ as|rule) (\w+)(?: with)?:\n", text_of(file), flags=re.MULTILINE)
        for name, body in zip(rest[::2], rest[1::2], strict=True):
            _, *directives = DIRECTIVE.split(body)
            found[name] = {
                directive: re.findall(r'"(results/[^"]+)"', content)
                for directive, content in zip(directives[::2], directives[1::2], strict=True)
            }
    return found


def declared_outputs() -> list[str]:
    return [path for directives in rules().values() for path in directives.get("output", [])]


def declared_paths() -> list[str]:
    return [path for directives in rules().values() for paths in directives.values() for path in paths]


def same_form(documented: str, declared: str) -> bool:
    """Whether the path of a page fits a rule's; placeholders and wildcards stand for one name each."""
    text = PLACEHOLDER.sub("x", documented.replace("<model>", MODEL))
    pattern = "[^/]+".join(re.escape(piece) for piece in PLACEHOLDER.split(declared))
    return re.fullmatch(pattern, text) is not None
