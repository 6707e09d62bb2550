"""The command `obs-faceswap`. Heavy imports are inside the commands, so that --help is quick."""

import json
import logging
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import obs_faceswap
from obs_faceswap.engine.errors import FaceSwapError
from obs_faceswap.engine.settings import Settings, with_texts
from obs_faceswap.ui.command import ModelsFrom, Report, fetch_weights, parsed_settings, progress
from obs_faceswap.ui.installed import faces_app, models_app, networks_app, people_app

if TYPE_CHECKING:
    from obs_faceswap.engine.stats import Stats

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Live face swap for OBS, and for files.")
app.add_typer(models_app, name="models")
app.add_typer(people_app, name="people")
app.add_typer(networks_app, name="networks")
app.add_typer(faces_app, name="faces")


def main(arguments: list[str] | None = None) -> None:
    """Runs the command; errors meant for the user become one sentence and a non-zero status."""
    signal.signal(signal.SIGTERM, _end)
    try:
        app(args=arguments, prog_name="obs-faceswap")
    except FaceSwapError as error:
        typer.echo(f"Error: {error}", err=True)
        raise SystemExit(1) from None


def _end(_number: int, _frame: object) -> None:
    """Ends as Ctrl-C does, so that half-written files are taken away."""
    raise SystemExit(143)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"obs-faceswap {obs_faceswap.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more about what is done.")] = False,
) -> None:
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, format="%(name)s: %(message)s")


@app.command()
def swap(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A picture or a video.")],
    target: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Where the result goes.")],
    face: Annotated[str, typer.Option(help="An installed face; or a picture, a folder of them, a .dfm.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting; see `obs-faceswap settings`."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="What the networks run on; see `obs-faceswap doctor`.")
    ] = "auto",
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write counts and times there.")
    ] = None,
    models_from: ModelsFrom = None,
) -> None:
    """Swap the face of a picture or of every frame of a video."""
    settings = replace(with_texts(Settings(device=device), parsed_settings(set_ or [])), face=face)
    from obs_faceswap.ui.output import check_target
    from obs_faceswap.ui.swapping import check_files, swap_file

    check_files(source, target)
    if report is not None:
        check_target(report)
    fetch_weights(models_from)
    with progress() as bar:
        task = bar.add_task("Swapping", total=None)
        stats, engine = swap_file(
            source, target, settings, models_from,
            lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    if engine.notice:
        typer.echo(engine.notice, err=True)
    if report is not None:
        write_report(report, stats.report(engine.provider))
    typer.echo(summary(target, stats, engine.provider))


def summary(target: Path, stats: "Stats", provider: str) -> str:
    """One line on what was written."""
    from obs_faceswap.engine.runtime import providers

    parts = [f"{stats.shown[what]} {what}" for what in ("swapped", "frozen", "covered", "original")]
    counts = ", ".join(part for part in parts if not part.startswith("0 ")) or "none"
    frames = "1 frame" if stats.frames_in == 1 else f"{stats.frames_in} frames"
    speed = f"{stats.engine_fps() or 0:.1f} frames a second"
    return f"Wrote {target}: {frames}, {counts}; {speed} on {providers.label_of(provider)}."


def write_report(path: Path, report: dict[str, object]) -> None:
    """Writes a report as JSON, whole or not at all."""
    from obs_faceswap.ui.output import replacing

    with replacing(path) as partial:
        partial.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


@app.command()
def settings(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/settings.md.")] = False,
    defaults: Annotated[bool, typer.Option("--defaults", help="Print libobs/defaults.py.")] = False,
) -> None:
    """List every setting with its values, default and meaning."""
    from obs_faceswap.engine.settings import OPTIONS
    from obs_faceswap.ui import settings_table

    if markdown:
        sys.stdout.write(settings_table.markdown())
        return
    if defaults:
        sys.stdout.write(settings_table.defaults())
        return
    for option in OPTIONS:
        typer.echo(f"{option.key} = {settings_table.default_of(option)}    {option.label}. {option.help}")
        typer.echo(f"    {settings_table.values_of(option)}")


@app.command()
def doctor() -> None:
    """Say what is installed, what works, what is missing and how to mend it."""
    from obs_faceswap.ui.doctor import examine
    from obs_faceswap.ui.findings import Level

    marks = {Level.OK: "ok   ", Level.NOTE: "note ", Level.WRONG: "WRONG"}
    is_wrong = False
    for finding in examine():
        typer.echo(f"{marks[finding.level]}  {finding.text}")
        if finding.fix:
            typer.echo(f"       -> {finding.fix}")
        is_wrong = is_wrong or finding.level is Level.WRONG
    if is_wrong:
        raise typer.Exit(1)


@app.command()
def quality(
    clip: Annotated[Path, typer.Argument(help="A video of somebody before a camera.")],
    face: Annotated[str, typer.Option(help="The face to wear.")],
    reference: Annotated[
        Path | None, typer.Option(help="A video of the same motion that shows the exact result.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A folder for the plot and the contact sheet.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Only so many frames from its start.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting; see `obs-faceswap settings`."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    models_from: ModelsFrom = None,
) -> None:
    """Measure how good the swap of a clip is; docs/quality.md says what the figures mean."""
    from obs_faceswap.engine.settings import with_texts
    from obs_faceswap.ui.quality import measure, report

    fetch_weights(models_from)
    chosen = with_texts(Settings(face=face), parsed_settings(set_ or []))
    with progress() as bar:
        task = bar.add_task(clip.name, total=None)
        course = measure.watch(
            clip, chosen, reference, models_from, lambda done: bar.update(task, completed=done), frames
        )
    figures = measure.summary(course)
    typer.echo(json.dumps(figures, indent=2) if as_json else report.table(figures))
    if out is not None:
        for path in report.write_pictures(course, out, clip.stem):
            typer.echo(f"Wrote {path}", err=True)


@app.command()
def bench(
    sections: Annotated[
        list[str] | None, typer.Argument(metavar="[SECTION]...", help="What to measure; without, everything.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer frames.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    face: Annotated[
        str | None, typer.Option(help="A face to measure; without, the demo's and two models.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="A frame with a face; without, the demo's.")] = None,
    device: Annotated[str, typer.Option(help="What the networks run on.")] = "auto",
    models_from: ModelsFrom = None,
) -> None:
    """Measure the engine on this machine; docs/performance.md says what the sections mean."""
    from obs_faceswap.ui.bench.run import measure
    from obs_faceswap.ui.bench.table import table

    fetch_weights(models_from)
    settings = Settings(face=face or "", device=device)
    with progress() as bar:
        figures = measure(sections or [], settings, picture, quick, models_from, Report(bar))
    typer.echo(json.dumps(figures, indent=2) if as_json else table(figures))


@app.command()
def autotune(
    face: Annotated[str | None, typer.Option(help="The face to wear; without, the demo's.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting; see `obs-faceswap settings`."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    models_from: ModelsFrom = None,
) -> None:
    """Measure each stage on each device, and propose where to run what."""
    from obs_faceswap.ui import materials, tuning

    settings = with_texts(Settings(), parsed_settings(set_ or []))
    settings = replace(settings, face=face or str(materials.packaged("demo/face.jpg")))
    fetch_weights(models_from)
    from obs_faceswap.engine.live.autotune import autotune as measured

    with progress() as bar:
        task = bar.add_task("Measuring", total=1.0)
        found = measured(
            settings, models_from, lambda what, part: bar.update(task, description=what, completed=part)
        )
    typer.echo(json.dumps(tuning.as_dict(found), indent=2) if as_json else tuning.table(found))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where a recording's files go.")] = Path("demo"),
    seconds: Annotated[float, typer.Option(help="Length of a recording.")] = 10.0,
    headless: Annotated[
        bool, typer.Option("--headless", help="Record on a virtual display even where there is a real one.")
    ] = False,
) -> None:
    """Show the filter in a real OBS with a configuration of its own; without a display, record it."""
    from obs_faceswap.ui import demo as shown

    fetch_weights(None)
    shown.show(out, seconds, headless, typer.echo)
