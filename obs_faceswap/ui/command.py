"""What several commands share: options, the networks they need, and progress."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from obs_faceswap.engine.errors import SettingsError

if TYPE_CHECKING:
    from rich.progress import Progress

ModelsFrom = Annotated[
    Path | None, typer.Option("--models-from", metavar="DIR", help="A folder of network files, tried first.")
]


def parsed_settings(texts: list[str]) -> dict[str, str]:
    """{"key": "value"} of the `--set key=value` texts; raises SettingsError."""
    parsed = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"“{text}” is no setting. Write it as key=value, e.g. opacity=0.8.")
        parsed[key.strip()] = value.strip()
    return parsed


def fetch_weights(models_from: Path | None) -> None:
    """Gets the default networks that are not on this machine yet, with progress."""
    from obs_faceswap.engine.errors import ModelMissingError
    from obs_faceswap.engine.store import models

    try:
        models.find_detector(models_from)
        models.find("facemesh_468", models_from)
    except ModelMissingError:
        with progress() as bar:
            models.fetch_defaults(models_from, Report(bar))


class Report:
    """Turns "what, fraction" into one progress bar for each thing."""

    def __init__(self, bar: "Progress") -> None:
        self._bar = bar
        self._tasks: dict[str, Any] = {}

    def __call__(self, what: str, fraction: float) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=1.0)
        self._bar.update(self._tasks[what], completed=fraction)


@contextmanager
def progress() -> Iterator["Progress"]:
    """A progress bar on the error stream, so that the output can be read by programs."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield bar
