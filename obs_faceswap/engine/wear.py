"""Loading the face that is worn."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine import faces
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.crop.templates import Template
from obs_faceswap.engine.errors import MediaError, ModelMissingError
from obs_faceswap.engine.faces import FaceKind, InstalledFace
from obs_faceswap.engine.find.detect import detector_for
from obs_faceswap.engine.find.eyes import Eyes
from obs_faceswap.engine.find.finder import FaceFinder, Found
from obs_faceswap.engine.find.landmarks import FaceMesh
from obs_faceswap.engine.finish.enhance import Enhanced, Enhancer
from obs_faceswap.engine.pictures import read_picture
from obs_faceswap.engine.runtime import providers
from obs_faceswap.engine.runtime.session import Session, shared
from obs_faceswap.engine.settings import Settings, device_of
from obs_faceswap.engine.store import models, own_networks
from obs_faceswap.engine.swap import through
from obs_faceswap.engine.swap.dfm import DfmSwapper
from obs_faceswap.engine.swap.photo import PhotoSwapper
from obs_faceswap.engine.swap.photo_find import FindLandmarks
from obs_faceswap.engine.types import ImageBGR, Points, Swapper

logger = logging.getLogger(__name__)

_MESH, _EYES = "facemesh_468", "iris_64"
_SMALLER = 0.95  # of a still's sides, for a second look
_MOST_PICTURES = 24  # of one person; more add seconds to loading and hardly a new view


def _sessions(devices: tuple[str, str], models_from: Path | None) -> tuple[Session, Session]:
    """Detector and mesh, each on its device."""
    paths = models.find_detector(models_from), models.find(_MESH, models_from)
    detector = shared(paths[0], devices[0])
    try:
        return detector, shared(paths[1], devices[1])
    except Exception:
        detector.close()
        raise


@dataclass(slots=True)
class Worn:
    """A loaded face.

    Attributes:
        swapper: puts it on.
        kind: what it was made from.
        session: its network; none for a photo that is painted.
        complaints: what could not be used of the face.
        enhancer: the network that makes it finer; none without one.
        eyes: the network that a photo's painter looks at the live eyes with; none without one.
    """

    swapper: Swapper
    kind: FaceKind
    session: Session | None = None
    complaints: str = ""
    enhancer: Session | None = None
    eyes: Session | None = None

    @property
    def notice(self) -> str:
        """What the user should know: pictures that could not be used, or another device than asked for."""
        told = [session.notice for session in (self.session, self.enhancer) if session is not None]
        return " ".join(dict.fromkeys(filter(None, (*told, self.complaints))))

    def another(self) -> Swapper:
        """A swapper for one more person who wears this face."""
        make: Callable[[], Swapper] | None = getattr(self.swapper, "another", None)
        return make() if make is not None else self.swapper

    @property
    def template(self) -> Template | None:
        """Where the swapper wants the face in its crop; None for the crop of trained models."""
        return getattr(self.swapper, "template", None)

    @property
    def fills_frame(self) -> bool:
        """Whether what the swapper gives takes the place of the whole frame."""
        return bool(getattr(self.swapper, "fills_frame", False))

    @property
    def to_improve(self) -> Path | None:
        """The file of which a faster form may be made; loading the face again takes that over."""
        return self.session.to_improve if self.session is not None else None

    @property
    def has_morph(self) -> bool:
        """Whether the Morph setting acts on it."""
        return bool(getattr(self.swapper, "has_morph", False))

    def close(self) -> None:
        """Frees the networks, if there are any."""
        for session in (self.session, self.enhancer, self.eyes):
            if session is not None:
                session.close()


def wear(settings: Settings, models_from: Path | None = None, at_once: bool = False) -> Worn:
    """Loads the face that the settings choose.

    Args:
        settings: the face, its network, the enhancer and the device are used.
        models_from: a folder of network files, tried first.
        at_once: whether a network of which a faster form has to be made first is worn as it is, see
            `Worn.to_improve`.

    Raises:
        FaceError: the face cannot be used.
        ModelError: a network is missing or cannot be used.
        ProviderError: the device is not available or does not work.
    """
    face = faces.find(settings.face or settings.face_file)
    if face.kind is FaceKind.DFM:
        worn = _wear_model(face, settings, at_once)
    else:
        worn = _wear_photo(face, settings, models_from, at_once)
    try:
        _add_enhancer(worn, settings, models_from)
    except Exception:
        worn.close()
        raise
    return worn


def _add_enhancer(worn: Worn, settings: Settings, models_from: Path | None) -> None:
    """Has the chosen network make a face finer, if one is chosen."""
    if not settings.enhancer:
        return
    if worn.fills_frame:
        worn.complaints = f"{worn.complaints} Animated pictures are not enhanced.".strip()
        return
    own = models.own_folders(models_from)
    network = own_networks.find(settings.enhancer, own, own_networks.ENHANCERS)
    worn.enhancer = shared(network.path, device_of(settings, "enhancer"), keep=True)
    worn.swapper = Enhanced(worn.swapper, Enhancer(worn.enhancer))


def _wear_model(face: InstalledFace, settings: Settings, at_once: bool) -> Worn:
    session = shared(face.path, settings.device, keep=True, at_once=at_once)
    try:
        return Worn(DfmSwapper(session), face.kind, session)
    except Exception:
        session.close()
        raise


def _wear_photo(face: InstalledFace, settings: Settings, models_from: Path | None, at_once: bool) -> Worn:
    own = models.own_folders(models_from)
    network = own_networks.find(settings.network, own) if settings.network else None
    files, pictures = _readable(face)
    names = [file.name for file in files]
    # On the CPU: a graphics card may be busy with streams, and pictures have time.
    sessions = _sessions((providers.CPU, providers.CPU), models_from)
    try:
        find = _finding(sessions)
        if network is None:
            painter = partial(PhotoSwapper, pictures, find, settings, names)
            return _painted(painter, face.kind, models_from)
        sources = through.sources_of(pictures, names, find)
    finally:
        for session in sessions:
            session.close()
    swapper, session = through.load(network, sources, settings, own, at_once)
    return Worn(swapper, face.kind, session, sources.notice)


def _painted(paint: Callable[[Eyes | None], PhotoSwapper], kind: FaceKind, models_from: Path | None) -> Worn:
    """A photo face that needs no network of its own, and looks at the live eyes where it can."""
    session = _eyes(models_from)
    try:
        painter = paint(Eyes(session) if session is not None else None)
    except Exception:
        if session is not None:
            session.close()
        raise
    return Worn(painter, kind, complaints=painter.notice, eyes=session)


def _eyes(models_from: Path | None) -> Session | None:
    try:
        return shared(models.find(_EYES, models_from), providers.CPU)  # where the painter is, too
    except ModelMissingError as error:
        logger.info("Eyes close as the mesh sees them, roughly. %s", error)
        return None


def _readable(face: InstalledFace) -> tuple[list[Path], list[ImageBGR]]:
    """The pictures of a face, at most `_MOST_PICTURES`, spread over all; raises MediaError if none is one."""
    files = face.pictures()
    files = files[:: -(-len(files) // _MOST_PICTURES) or 1]
    read, pictures, error = [], [], None
    for file in files:
        try:
            pictures.append(read_picture(file))
            read.append(file)
        except MediaError as found:
            logger.warning("%s", found)
            error = error or found
    if error is not None and not pictures:
        raise error
    return read, pictures


def _finding(sessions: tuple[Session, Session]) -> FindLandmarks:
    """Finds all faces of a still with the given networks."""
    detector, mesh = detector_for(sessions[0]), FaceMesh(sessions[1])

    def look(picture: ImageBGR) -> Found:
        return FaceFinder(detector, mesh).find(Picture.of(picture), 0, Settings(smoothing=0))

    def find(picture: ImageBGR) -> list[tuple[Points, npt.NDArray[np.float32], float]]:
        found = look(picture)
        # What is no target is a doubtful face: an animal's, a puppet's. One may pass a single look by chance.
        if found.target is None or look(_smaller(picture)).target is None:
            return []
        return [(face.landmarks, face.depth, face.presence) for face in (found.target, *found.others)]

    return find


def _smaller(picture: ImageBGR) -> ImageBGR:
    small = cv2.resize(picture, None, fx=_SMALLER, fy=_SMALLER, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)
