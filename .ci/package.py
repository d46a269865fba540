"""The Python files of the tree under test: copied from `python/`, and compared with a wheel.

    package.py copy TREE          makes TREE/vrsky_fast hold the files of python/vrsky_fast, and no others but
                                  the extension; what has not changed is left alone
    package.py check TREE WHEEL   fails unless TREE/vrsky_fast holds exactly what WHEEL would install there

So a change of a Python file reaches the tests without cargo or maturin, and the tests still see a wheel.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "vrsky_fast"


def package_files(package: Path) -> set[Path]:
    """Every file below `package` that belongs to it, relative to it; bytecode does not."""
    found = (path.relative_to(package) for path in package.rglob("*") if path.is_file())
    return {path for path in found if "__pycache__" not in path.parts}


def is_extension(path: Path) -> bool:
    """Extensions come from a wheel alone: the one in `python/` is that of `make run`."""
    return path.suffix in {".so", ".pyd"}


def copy(tree: Path, source: Path = ROOT / "python" / PACKAGE) -> list[Path]:
    """Brings `tree` up to date; gives the files that were written or removed."""
    target = tree / PACKAGE
    wanted = {path for path in package_files(source) if not is_extension(path)}
    present = {path for path in package_files(target) if not is_extension(path)}
    removed = sorted(present - wanted)
    for path in removed:
        (target / path).unlink()
    _remove_empty_folders(target, source)
    written = sorted(path for path in wanted if path not in present or _differs(source / path, target / path))
    for path in written:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / path, target / path)
    return removed + written


def _differs(one: Path, other: Path) -> bool:
    return one.read_bytes() != other.read_bytes()


def _remove_empty_folders(target: Path, source: Path) -> None:
    """A folder without its modules would still be importable, as a namespace package."""
    for folder in sorted((path for path in target.rglob("*") if path.is_dir()), reverse=True):
        if folder.name != "__pycache__" and not (source / folder.relative_to(target)).is_dir():
            shutil.rmtree(folder)


def differences(tree: Path, wheel: Path) -> list[str]:
    """What `tree` has and `wheel` has not, the reverse, and what differs; a line each."""
    prefix = f"{PACKAGE}/"
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith(prefix) and not name.endswith("/")]
        packed = {Path(name.removeprefix(prefix)): archive.read(name) for name in names}
    installed = package_files(tree / PACKAGE)
    lines = [f"only in the wheel: {path}" for path in sorted(packed.keys() - installed)]
    lines += [f"not in the wheel: {path}" for path in sorted(installed - packed.keys())]
    both = sorted(installed & packed.keys())
    return lines + [f"differs: {path}" for path in both if (tree / PACKAGE / path).read_bytes() != packed[path]]


def main(arguments: list[str]) -> int:
    match arguments:
        case ["copy", tree]:
            copy(Path(tree))
            return 0
        case ["check", tree, wheel]:
            lines = differences(Path(tree), Path(wheel))
            for line in lines:
                print(line)
            return 1 if lines else 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
