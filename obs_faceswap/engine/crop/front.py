"""Loading the networks that tell what lies before a face."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from obs_faceswap.engine.crop.occluders import FaceNetwork, HandsBefore
from obs_faceswap.engine.crop.occlusion import Occluder, Visible
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.errors import ModelMissingError
from obs_faceswap.engine.runtime.session import Session, shared
from obs_faceswap.engine.settings import Occlusion, Settings, device_of
from obs_faceswap.engine.store import models, own_networks
from obs_faceswap.engine.types import Face, Points

logger = logging.getLogger(__name__)

_HANDS = "palm_192", "hand_224"
_OLDEST_NS = 100_000_000  # what was said of a face counts no longer
_NONE_CHOSEN = "Choose the network that says what is in front of your face."


class Front:
    """The occluder of one stream, if it has one.

    Attributes:
        notice: what the user should know, or empty.
    """

    def __init__(
        self, occluder: Occluder | None = None, sessions: Sequence[Session] = (), notice: str = ""
    ) -> None:
        """Takes an occluder and the networks that it runs; they may be shared with other streams."""
        self._occluder, self._sessions, self.notice = occluder, sessions, notice
        self._said: dict[int, tuple[Points, Visible | None]] = {}  # by track: of a face that lay there
        self._said_ns, self._passed = 0, 0  # when, and frames since

    @property
    def stages(self) -> dict[str, str]:
        """The device that the networks run on, by what they do."""
        return {"what is in front": self._sessions[0].provider} if self._sessions else {}

    def visible(
        self, picture: Picture, faces: Sequence[Face], timestamp_ns: int, settings: Settings, every: int = 1
    ) -> dict[int, Visible]:
        """Where each face is seen before which something may lie, by its track.

        Args:
            picture: shows the faces.
            faces: they.
            timestamp_ns: the picture's time.
            settings: for the occluder.
            every: of so many frames one is looked at; in between counts what was said before.

        Raises:
            FaceError: a face has no size.
            ModelError: a network gave no numbers.
        """
        if self._occluder is None or not faces:
            return {}
        if self._is_due(faces, timestamp_ns, every):
            self._said, self._said_ns, self._passed = {}, timestamp_ns, 0
            seen = self._occluder.visible(picture, faces, timestamp_ns, settings)
            self._said = {face.track_id: (face.landmarks, one) for face, one in zip(faces, seen, strict=True)}
        now = {face.track_id: self._seen(self._occluder, face) for face in faces}
        return {track: visible for track, visible in now.items() if visible is not None}

    def _is_due(self, faces: Sequence[Face], timestamp_ns: int, every: int) -> bool:
        self._passed += 1
        is_young = 0 <= timestamp_ns - self._said_ns < _OLDEST_NS
        are_known = all(face.track_id in self._said for face in faces)
        return self._passed >= every or not is_young or not are_known

    def _seen(self, occluder: Occluder, face: Face) -> Visible | None:
        landmarks, visible = self._said[face.track_id]
        if visible is None or landmarks is face.landmarks or not occluder.moves_with_face:
            return visible
        return visible.moved(landmarks, face.landmarks)

    def close(self) -> None:
        """Frees the networks that no other stream uses; may be called twice."""
        for session in self._sessions:
            session.close()


def load(settings: Settings, models_from: Path | None = None) -> Front:
    """Loads the networks that the settings ask for, where no other stream has.

    Raises:
        ModelError: a network cannot be used, or one that was asked for is missing.
        ProviderError: it cannot be used on the device that was asked for.
    """
    files = paths(settings, models_from)
    if not files:
        return Front(notice=_NONE_CHOSEN if settings.occlusion is Occlusion.NETWORK else "")
    device = device_of(settings, "occlusion")
    with ExitStack() as loaded:
        sessions = []
        for path in files:
            sessions.append(shared(path, device))
            loaded.callback(sessions[-1].close)
        notice = " ".join(dict.fromkeys(filter(None, (session.notice for session in sessions))))
        front = Front(_occluder(sessions), sessions, notice)
        loaded.pop_all()
    return front


def paths(settings: Settings, models_from: Path | None) -> list[Path]:
    """The files of the networks that the settings ask for; raises ModelError."""
    match settings.occlusion:
        case Occlusion.OFF:
            return []
        case Occlusion.HANDS:
            return [models.find(name, models_from) for name in _HANDS]
        case Occlusion.AUTO:
            try:
                return [models.find(name, models_from) for name in _HANDS]
            except ModelMissingError as error:
                logger.info("Hands before the face are painted over. %s", error)
                return []
        case Occlusion.NETWORK:
            name, own = settings.occlusion_network, models.own_folders(models_from)
            return [own_networks.find(name, own, own_networks.OCCLUDERS).path] if name else []


def _occluder(sessions: list[Session]) -> Occluder:
    return HandsBefore(*sessions) if len(sessions) == len(_HANDS) else FaceNetwork(sessions[0])
