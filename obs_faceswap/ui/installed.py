"""The commands for what lies in the project's folders: networks, faces and people."""

from pathlib import Path
from typing import Annotated

import typer

from obs_faceswap.engine.errors import FaceSwapError
from obs_faceswap.engine.settings import Settings, with_texts
from obs_faceswap.ui.command import ModelsFrom, Report, fetch_weights, parsed_settings, progress

models_app = typer.Typer(help="The networks: list, fetch, verify.", invoke_without_command=True)
faces_app = typer.Typer(help="The installed faces: list, add, remove.", invoke_without_command=True)
networks_app = typer.Typer(help="Your own networks: list, add.", invoke_without_command=True)
people_app = typer.Typer(
    help="The people known by name: list, add, rename, remove.", invoke_without_command=True
)


@models_app.callback()
def models_(context: typer.Context) -> None:
    """The networks; alone it lists them."""
    if context.invoked_subcommand is None:
        models_list()


@models_app.command("list")
def models_list(models_from: ModelsFrom = None) -> None:
    """List the networks that the project knows, and whether they are on this machine."""
    from obs_faceswap.engine.store import models, registry

    for name, model in registry.models().items():
        try:
            state = str(models.find(name, models_from))
        except FaceSwapError as error:
            state = f"not here. {error}"
        typer.echo(f"{name}: {model.title}; {model.licence}\n    {state}")


@models_app.command("fetch")
def models_fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Networks; without any, the default ones.")
    ] = None,
    models_from: ModelsFrom = None,
) -> None:
    """Get networks that are not on this machine yet."""
    from obs_faceswap.engine.store import models

    with progress() as bar:
        report = Report(bar)
        paths = [models.fetch(name, models_from, report) for name in names or models.DEFAULTS]
    for path in paths:
        typer.echo(str(path))


@models_app.command("verify")
def models_verify(models_from: ModelsFrom = None) -> None:
    """Compute the networks once that are here, and compare with the numbers they have to give."""
    from obs_faceswap.engine.errors import ModelMissingError
    from obs_faceswap.engine.store import models, registry

    for name, model in registry.models().items():
        try:
            path = models.find(name, models_from)
        except ModelMissingError as error:
            if name in models.DEFAULTS:
                raise
            typer.echo(f"{name}: not verified. {error}")
            continue
        models.check(model, path.read_bytes())
        typer.echo(f"{name}: right ({path})")


@faces_app.callback()
def faces_(context: typer.Context) -> None:
    """The installed faces; alone it lists them."""
    if context.invoked_subcommand is None:
        faces_list()


@faces_app.command("list")
def faces_list() -> None:
    """List the installed faces."""
    from obs_faceswap.engine import faces

    found = faces.installed()
    for face in found:
        typer.echo(f"{face.name} ({face.kind}): {face.path}")
    if not found:
        typer.echo("No face is installed. Add one: obs-faceswap faces add PICTURE")


@faces_app.command("add")
def faces_add(
    path: Annotated[Path, typer.Argument(help="A picture, a folder of one person's pictures, or a .dfm.")],
    name: Annotated[str | None, typer.Option(help="What to call it; without, the file's name.")] = None,
) -> None:
    """Install a face, so that the filter lists it."""
    from obs_faceswap.engine import faces
    from obs_faceswap.engine.runtime import optimize, providers

    face = faces.add(path, name)
    if face.kind is faces.FaceKind.DFM and providers.candidates(providers.AUTO)[0] == providers.CPU:
        typer.echo("Making the model faster for this processor, which takes up to a minute …", err=True)
        optimize.prepared(face.path)
    typer.echo(f"{face.name} is installed. In OBS, press Refresh in the filter's panel to see it.")


@faces_app.command("remove")
def faces_remove(name: Annotated[str, typer.Argument(help="An installed face.")]) -> None:
    """Remove an installed face."""
    from obs_faceswap.engine import faces

    typer.echo(f"Removed {faces.remove(name)}.")


@networks_app.callback()
def networks_(context: typer.Context) -> None:
    """Your own networks; alone it lists them."""
    if context.invoked_subcommand is None:
        networks_list()


@networks_app.command("list")
def networks_list() -> None:
    """List the networks that you brought, and what each is for."""
    from obs_faceswap.engine import folders
    from obs_faceswap.engine.store import own_networks

    found = own_networks.installed()
    for network in found:
        typer.echo(f"{network.name} ({network.role}): {network.path}")
    if not found:
        typer.echo(f"There is none. Put ONNX files into {folders.networks_dir()}; see docs/models.md.")


@networks_app.command("add")
def networks_add(
    path: Annotated[Path, typer.Argument(help="An ONNX file of a kind that docs/models.md names.")],
    name: Annotated[str | None, typer.Option(help="What to call it; without, the file's name.")] = None,
) -> None:
    """Copy a network to where the filter lists it."""
    from obs_faceswap.engine.store import own_networks

    network = own_networks.add(path, name)
    typer.echo(f"{network.name} is installed, as a network of the kind “{network.role}”.")


@people_app.callback()
def people_(context: typer.Context) -> None:
    """The people known by name; alone it lists them."""
    if context.invoked_subcommand is None:
        people_list()


@people_app.command("list")
def people_list() -> None:
    """List the people whom a recognition network knows by name."""
    from obs_faceswap.engine.find import people

    found = people.enrolled()
    for person in found:
        typer.echo(f"{person.name}: {person.looks} look{'s' * (person.looks > 1)}, network {person.network}")
    if not found:
        typer.echo("Nobody is enrolled. Enroll somebody: obs-faceswap people add NAME PICTURE")


@people_app.command("add")
def people_add(
    name: Annotated[
        str, typer.Argument(help="What to call them. A name that is there is known better then.")
    ],
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURE...", help="Pictures of that person alone.")
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting, e.g. recognizer=w600k_r50."),
    ] = None,
    models_from: ModelsFrom = None,
) -> None:
    """Enroll somebody from pictures; only a recognition network's numbers are kept."""
    from obs_faceswap.engine.find.enroll_pictures import enroll_pictures

    fetch_weights(models_from)
    person = enroll_pictures(name, pictures, with_texts(Settings(), parsed_settings(set_ or [])), models_from)
    typer.echo(f"{person.name} is enrolled. In OBS, press Refresh in the filter's panel to see the name.")


@people_app.command("rename")
def people_rename(
    name: Annotated[str, typer.Argument(help="Somebody enrolled.")],
    new: Annotated[str, typer.Argument(metavar="NEW_NAME", help="What to call them from now on.")],
) -> None:
    """Give somebody another name."""
    from obs_faceswap.engine.find import people

    people.rename(name, new)
    typer.echo(f"{name} is called {new} now.")


@people_app.command("remove")
def people_remove(name: Annotated[str, typer.Argument(help="Somebody enrolled.")]) -> None:
    """Forget somebody."""
    from obs_faceswap.engine.find import people

    people.remove(name)
    typer.echo(f"{name} is forgotten.")
