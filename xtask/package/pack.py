"""Packs what a deployment needs into one archive.

    pack.py VERSION PARTS ARCHIVE

PARTS has what was built: `bin`, the functions' archives and the agents. Beside it come the Terraform, the image's
sources and the documents, as the repository has them. Files that the repository does not know, such as a state of
Terraform, stay out.
"""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Below these names in the repository.
SOURCES = (
    "terraform", "runner", "docs", "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md",
    "LICENSE-APACHE", "LICENSE-MIT", "bench/README.md",
)
# A fixed time gives the same archive for the same content.
TIME = (2026, 1, 1, 0, 0, 0)
FILE, EXECUTABLE = 0o100644, 0o100755


def is_test(path: str) -> bool:
    return path.endswith(".tftest.hcl") or "tests" in Path(path).parts


def sources() -> list[tuple[str, Path]]:
    """Files of the repository: the name in the archive, and the file."""
    listed = subprocess.run(["git", "ls-files", "-z", "--", *SOURCES], cwd=ROOT, check=True, capture_output=True, text=True)
    names = sorted(name for name in listed.stdout.split("\0") if name and not is_test(name))
    if not names:
        raise SystemExit(f"error: {ROOT} is no checkout of the repository: `git ls-files` names no file")
    return [(name, ROOT / name) for name in names]


def parts(directory: Path) -> list[tuple[str, Path]]:
    """Files that were built: the name in the archive, and the file."""
    return [(path.relative_to(directory).as_posix(), path) for path in sorted(directory.rglob("*")) if path.is_file()]


def pack(version: str, directory: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w") as packed:
        for name, path in parts(directory) + sources():
            entry = zipfile.ZipInfo(f"ecsrunner-{version}/{name}", date_time=TIME)
            entry.create_system = 3
            is_executable = bool(path.stat().st_mode & 0o100)
            entry.external_attr = (EXECUTABLE if is_executable else FILE) << 16
            # What is compressed already is only stored.
            entry.compress_type = zipfile.ZIP_STORED if path.suffix in (".zip", ".png") else zipfile.ZIP_DEFLATED
            packed.writestr(entry, path.read_bytes(), compresslevel=9)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    pack(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
