"""A photo face worn through a network that the user brought: what it needs to know of the pictures.

Which networks there are, and what each wants of its source: see `own_networks` and `one_photo`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.crop.templates import five_points
from obs_faceswap.engine.errors import FaceError, ModelError, UnsupportedModelError
from obs_faceswap.engine.find.recognize import Embedding, Recognizer, mean_of
from obs_faceswap.engine.runtime import providers
from obs_faceswap.engine.runtime.session import Session, shared
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.store import own_networks
from obs_faceswap.engine.store.own_networks import OwnNetwork, Role
from obs_faceswap.engine.swap.animate import Animator
from obs_faceswap.engine.swap.one_photo import (
    Family,
    OnePhotoSwapper,
    Source,
    emap_of,
    family_of,
    source_of_embedding,
    source_of_picture,
)
from obs_faceswap.engine.swap.photo_find import FindLandmarks, the_face
from obs_faceswap.engine.swap.photo_shape import fit_pose
from obs_faceswap.engine.types import ImageBGR, Points, Swapper

_LATENT = 512


@dataclass(frozen=True, slots=True)
class Sources:
    """The pictures of one person, each with its face.

    Attributes:
        pictures: BGR, with five points (5, 2) each, the most frontal face first.
        notice: which pictures could not be used, and why.
    """

    pictures: list[tuple[ImageBGR, Points]]
    notice: str


def sources_of(pictures: Sequence[ImageBGR], names: Sequence[str], find: FindLandmarks) -> Sources:
    """Finds the face of each picture; raises FaceError when no picture has a clear one."""
    found: list[tuple[float, int, ImageBGR, Points]] = []
    complaints = []
    for picture, name in zip(pictures, names, strict=True):
        try:
            mesh = the_face(name, picture, find)
        except FaceError as error:
            complaints.append(str(error))
            continue
        turned = float(np.abs(fit_pose(mesh).yaw_pitch).max())
        found.append((turned, len(found), picture, five_points(mesh[:, :2])))
    if not found:
        raise FaceError(complaints[0] if complaints else "No picture was given. Choose one with a face.")
    ordered = sorted(found, key=lambda entry: entry[:2])
    return Sources([(picture, kps) for _, _, picture, kps in ordered], " ".join(complaints))


def load(
    network: OwnNetwork, sources: Sources, settings: Settings, folders: Sequence[Path], at_once: bool
) -> tuple[Swapper, Session]:
    """The swapper of a network, and its session, which the caller closes.

    Args:
        network: the one to wear the face through.
        sources: the face.
        settings: its device is used.
        folders: where else the networks lie that it needs.
        at_once: as for `wear.wear`.

    Raises:
        FaceSwapError: a network is missing, of another kind, or does not run.
    """
    session = shared(network.path, settings.device, keep=True, at_once=at_once)
    try:
        if network.role is Role.ANIMATOR:
            return Animator(session, sources.pictures[0][0]), session
        family = family_of(session, network.path.name)
        source = _source(network, family, session, sources, folders)
        return OnePhotoSwapper(session, family, source, int(settings.pixel_boost)), session
    except Exception:
        session.close()
        raise


def check(network: OwnNetwork, session: Session, folders: Sequence[Path]) -> None:
    """Looks whether a face can be worn through a swapper; raises ModelError, for what it needs as well."""
    family = family_of(session, network.path.name)
    if family.source is Source.PICTURE:
        return
    _helpers(network, family, folders)
    if family.source is Source.MATRIX:
        emap_of(network.path)


def _helpers(network: OwnNetwork, family: Family, folders: Sequence[Path]) -> tuple[Path, Path | None]:
    """The networks that make a face the numbers of a family: recognizer and converter."""
    recognizer = own_networks.recognizer_for(network, folders)
    if not family.needs_converter:
        return recognizer, None
    return recognizer, own_networks.converter_for(network, family.name, folders)


def _source(
    network: OwnNetwork, family: Family, session: Session, sources: Sources, folders: Sequence[Path]
) -> npt.NDArray[np.float32]:
    if family.source is Source.PICTURE:
        picture, kps = sources.pictures[0]
        return source_of_picture(family, session, Picture.of(picture), kps)
    recognizer, converter = _helpers(network, family, folders)
    embedding = _embedding(recognizer, sources)
    if converter is not None:
        embedding = _converted(converter, embedding)
    emap = emap_of(network.path) if family.source is Source.MATRIX else None
    return source_of_embedding(family, embedding, emap)


def _embedding(path: Path, sources: Sources) -> Embedding:
    """The mean of all pictures' embeddings, (512,)."""
    session = Session(path, providers.CPU)  # used once, so not worth a faster form
    try:
        recognizer = Recognizer(session)
        found = mean_of([recognizer.embedding(Picture.of(picture), kps) for picture, kps in sources.pictures])
    finally:
        session.close()
    if found.shape != (_LATENT,):
        raise UnsupportedModelError(
            f"{path.name} gives {len(found)} numbers, {_LATENT} were expected. Put an ArcFace network there."
        )
    return found


def _converted(path: Path, embedding: Embedding) -> Embedding:
    session = Session(path, providers.CPU)  # used once, so not worth a faster form
    try:
        found = session.run({session.inputs[0].name: embedding[None].astype(session.inputs[0].dtype)})[0]
    finally:
        session.close()
    converted = np.asarray(found, np.float32).reshape(-1)
    if converted.shape != (_LATENT,) or not np.isfinite(converted).all() or not converted.any():
        raise ModelError(f"{path.name} does not give {_LATENT} numbers. Put another converter there.")
    return converted
