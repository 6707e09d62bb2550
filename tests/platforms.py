#!/usr/bin/env python3
"""Runs the OBS tests in another Debian, with the OBS and the Python that it brings. Linux, by hand, as root.

    sudo python3 tests/platforms.py /var/tmp/sid --suite sid
    sudo python3 tests/platforms.py /var/tmp/trixie --suite trixie -- --test tests/obs/test_filter.py

The folder is made with debootstrap once and used again afterwards. In it runs the checkout's installer with
the arguments after "--", as on a fresh machine: it makes the environment, installs OBS, gets the networks and
starts the tests. Mounts and processes of the folder live in namespaces that end with the run, so that nothing
stays mounted. Standard library only.
"""

import argparse
import fcntl
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
INSIDE = "/opt/obs-faceswap"  # where the checkout lies in the folder
DEFAULT = ("--test", "tests/obs")
# The installer gets everything else by itself. OBS 31 and later want a session bus.
PACKAGES = ("python3", "ca-certificates", "dbus-daemon")
HOST_FILES = ("/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
USER_PIP = ".config/pip/pip.conf"
CERTIFICATES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
# Old snapshots of a mirror carry lists that say they have expired.
APT_OPTIONS = 'Acquire::Check-Valid-Until "false";\n'
ENTER = (
    'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount -t tmpfs tmpfs "$0/dev/shm" '
    '&& exec chroot "$0" "$@"'
)


class PlatformError(Exception):
    """What went wrong and what to do about it."""


def main(arguments: Sequence[str]) -> int:
    """Does what the command line asks; returns the installer's exit code."""
    ours, installers = _halves(arguments)
    options = _parse(ours)
    folder = options.folder.resolve()
    try:
        _need_rights_and_tools(folder)
        if not _is_made(folder):
            _make(folder, options.suite, options.mirror)
        _keep_others_out(folder)
        _settle(folder)
        commit = _copy_checkout(folder, options.commit)
        return _run_installer(folder, commit, installers or DEFAULT)
    except (PlatformError, OSError) as error:
        print(f"\nNot done. {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


def _halves(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """What stands before the first "--", and after it."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:cut], arguments[cut + 1 :]


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    after = f"After “--”: the installer's arguments; “{shlex.join(DEFAULT)}” without any."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=after)
    parser.add_argument("folder", type=Path, help="of the other system; made when it is not there")
    parser.add_argument("--suite", help="what to make, e.g. trixie or sid; needed for a new folder")
    parser.add_argument("--mirror", help="where to get it; debootstrap's own default")
    parser.add_argument("--commit", default="HEAD", help="what to test (HEAD)")
    return parser.parse_args(arguments)


def _need_rights_and_tools(folder: Path) -> None:
    if os.geteuid() != 0:
        raise PlatformError("Only root may enter another system's folder. Run this with sudo.")
    tools = ("git", "tar", "unshare", "chroot", *(() if _is_made(folder) else ("debootstrap",)))
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        raise PlatformError(f"Not installed: {', '.join(missing)}. Install them with apt-get install.")


def _is_made(folder: Path) -> bool:
    """Whether debootstrap has been here and has finished."""
    return (folder / "usr/bin/apt-get").exists() and not (folder / "debootstrap").exists()


def _make(folder: Path, suite: str | None, mirror: str | None) -> None:
    if suite is None:
        raise PlatformError(f"{folder} holds no complete system. Name one to make, e.g. --suite sid.")
    if folder.exists() and any(folder.iterdir()):
        raise PlatformError(f"{folder} is neither empty nor a complete system. Remove it, or name another.")
    _say(f"Making {suite} in {folder}; this takes minutes")
    _run(["debootstrap", "--variant=minbase", suite, str(folder), *([mirror] if mirror else [])])


def _keep_others_out(folder: Path) -> None:
    """Until this process ends; a second run would replace the checkout under the first one."""
    try:
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PlatformError(f"Another run is at work in {folder}. Wait for its end.") from None


def _settle(folder: Path) -> None:
    """Gives the folder the network's settings, an identity and the packages the installer starts from."""
    _place(folder, "/etc/apt/apt.conf.d/90platforms", APT_OPTIONS + _apt_proxies())
    _place(folder, "/etc/resolv.conf", Path("/etc/resolv.conf").read_text())
    if _packages_missing(folder):
        _say(f"Installing {' '.join(PACKAGES)}")
        _enter(folder, ["apt-get", "update", "-q"])
        _enter(folder, ["apt-get", "install", "-q", "-y", "--no-install-recommends", *PACKAGES])
    for path in (*HOST_FILES, *_certificates()):
        if Path(path).is_file():
            _place(folder, path, Path(path).read_text())
    if (user := Path.home() / USER_PIP).is_file():
        _place(folder, f"/root/{USER_PIP}", user.read_text())
    if not (folder / "etc/machine-id").exists():
        _place(folder, "/etc/machine-id", os.urandom(16).hex() + "\n")


def _place(folder: Path, path: str, text: str) -> None:
    target = folder / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink():  # it may lead out of the folder
        target.unlink()
    target.write_text(text)


def _apt_proxies() -> str:
    """The host's own lines about proxies."""
    if shutil.which("apt-config") is None:
        return ""
    dumped = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    lines = [line for line in dumped.splitlines() if line.startswith("Acquire::") and "Proxy" in line]
    return "".join(f"{line}\n" for line in lines)


def _certificates() -> list[str]:
    return [os.environ[name] for name in CERTIFICATES if name in os.environ]


def _packages_missing(folder: Path) -> bool:
    command = ["chroot", str(folder), "dpkg-query", "-W", "-f", "${db:Status-Status}\n", *PACKAGES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.split() != ["installed"] * len(PACKAGES)


def _copy_checkout(folder: Path, commit: str) -> str:
    """Puts the files of a commit into the folder; returns the commit's short name."""
    git = ["git", "-c", f"safe.directory={CHECKOUT}", "-C", str(CHECKOUT)]
    asked = [*git, "rev-parse", "--short", "--verify", f"{commit}^{{commit}}"]
    name = subprocess.run(asked, capture_output=True, text=True, check=False)
    if name.returncode:
        raise PlatformError(f"{CHECKOUT} has no commit “{commit}”: {name.stderr.strip()}")
    target = folder / INSIDE.lstrip("/")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    archive = subprocess.run([*git, "archive", commit], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "--no-same-owner", "-C", str(target)], input=archive, check=True)
    return name.stdout.strip()


def _run_installer(folder: Path, commit: str, arguments: Sequence[str]) -> int:
    command = ["dbus-run-session", "--", "python3", "installer/install.py", *arguments]
    _say(f"{_system(folder)}, commit {commit}: {shlex.join(command[2:])}")
    start = time.monotonic()
    code = _enter(folder, ["sh", "-c", f'cd {INSIDE} && exec "$@"', "sh", *command], must_succeed=False)
    _say(f"{_system(folder)}, {_versions(folder)}, commit {commit}")
    _say(f"Exit code {code} after {time.monotonic() - start:.0f} s")
    return code


def _system(folder: Path) -> str:
    for line in (folder / "etc/os-release").read_text().splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return folder.name


def _versions(folder: Path) -> str:
    """OBS's package and the Python in the folder."""
    asked = {"OBS": ["dpkg-query", "-W", "-f", "${Version}", "obs-studio"], "": ["python3", "--version"]}
    found = []
    for name, command in asked.items():
        done = subprocess.run(["chroot", str(folder), *command], capture_output=True, text=True, check=False)
        found.append(f"{name} {done.stdout.strip() or 'not installed'}".strip())
    return ", ".join(found)


def _enter(folder: Path, command: Sequence[str], must_succeed: bool = True) -> int:
    """Runs a command in the folder; when it ends, so do its mounts and whatever it started."""
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    return _run([*namespaces, "sh", "-c", ENTER, str(folder), *command], _environment(), must_succeed)


def _environment() -> dict[str, str]:
    passed = {
        key: value
        for key, value in os.environ.items()
        if key.startswith("PIP_") or key.lower().endswith("_proxy") or key in (*CERTIFICATES, "TERM")
    }
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return passed | {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


def _run(command: Sequence[str], environment: dict[str, str] | None = None, must_succeed: bool = True) -> int:
    code = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False).returncode
    if code and must_succeed:
        raise PlatformError(f"“{shlex.join(command)}” failed with exit code {code}; its words are above.")
    return code


def _say(text: str) -> None:
    print(f"== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
