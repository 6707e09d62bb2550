"""Writing a file so that it is there whole or not at all. Standard library only."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from obs_faceswap.engine.errors import MediaError


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path beside `target` to write to; it becomes `target` when the block ends well.

    When the block raises (Ctrl-C included) what was written is removed and an older `target` stays as it was.
    Raises MediaError where the folder is missing or cannot be written.
    """
    check_target(target)
    partial = target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}")
    try:
        yield partial
        partial.replace(target)
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        partial.unlink(missing_ok=True)


def check_target(target: Path) -> None:
    """Raises MediaError where `target` could not be written; to be called before any long work."""
    if not target.parent.is_dir():
        raise MediaError(f"The folder {target.parent} does not exist. Make it, or choose another output.")
    if target.is_dir():
        raise MediaError(f"{target} is a folder. Give the name of a file to write.")
    if not os.access(target.parent, os.W_OK):
        raise MediaError(f"The folder {target.parent} cannot be written. Choose another output.")


def write_error(target: Path, error: OSError) -> MediaError:
    """The sentence for a failed write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return MediaError(
            f"There is no room left to write {target}. Free some space, then run the command again."
        )
    return MediaError(f"{target} could not be written: {error.strerror or error}. Nothing was changed.")
