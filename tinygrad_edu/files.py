"""Files that are never there in part: written beside their place first, then moved into it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file; who may read one that was there before stays. Raises as `target_of`."""
    target = target_of(path)
    beside = target.with_name(f".{secrets.token_hex(8)}.part")  # a longer name might be too long
    try:
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(beside, target.stat().st_mode & 0o7777)
        os.replace(beside, target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def target_of(path: str | Path) -> Path:
    """The file to write: a symbolic link stays, and what it leads to is replaced. Raises OSError where it can't be."""
    target = Path(os.path.realpath(file_name(path)))
    if target.is_dir():
        raise IsADirectoryError(f"path must be the name of a file, and {str(path)!r} is a directory")
    if target.is_symlink() or (target.exists() and not target.is_file()):
        raise OSError(f"{str(path)!r} is no file that can be replaced, but a device, a pipe, or a link to itself")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no directory {str(target.parent)!r} to write {target.name!r} in")
    return target


def file_name(path: Any) -> str:
    """The path as text. Raises TypeError where it is none."""
    try:
        return os.fsdecode(path)
    except TypeError:
        text = repr(path)
        raise TypeError(
            f"path must be the name of a file, got {text if len(text) <= 60 else text[:57] + '...'}"
        ) from None
