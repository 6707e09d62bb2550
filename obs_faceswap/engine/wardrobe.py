"""The faces that one stream wears, and a swapper for each person in its picture."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import Face, Swapper
from obs_faceswap.engine.wear import Worn


class Wardrobe:
    """One loaded face, or several that are told apart by `Face.slot`.

    `update` and `swappers` belong to the thread that swaps.
    """

    def __init__(self, worn: Worn, more: Mapping[int, Worn] | None = None) -> None:
        """Takes loaded faces: that of slot 0, and those of others. Slots may share one."""
        self._slots = {0: worn} | dict(more or {})
        self._people: dict[int, list[tuple[int, Swapper]]] = {}  # of each slot: track and swapper
        self._knows: Settings | None = None  # the settings that the swappers took over last

    def of(self, face: Face) -> Worn:
        """What a person wears."""
        return self._slots.get(face.slot, self._slots[0])

    @property
    def fills_frame(self) -> bool:
        """Whether a swap takes the place of the whole frame; then there is one person."""
        return self._slots[0].fills_frame

    def wearing(self, faces: Sequence[Face]) -> Sequence[Face]:
        """Those of the faces to swap that are swapped."""
        return faces[:1] if self.fills_frame else faces

    def update(self, settings: Settings) -> None:
        """Has all swappers take over the settings."""
        if settings is self._knows:
            return
        self._knows = settings
        for swapper in self._swappers():
            swapper.update(settings)

    def _swappers(self) -> list[Swapper]:
        made = [swapper for people in self._people.values() for _, swapper in people]
        everyone = {id(swapper): swapper for swapper in (*(worn.swapper for worn in self._all()), *made)}
        return list(everyone.values())

    def swappers(self, faces: Sequence[Face]) -> list[Swapper]:
        """A swapper for each person of one frame, the one that the person had before.

        What a swapper learns of a person it learns of one: where several wear a face, each has its own.
        """
        present = {face.track_id for face in faces}
        return [self._swapper(face, present) for face in faces]

    def _swapper(self, face: Face, present: set[int]) -> Swapper:
        worn = self.of(face)
        slot = next(number for number, other in self._slots.items() if other is worn)
        people = self._people.setdefault(slot, [(face.track_id, worn.swapper)])
        for track_id, swapper in people:
            if track_id == face.track_id:
                return swapper
        for index, (track_id, swapper) in enumerate(people):
            if track_id not in present:
                people[index] = face.track_id, swapper
                return swapper
        swapper = worn.another()
        if self._knows is not None:
            swapper.update(self._knows)
        people.append((face.track_id, swapper))
        return swapper

    def take_neutral(self) -> None:
        """Has an animated picture take the next live face as the one that looks like it; from any thread."""
        for worn in self._all():
            reset: Callable[[], None] | None = getattr(worn.swapper, "reset", None)
            if reset is not None:
                reset()

    @property
    def provider(self) -> str:
        """The device of the first network that a face is worn through; empty if there is none."""
        sessions = (worn.session for worn in self._all())
        return next((session.provider for session in sessions if session is not None), "")

    @property
    def stages(self) -> dict[str, str]:
        """The device of the network that makes faces finer, where there is one."""
        enhancers = [worn.enhancer for worn in self._all() if worn.enhancer is not None]
        return {"faces made finer": enhancers[0].provider} if enhancers else {}

    @property
    def notice(self) -> str:
        """What the user should know of the faces."""
        return " ".join(dict.fromkeys(filter(None, (worn.notice for worn in self._all()))))

    @property
    def has_morph(self) -> bool:
        """Whether the Morph setting acts on one of them."""
        return any(worn.has_morph for worn in self._all())

    @property
    def to_improve(self) -> Path | None:
        """A network of which a faster form may be made beside."""
        return next((worn.to_improve for worn in self._all() if worn.to_improve is not None), None)

    def close(self) -> None:
        """Frees their networks."""
        for worn in self._all():
            worn.close()

    def _all(self) -> list[Worn]:
        return list({id(worn): worn for worn in self._slots.values()}.values())
