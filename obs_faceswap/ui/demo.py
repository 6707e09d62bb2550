"""Shows the filter at work in a real OBS that shares nothing with the user's own."""

import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obs_faceswap.engine.errors import FaceSwapError
from obs_faceswap.ui import materials

if TYPE_CHECKING:  # numpy is not needed to say what is missing, and the other runs on Linux only
    from obs_faceswap.engine.types import ImageBGR
    from obs_faceswap.ui.throwaway_obs import ThrowawayObs

Json = dict[str, Any]
Say = Callable[[str], None]

_FILTER = "obs_faceswap"
_FILTER_NAME = "Face Swap"
_SOURCE = "Demo clip"
_REPORT_VARIABLE = "OBS_FACESWAP_REPORT"

_RECORDED_CANVAS = (640, 360)  # rendered in software on few cores
_SHOWN_CANVAS = (1280, 720)
_FIRST_SWAP_S = 120.0  # loading the networks on a slow, busy machine
_PICTURE_AT = 0.4  # of the clip
_PICTURES_FOR = 0.06
_SLOW_MOTION = 20  # percent
_HOW_TO_ADD = (
    "To wear a face on your own webcam:\n"
    "  1. Run “python3 installer/install.py”, which puts the filter into your own OBS.\n"
    "  2. In OBS, right-click your webcam under Sources, choose Filters, press + and choose Face Swap.\n"
    "  3. Pick a face: “From a file” takes any picture with a face."
)


def show(out: Path, seconds: float = 10.0, headless: bool = False, say: Say = lambda text: None) -> None:
    """Shows OBS with the filter on the demo clip, or records it where there is no display.

    Args:
        out: folder for demo.mp4, before.png, after.png and report.json of a recording.
        seconds: length of the recording.
        headless: records on a virtual display even though there is one.
        say: gets the lines the user should read.

    Raises:
        FaceSwapError: OBS is missing or failed, no frame was swapped, or the results cannot be written.
    """
    if not sys.platform.startswith("linux"):
        say("Only on Linux can OBS run beside your own, so the clip is swapped without it.")
        _swap_only(out, say)
    elif headless or not os.environ.get("DISPLAY"):
        _record(out, seconds, say)
    else:
        _open(say)


def _face() -> Path:
    return materials.packaged("demo/face.jpg")


def _check(seconds: float) -> None:
    if not 1.0 <= seconds <= 3600.0:
        raise FaceSwapError(f"The recording's length is {seconds:g} s. Expected 1 to 3600.")


def _record(out: Path, seconds: float, say: Say) -> None:
    _check(seconds)
    with tempfile.TemporaryDirectory(prefix="obs-faceswap-demo-") as name:
        work = Path(name)
        results = work / "results"
        results.mkdir()
        say("Starting OBS on a virtual display, with a configuration of its own ...")
        facts = _recorded(work, results, seconds, say)
        report = _final_report(work / "report.json", facts)
        (results / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        _move(results, out)
    _say_made(out, report, say)


def _recorded(work: Path, results: Path, seconds: float, say: Say) -> Json:
    """Runs OBS once; makes the pictures and the recording, and returns what OBS said of itself."""
    with _obs(work, headless=True, canvas=_RECORDED_CANVAS) as obs:
        version = obs.version()
        say(f"OBS {version} runs. Waiting for the first swapped frame ...")
        _wait_for_swap(obs, work / "report.json")
        say("Taking pictures before and after ...")
        _take_pictures(obs, results)
        say(f"Recording {seconds:g} s with OBS's own recorder ...")
        obs.start_recording()
        time.sleep(seconds)
        shutil.move(obs.stop_recording(), results / "demo.mp4")
        code = obs.quit()
        leaks = obs.leaks()
    if code != 0:
        raise FaceSwapError(f"OBS ended with exit code {code} instead of 0. Please report this.")
    frames = _count_frames(results / "demo.mp4")
    return {"obs_version": version, "obs_exit_code": code, "obs_leaks": leaks, "recorded_frames": frames}


def _obs(work: Path, headless: bool, canvas: tuple[int, int]) -> "ThrowawayObs":
    from obs_faceswap.ui.obs_config import Collection, media_source, source_filter
    from obs_faceswap.ui.throwaway_obs import ThrowawayObs

    settings = {"face": "", "face_file": str(_face())}
    worn = source_filter(_FILTER_NAME, _FILTER, settings)
    clip = media_source(_SOURCE, materials.packaged("demo/clip.mp4"), [worn])
    script = materials.write_script(work / "script", materials.own_folders())
    environment = {_REPORT_VARIABLE: str(work / "report.json")}
    return ThrowawayObs(Collection([clip], script), headless=headless, canvas=canvas, environment=environment)


def read_report(path: Path) -> Json:
    """The filter's report as far as it is written; empty before its first."""
    try:
        report: Json = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return report


def _swapped(path: Path) -> int:
    return int(read_report(path).get("frames_swapped", 0))


def _wait_for_swap(obs: "ThrowawayObs", report: Path) -> None:
    try:
        obs.wait_for(lambda: _swapped(report) > 0, "the first swapped frame", _FIRST_SWAP_S)
    except FaceSwapError as error:
        status = read_report(report).get("status", "")
        raise FaceSwapError(f"No frame was swapped. {status}\n{error}".strip()) from error


def _take_pictures(obs: "ThrowawayObs", results: Path) -> None:
    """Writes before.png and after.png: one frame of the clip without and with the filter.

    Around the face the filter changes nothing, so of pictures taken around the same time those two with
    the most pixels in common show one frame.
    """
    _set_speed(obs, _SLOW_MOTION)  # a picture takes longer than a frame is shown
    before, after = _taken(obs, swapped=False), _taken(obs, swapped=True)
    _set_speed(obs, 100)
    best = max(itertools.product(before, after), key=lambda pair: _pixels_in_common(*pair))
    for name, image in zip(("before.png", "after.png"), best, strict=True):
        _write_image(results / name, image)


def _taken(obs: "ThrowawayObs", swapped: bool) -> list["ImageBGR"]:
    """Pictures of the clip from the middle of one play."""
    import cv2
    import numpy as np

    _enable(obs, swapped)
    _jump_to(obs, _PICTURE_AT - _PICTURES_FOR)  # so that the engine is in step when the first is taken
    obs.wait_for(lambda: _is_there(obs, _PICTURE_AT), "the clip to play", 30.0)
    files = [obs.screenshot(_SOURCE, "bmp")]
    while not _is_there(obs, _PICTURE_AT + _PICTURES_FOR):
        files.append(obs.screenshot(_SOURCE, "bmp"))
    _enable(obs, True)
    images = (cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR) for file in files)
    return [np.asarray(image, np.uint8) for image in images]


def _pixels_in_common(image: "ImageBGR", other: "ImageBGR") -> int:
    return int((image == other).all(axis=2).sum())


def _enable(obs: "ThrowawayObs", swapped: bool) -> None:
    chosen = {"sourceName": _SOURCE, "filterName": _FILTER_NAME, "filterEnabled": swapped}
    obs.request("SetSourceFilterEnabled", chosen)


def _set_speed(obs: "ThrowawayObs", percent: int) -> None:
    asked = {"inputName": _SOURCE, "inputSettings": {"speed_percent": percent}}
    obs.request("SetInputSettings", asked)
    obs.wait_for(lambda: _is_there(obs, 0.01), "the clip to play", 30.0)


def _jump_to(obs: "ThrowawayObs", part: float) -> None:
    """Goes on playing from a place of the clip."""
    duration = obs.request("GetMediaInputStatus", {"inputName": _SOURCE})["mediaDuration"]
    asked = {"inputName": _SOURCE, "mediaCursor": int(part * duration)}
    obs.request("SetMediaInputCursor", asked)
    obs.wait_for(lambda: not _is_there(obs, _PICTURE_AT), "the clip to jump", 30.0)


def _is_there(obs: "ThrowawayObs", part: float) -> bool:
    """Whether the clip has played so much of itself."""
    status = obs.request("GetMediaInputStatus", {"inputName": _SOURCE})
    cursor, duration = status["mediaCursor"], status["mediaDuration"]
    return bool(duration) and cursor is not None and cursor >= part * duration


def _count_frames(recording: Path) -> int:
    """The number of pictures that can be decoded from a recording; raises FaceSwapError for none."""
    import av  # not needed where OBS is only shown

    try:
        with av.open(str(recording)) as container:
            count = sum(1 for _ in container.decode(video=0))
    except (av.FFmpegError, IndexError) as error:
        raise FaceSwapError(f"OBS's recording cannot be played: {error}.") from error
    if count == 0:
        raise FaceSwapError("OBS's recording holds no picture.")
    return count


def _final_report(path: Path, facts: Json) -> Json:
    """The filter's report with OBS's facts added; raises FaceSwapError when no frame was swapped."""
    report = read_report(path)
    if not report.get("frames_swapped"):
        raise FaceSwapError(f"No frame was swapped. {report.get('status', 'The filter wrote no report.')}")
    return {**report, **facts}


def _move(results: Path, out: Path) -> None:
    """Puts the finished files into the user's folder, all of them at the end."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for file in sorted(results.iterdir()):
            shutil.move(file, out / file.name)
    except OSError as error:
        raise FaceSwapError(
            f"The results cannot be written to {out}: {error}. Choose another --out."
        ) from error


def _say_made(out: Path, report: Json, say: Say) -> None:
    from obs_faceswap.engine.runtime import providers

    what = {
        "demo.mp4": "OBS's own recording of the swapped clip",
        "before.png": "the clip without the filter",
        "after.png": "the same moment with it",
        "report.json": "what ran where, how fast",
    }
    say(f"\nMade in {out.resolve()}:")
    for name, text in what.items():
        say(f"  {name:12} {text}")
    swapped, total = report["frames_swapped"], report["frames_in"]
    say(f"{swapped} of {total} frames were swapped, on {providers.label_of(report['provider'])}.")
    say(_HOW_TO_ADD)


def _open(say: Say) -> None:
    """Shows OBS on the user's display until the user closes it."""
    with tempfile.TemporaryDirectory(prefix="obs-faceswap-demo-") as name:
        work = Path(name)
        say("Starting OBS with a configuration of its own; yours is not touched ...")
        with _obs(work, headless=False, canvas=_SHOWN_CANVAS) as obs:
            _wait_for_swap(obs, work / "report.json")
            say(f"OBS {obs.version()} shows the demo clip with a swapped face. Close its window to end.")
            say("Its filter: right-click “Demo clip” under Sources, then Filters.")
            code = obs.wait()
        _final_report(work / "report.json", {})
    if code != 0:
        raise FaceSwapError(f"OBS ended with exit code {code} instead of 0. Please report this.")
    say(_HOW_TO_ADD)


def _swap_only(out: Path, say: Say) -> None:
    """The demo without OBS: the clip swapped as the command `swap` does, and the same four files."""
    from obs_faceswap.engine.settings import Settings
    from obs_faceswap.ui.swapping import swap_file

    clip = materials.packaged("demo/clip.mp4")
    with tempfile.TemporaryDirectory(prefix="obs-faceswap-demo-") as name:
        results = Path(name)
        stats, engine = swap_file(clip, results / "demo.mp4", Settings(face=str(_face())))
        _write_picture(clip, results / "before.png")
        _write_picture(results / "demo.mp4", results / "after.png")
        (results / "report.json").write_text(json.dumps(stats.report(engine.provider), indent=2) + "\n")
        report = _final_report(results / "report.json", {})
        _move(results, out)
    _say_made(out, report, say)


def _write_picture(video: Path, target: Path) -> None:
    """Saves the picture at the fixed place of a clip."""
    import av
    import numpy as np

    with av.open(str(video)) as container:
        pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    _write_image(target, np.asarray(pictures[int(_PICTURE_AT * len(pictures))], np.uint8))


def _write_image(target: Path, image: "ImageBGR") -> None:
    import cv2

    if not cv2.imwrite(str(target), image):
        raise FaceSwapError(f"{target.name} could not be written. Free some space in {target.parent}.")
