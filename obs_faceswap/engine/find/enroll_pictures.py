"""Enrolling somebody from pictures."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.errors import PeopleError
from obs_faceswap.engine.find import people
from obs_faceswap.engine.find.networks import Networks
from obs_faceswap.engine.find.people import Person
from obs_faceswap.engine.pictures import read_picture
from obs_faceswap.engine.settings import Settings, Who


def enroll_pictures(
    name: str, pictures: Sequence[Path], settings: Settings, models_from: Path | None = None
) -> Person:
    """Remembers somebody by one picture or several.

    Args:
        name: what to call them; a name that is there already is known better afterwards.
        pictures: files that show that person alone.
        settings: their networks and devices are used.
        models_from: a folder of the user's own network files, tried first.

    Raises:
        PeopleError: a picture does not show one face, or the name cannot be used; nobody is enrolled then.
        MediaError: a picture cannot be read.
        ModelError: there is no recognition network, or a network cannot be used.
    """
    embeddings = []
    for path in pictures:
        networks = Networks(replace(settings, who=Who.KNOWN), models_from)  # each picture is a new scene
        try:
            embeddings.append(_seen(path, networks, settings))
        finally:
            networks.close()
    if not embeddings:
        raise PeopleError("No picture was given. Choose one with a face.")
    for embedding, label in embeddings:
        person = people.enroll(name, label, embedding)
    return person


def _seen(path: Path, networks: Networks, settings: Settings) -> tuple[list[float], str]:
    """What the recognition network says of a picture, and how it calls itself."""
    picture = Picture.of(read_picture(path))
    found = networks.finder.find(picture, 0, replace(settings, who=Who.ALL, smoothing=0.0))
    faces = [*found.targets, *found.others]
    if len(faces) != 1:
        count = "no face" if not faces else f"{len(faces)} faces"
        raise PeopleError(f"{path.name} shows {count}; expected one. Choose or cut out another picture.")
    return networks.enroller.numbers_of(picture, faces[0]), networks.enroller.label
