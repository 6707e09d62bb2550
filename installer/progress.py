"""What the installer tells the user, and the log of the programs it runs."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_QUIET_S = 15.0  # how often a line is printed where no line can be rewritten
# Another environment's variables would lead the private one astray.
_FOREIGN = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


class InstallError(Exception):
    """What went wrong and what to do about it, in words for the user."""


def clean_environment() -> dict[str, str]:
    """The environment variables without those that name another Python."""
    return {key: value for key, value in os.environ.items() if key not in _FOREIGN}


class Progress:
    """Prints steps and runs programs; their output goes to a log file."""

    def __init__(self, log: Path) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("", encoding="utf-8")
        self._rewrites = sys.stdout.isatty()

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Names what happens inside, and how long it took."""
        print(f"- {title} ...", flush=True)
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"\n== {title}\n")
        start = time.monotonic()
        yield
        print(f"  done in {time.monotonic() - start:.0f} s", flush=True)

    def run(self, command: Sequence[str | Path], environment: dict[str, str] | None = None) -> None:
        """Runs a program to its end.

        Raises:
            InstallError: it failed or is not there; the message ends with its last words.
        """
        texts = [str(part) for part in command]
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"$ {' '.join(texts)}\n")
            file.flush()
            try:
                process = subprocess.Popen(
                    texts, env=environment or clean_environment(), stdin=subprocess.DEVNULL,
                    stdout=file, stderr=subprocess.STDOUT,
                )  # fmt: skip
            except OSError as error:
                raise InstallError(f"{texts[0]} could not be started: {error}.") from error
        try:
            self._watch(process)
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.returncode:
            raise InstallError(
                f"“{' '.join(texts)}” failed with exit code {process.returncode}. Its last words:\n"
                f"{self._tail(12)}\nAll of it is in {self.log}."
            )

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        start = shown = time.monotonic()
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
                break
            now = time.monotonic()
            if self._rewrites or now - shown >= _QUIET_S:
                shown = now
                self._show(f"  {now - start:.0f} s: {self._tail(1).strip()}")
        if self._rewrites:
            self._show("")

    def _show(self, text: str) -> None:
        if self._rewrites:
            width = os.get_terminal_size().columns - 1
            print(f"\r\x1b[K{text[:width]}", end="", flush=True)
        else:
            print(text[:120], flush=True)

    def _tail(self, lines: int) -> str:
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 4096))
            text = file.read().decode("utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])
