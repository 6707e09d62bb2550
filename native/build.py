"""Builds the library for every system, and says what sources a built one belongs to.

    python native/build.py            # with `pip install ziglang==0.17.1`, for every system
    python native/build.py --gcc FILE # with the machine's own compiler, for this one

The results lie in obs_faceswap/native/ and are committed: nobody needs a compiler to use them.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "obs_faceswap/native"
ZIG = "0.17.1"  # another version makes other bytes

# The name is stored in the file; without one it would be the path it was built at.
_MACOS = ("-fPIC", "-install_name", "@rpath/obs_faceswap.dylib")
# For each file its system as zig calls it, the oldest ones that OBS 28 runs on, and what only it needs.
TARGETS = {
    "linux-x86_64.so": ("x86_64-linux-gnu.2.17", "-fPIC"),
    "linux-aarch64.so": ("aarch64-linux-gnu.2.17", "-fPIC"),
    "windows-x86_64.dll": ("x86_64-windows-gnu", "-lapi-ms-win-core-synch-l1-2-0"),
    "macos-x86_64.dylib": ("x86_64-macos.11.0", *_MACOS),
    "macos-aarch64.dylib": ("aarch64-macos.11.0", *_MACOS),
}
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wpedantic", "-Wconversion", "-Wno-sign-conversion")
FLAGS = ("-std=c11", "-O3", "-shared", "-fvisibility=hidden", "-ffp-contract=off", *WARNINGS)


def sources() -> list[Path]:
    """What the library is made of."""
    return sorted((*HERE.glob("*.c"), *HERE.glob("*.h")))


def hash_of_sources() -> str:
    """One number for the sources and how they are compiled; the same on every system."""
    total = hashlib.sha256(repr((ZIG, TARGETS, FLAGS)).encode())
    for path in sources():
        total.update(path.name.encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n"))
    return total.hexdigest()


def command(compiler: list[str], result: Path) -> list[str]:
    """How a compiler is called; it finds the sources in the folder it runs in."""
    names = [path.name for path in sources() if path.suffix == ".c"]
    return [*compiler, *FLAGS, f'-DSOURCES="{hash_of_sources()}"', "-o", str(result), *names]


def build_one(name: str, target: str, *more: str) -> None:
    """Builds for one system with zig."""
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", target, "-s", "-fno-sanitize=undefined", *more]
    with tempfile.TemporaryDirectory(dir=RESULTS.parent) as folder:  # with what else the linker leaves there
        built = Path(folder) / f"obs_faceswap-{name}"  # it is stored in the file
        subprocess.run(command(zig, built), cwd=HERE, check=True)
        built.replace(RESULTS / built.name)  # a process that has the old one keeps it


def build_here(result: Path, *more: str, compiler: str = "gcc") -> None:
    """Builds for this machine with its own compiler; raises CalledProcessError."""
    subprocess.run(command([compiler, "-fPIC", "-pthread", *more], result.resolve()), cwd=HERE, check=True)


def main() -> None:
    """Builds for every system, or for this one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gcc", type=Path, metavar="FILE", help="build for this machine alone")
    chosen = parser.parse_args()
    if chosen.gcc:
        build_here(chosen.gcc)
        return
    RESULTS.mkdir(exist_ok=True)
    for name, (target, *more) in TARGETS.items():
        build_one(name, target, *more)


if __name__ == "__main__":
    main()
