"""What the doctor says of the networks that the user brought: what each is for, and whether it loads."""

from collections.abc import Sequence
from pathlib import Path

from obs_faceswap.engine.errors import FaceSwapError
from obs_faceswap.engine.runtime import providers
from obs_faceswap.engine.runtime.onnx_contract import Shape, contract_of
from obs_faceswap.engine.store import models, own_networks
from obs_faceswap.engine.store.own_networks import OwnNetwork, Role
from obs_faceswap.ui.findings import Finding, Findings, Level

_MOST_NAMED = 3  # of a network's outputs


def check_networks() -> Findings:
    """Each network in the user's folders: its kind, what it takes and gives, and whether it loads."""
    own = models.own_folders(None)
    known = own_networks.installed(own)
    for network in known:
        yield _finding(network, own)
    for path in own_networks.useless():
        text = f"{path} is no network that is known here."
        yield Finding(Level.NOTE, text, "See docs/models.md for those that are, or remove it.")


def _finding(network: OwnNetwork, own: Sequence[Path]) -> Finding:
    what = f"Your network {network.name} ({network.role}): {_contract(network.path)}"
    try:
        _load(network, own)
    except FaceSwapError as error:
        return Finding(Level.NOTE, f"{what}; it cannot be used. {error}", f"It is at {network.path}.")
    return Finding(Level.OK, f"{what}; loads")


def _load(network: OwnNetwork, own: Sequence[Path]) -> None:
    """Loads a network, and with it what it needs; raises FaceSwapError where that cannot be used."""
    import numpy as np

    from obs_faceswap.engine.crop.occluders import FaceNetwork
    from obs_faceswap.engine.find.detect import detector_for
    from obs_faceswap.engine.find.landmarkers import landmarker_for
    from obs_faceswap.engine.find.recognize import Recognizer
    from obs_faceswap.engine.finish.enhance import Enhancer
    from obs_faceswap.engine.runtime.session import Session
    from obs_faceswap.engine.swap import through
    from obs_faceswap.engine.swap.animate import Animator

    session = Session(network.path, providers.CPU)
    try:
        match network.role:
            case Role.DETECTOR:
                detector_for(session)
            case Role.LANDMARKER:
                landmarker_for(session)
            case Role.OCCLUDER | Role.PARSER:
                FaceNetwork(session)
            case Role.RECOGNIZER | Role.SMALL_RECOGNIZER:
                Recognizer(session)
            case Role.ENHANCER:
                Enhancer(session)
            case Role.ANIMATOR:
                Animator(session, np.zeros((256, 256, 3), np.uint8))
            case Role.SWAPPER:
                through.check(network, session, own)
            case Role.CONVERTER:
                pass  # its inputs and outputs were read already
    finally:
        session.close()


def _contract(path: Path) -> str:
    contract = contract_of(path)
    if contract is None:
        return f"{path.name} cannot be read"
    given = [_shape(*each) for each in contract.outputs.items()]
    more = [f"and {len(given) - _MOST_NAMED} more"] if len(given) > _MOST_NAMED else []
    taken = ", ".join(_shape(*each) for each in contract.inputs.items())
    return f"takes {taken}, gives {', '.join([*given[:_MOST_NAMED], *more])}"


def _shape(name: str, shape: Shape) -> str:
    return f"{name} ({', '.join('?' if side < 0 else str(side) for side in shape)})"
