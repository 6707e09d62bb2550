"""The networks that find faces, follow them, and tell people apart, as the settings choose them."""

import logging
from contextlib import ExitStack
from pathlib import Path

from obs_faceswap.engine import finding
from obs_faceswap.engine.errors import ModelMissingError
from obs_faceswap.engine.find.detect import detector_for
from obs_faceswap.engine.find.enroll import NO_RECOGNIZER, Enroller
from obs_faceswap.engine.find.finder import FaceFinder
from obs_faceswap.engine.find.five_points import FivePoints
from obs_faceswap.engine.find.identity import Identities, Roster
from obs_faceswap.engine.find.landmarkers import landmarker_for
from obs_faceswap.engine.find.recognize import Recognizer, fingerprint
from obs_faceswap.engine.runtime.session import Session, shared
from obs_faceswap.engine.settings import Settings, Who, device_of
from obs_faceswap.engine.store import models, own_networks
from obs_faceswap.engine.store.own_networks import Role

logger = logging.getLogger(__name__)

_MESH = "facemesh_468"
_RECOGNIZER = "mobilefacenet_128"


class Networks:
    """The networks that find faces, and the state of finding them in one stream.

    The networks themselves are shared by all streams.

    Attributes:
        finder: finds and follows faces.
        enroller: remembers people.
        provider: the device that the network runs on which every frame needs.
        stages: the device of each, by what it does.
        notice: why one is not the device that was asked for, or what is missing; or empty.
    """

    def __init__(self, settings: Settings, models_from: Path | None = None) -> None:
        """Loads them, where no other stream has; raises ModelError or ProviderError."""
        with ExitStack() as loaded:
            found = _loaded(loaded, detector_path(settings, models_from), device_of(settings, "detector"))
            points = landmarker_path(settings, models_from)
            followed = _loaded(loaded, points, device_of(settings, "landmarks")) if points else found
            path = recognizer_path(settings, models_from)
            judge = _loaded(loaded, path, device_of(settings, "recognizer")) if path is not None else None
            recognizer = Recognizer(judge) if judge is not None else None
            label = fingerprint(path) if path is not None else ""
            detector = detector_for(found, int(settings.detection_size))
            mesh = landmarker_for(followed) if points else FivePoints(detector)
            self.finder = FaceFinder(detector, mesh, Identities(recognizer, Roster(label)))
            self.enroller = Enroller(recognizer, label)
            self._sessions = loaded.pop_all()
        self.provider = followed.provider
        self.stages = {"faces found": found.provider, "faces followed": followed.provider}
        if judge is not None:
            self.stages["people told apart"] = judge.provider
        told = [session.notice for session in (found, followed, judge) if session is not None]
        if path is None and settings.who is Who.KNOWN:
            told.append(NO_RECOGNIZER)
        self.notice = " ".join(dict.fromkeys(filter(None, told)))

    def close(self) -> None:
        """Frees the networks that no other stream uses; may be called twice."""
        self._sessions.close()


def _loaded(loaded: ExitStack, path: Path, device: str) -> Session:
    session = shared(path, device)
    loaded.callback(session.close)
    return session


def detector_path(settings: Settings, models_from: Path | None) -> Path:
    """The file of the network that finds faces; raises ModelError."""
    if settings.detector:
        own = models.own_folders(models_from)
        return own_networks.find(settings.detector, own, own_networks.DETECTORS).path
    return models.find_detector(models_from)


def landmarker_path(settings: Settings, models_from: Path | None) -> Path | None:
    """The file of the network that follows faces, or None for the one that finds them; raises ModelError."""
    if settings.landmarker == finding.FIVE_POINTS:
        return None
    if settings.landmarker:
        own = models.own_folders(models_from)
        return own_networks.find(settings.landmarker, own, own_networks.LANDMARKERS).path
    return models.find(_MESH, models_from)


def recognizer_path(settings: Settings, models_from: Path | None) -> Path | None:
    """The file of the network that tells people apart, or None; raises ModelError.

    By itself a small one is taken: a large one would hold up frames on a CPU, so it takes names to need it.
    """
    if settings.recognizer == finding.NO_RECOGNIZER:
        return None
    own = models.own_folders(models_from)
    if settings.recognizer:
        return own_networks.find(settings.recognizer, own, own_networks.RECOGNIZERS).path
    roles = own_networks.RECOGNIZERS if settings.who is Who.KNOWN else (Role.SMALL_RECOGNIZER,)
    try:
        return models.find(_RECOGNIZER, models_from)
    except ModelMissingError:
        known = [network for network in own_networks.installed(own) if network.role in roles]
        known.sort(key=lambda network: roles.index(network.role))
        return known[0].path if known else None
