"""The invented people: what makes each of them look like somebody else."""

from __future__ import annotations

from dataclasses import dataclass, field

Rgb = tuple[float, float, float]  # sRGB, 0..1


@dataclass(frozen=True, slots=True)
class Person:
    """One invented person.

    Attributes:
        seed, strength, tweaks: the identity weights (see `head.person`).
        skin, lips: base colors.
        redness, freckles, stubble, liner, blush, shadow: amounts, 0..1.
        brow_thickness: 1 is average; brow_lift: how far the brow's peak is raised, cm.
        hair: "short", "pulled_back" or "cap"; hair_melanin and hair_redness as in Cycles' hair shader.
        top, top_style: color of what is worn, "sweater" or "blouse".
    """

    name: str
    seed: int
    strength: float = 0.9
    tweaks: dict[int, float] = field(default_factory=dict)
    skin: Rgb = (0.80, 0.60, 0.50)
    lips: Rgb = (0.70, 0.42, 0.38)
    lip_gloss: float = 0.2
    iris: Rgb = (0.30, 0.18, 0.09)
    redness: float = 0.5
    freckles: float = 0.0
    stubble: float = 0.0
    liner: float = 0.0
    blush: float = 0.0
    shadow: float = 0.0
    brow_thickness: float = 1.0
    brow_lift: float = 0.0
    brow_melanin: float = 0.85
    lash_length: float = 1.0
    hair: str = "short"
    hair_melanin: float = 0.85
    hair_redness: float = 0.6
    top: Rgb = (0.10, 0.16, 0.20)
    earrings: bool = False


PEOPLE: dict[str, Person] = {
    person.name: person
    for person in (
        Person(
            name="live",
            seed=10,
            skin=(0.80, 0.60, 0.50),
            lips=(0.70, 0.44, 0.40),
            iris=(0.27, 0.16, 0.08),
            redness=0.45,
            stubble=0.45,
            brow_thickness=1.15,
            hair_melanin=0.82,
            hair_redness=0.45,
            top=(0.09, 0.24, 0.27),
        ),
        Person(
            name="face",
            seed=6,
            strength=0.8,
            skin=(0.69, 0.49, 0.385),
            lips=(0.60, 0.24, 0.24),
            lip_gloss=0.55,
            iris=(0.24, 0.33, 0.20),
            redness=0.3,
            freckles=0.6,
            liner=0.75,
            blush=0.2,
            shadow=0.45,
            brow_thickness=0.85,
            brow_lift=0.3,
            brow_melanin=0.95,
            lash_length=1.5,
            hair="pulled_back",
            hair_melanin=0.9,
            hair_redness=0.5,
            top=(0.80, 0.50, 0.20),
            earrings=True,
        ),
    )
}
