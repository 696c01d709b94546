# Where the workflow is a module that is taken from a Git repository (github, gitlab, gitfile): Snakemake fetches the files
# that rules name, and not the package that scripts import, nor resources/.
import os
from tempfile import TemporaryDirectory

from git import Repo
from snakemake.sourcecache import HostingProviderFile, LocalGitFile


def checked_out(path):
    """`path`, relative to the Snakefile that asks; of one in a Git repository, that file in a checkout of its revision.

    Checkouts are kept in Snakemake's cache.
    """
    place = workflow.current_basedir
    if isinstance(place, HostingProviderFile):
        repository = place.hosted_repo.repo.git_dir
    elif isinstance(place, LocalGitFile):
        repository = place.repo_path
    else:
        return path
    revision = Repo(repository).commit(place.ref).hexsha
    checkouts = workflow.sourcecache.cache_path / "clip-data-testbed"
    folder = checkouts / revision
    checkouts.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=checkouts, ignore_cleanup_errors=True) as temporary:
        if not folder.is_dir():
            clone = Repo.clone_from(repository, temporary, no_checkout=True)
            clone.git.checkout(revision)
            try:
                os.rename(temporary, folder)
            except OSError:
                # Another run was faster.
                if not folder.is_dir():
                    raise
    return str(folder / place.path / path)
