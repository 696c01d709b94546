"""MkDocs hook: the site holds the pages of the whole repository, under the paths that they have in the repository.

So each page exists once, and a relative link between two files holds in the repository and on the site.
"""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PUBLISHED = (
    "*.md",
    "config/README.md",
    "docs/*.md",
    "docs/*.css",
    "docs/*.csv",
    "docs/*.png",
    "resources/*.csv",
    "resources/*.bib",
    "CITATION.cff",
    "LICENSE",
)
"""Pages, and the files that they show or link to."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace the files of docs/ by the published files of the repository; those of the theme stay."""
    root = Path(config.config_file_path).parent
    for file in files.documentation_pages() + files.media_files():
        if file.src_dir == config.docs_dir:
            files.remove(file)
    for pattern in PUBLISHED:
        for path in sorted(root.glob(pattern)):
            files.append(File(path.relative_to(root).as_posix(), str(root), config.site_dir, config.use_directory_urls))
    return files
