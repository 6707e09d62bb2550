"""Remembering somebody from the live picture."""

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.crop.templates import five_points
from obs_faceswap.engine.errors import FaceSwapError, PeopleError
from obs_faceswap.engine.find import people
from obs_faceswap.engine.find.identity import Recognition, is_turned
from obs_faceswap.engine.types import Face

NO_RECOGNIZER = (
    "No recognition network is installed, so faces are told apart by where they are. See docs/people.md."
)
_NEWS_NS = 8_000_000_000  # long enough to be read


class Enroller:
    """Enrolls the face that is swapped, when it is asked to.

    Attributes:
        label: how the recognition network calls itself.
    """

    def __init__(self, network: Recognition | None = None, label: str = "") -> None:
        """Takes the recognition network, if there is one, and how it calls itself."""
        self._network, self.label = network, label
        self._is_asked = False
        self._news, self._news_ns = "", 0

    def ask(self) -> None:
        """Has the next face enrolled; from any thread."""
        self._is_asked = True

    def step(self, picture: Picture, face: Face | None, name: str, timestamp_ns: int) -> None:
        """Does what was asked for, in a frame.

        Args:
            picture: the frame, as it came.
            face: who is swapped in it.
            name: what to call them; empty: the next free name.
            timestamp_ns: the frame's time.
        """
        if not self._is_asked:
            return
        self._is_asked = False
        try:
            self._news = self._enroll(picture, face, name)
        except FaceSwapError as error:
            self._news = str(error)
        self._news_ns = timestamp_ns

    def news(self, timestamp_ns: int) -> str:
        """What came of it, for some seconds."""
        return self._news if 0 <= timestamp_ns - self._news_ns < _NEWS_NS else ""

    def numbers_of(self, picture: Picture, face: Face) -> list[float]:
        """What the recognition network says of a face; raises PeopleError or ModelError."""
        if self._network is None:
            raise PeopleError(NO_RECOGNIZER)
        if is_turned(face.landmarks):
            raise PeopleError("That face is turned too far away to be enrolled. Take a view from the front.")
        return [float(number) for number in self._network.embedding(picture, five_points(face.landmarks))]

    def _enroll(self, picture: Picture, face: Face | None, name: str) -> str:
        if face is None:
            return "Nobody is swapped now, so nobody was enrolled. Look at the camera and try again."
        numbers = self.numbers_of(picture, face)
        person = people.enroll(name.strip() or people.free_name(), self.label, numbers)
        looks = f", by {person.looks} looks" if person.looks > 1 else ""
        return f"Enrolled “{person.name}”{looks}. Press Refresh to see the name in the lists."
