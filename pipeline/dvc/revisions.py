"""Files of other revisions of this repository: commits, branches, tags and DVC experiments."""

from pathlib import Path


def read_revision(revision: str, path: Path) -> str:
    """Return the text of a file at a revision, from git or from the DVC cache.

    Raises:
        ValueError: when the revision does not exist, or the file is not in the DVC cache.
    """
    import dvc.api
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    try:
        content: str = dvc.api.read(str(path), rev=revision, encoding="utf-8")
    except (DvcException, SCMError, OSError) as error:
        raise ValueError(
            f"{revision} is not a folder, file or revision with {path}: {error}; to list revisions, run: dvc exp list, git log"
        ) from error
    return content
