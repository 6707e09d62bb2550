"""What the OBS tests share: looking at pictures, pressing OBS's buttons, and a slow network."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import Colorspace
from onnx import helper
from tiny_networks import model

from obs_faceswap.engine import folders
from obs_faceswap.ui.obs_config import source_filter
from obs_faceswap.ui.obs_websocket import ObsError, ObsRequestError
from obs_faceswap.ui.virtual_display import window_titles

OTHER = "without the filter"
SWITCHES = 10
FILTER = "obs_faceswap"
NAME = "Face Swap"
NOTHING_TO_RENDER = 702  # obs-websocket RequestStatus::ScreenshotRenderFailed
TRACKING_JITTER = 12  # levels; on a still picture the landmarks still move by fractions of a pixel
RETRY_S = 15.0  # longer than the script may take to stop in mid-inference
RAW_LEVELS = 5.0  # conversions to 4:2:0 and back cost 2.5 levels of the demo face, the cover changes it by 13
COVER_COLUMNS = 32  # the cover is the picture reduced to at most so many columns

# Buttons of the Scripts window: how often Tab leads there from the list of scripts. Their places differ.
_REMOVE = 2
_RELOAD = 3
_LIST = (60, 62)  # the first script, in pixels from the window's upper left corner
_TOOLS_ITEMS = (3, 2, 4, 5, 1)  # where “Scripts” may be in the menu, likeliest first


def face_swap(settings, enabled=True, name=NAME):
    """The filter as a scene collection stores it."""
    return source_filter(name, FILTER, settings, enabled)


def bgr(png):
    """A PNG's content as (H, W, 3)."""
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def picture(obs, name):
    """What a source looks like now, after its filters; waits for one that has nothing to show yet."""
    taken = []

    def take():
        try:
            taken.append(obs.screenshot(name))
        except ObsRequestError as error:
            if error.code != NOTHING_TO_RENDER:
                raise
        return bool(taken)

    obs.wait_for(take, f"a picture of “{name}”", 30.0)
    return bgr(taken[0])


def write_clip(path, images, fps=30):
    """A lossless video (H, W, 3 BGR in; 4:2:0 in the file, BT.709 as OBS takes for granted)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"qp": "0", "preset": "ultrafast"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)))
        container.mux(stream.encode())
    return path


def slow_dfm(layers=50, size=128, channels=64):
    """A .dfm that needs about half a second: the face's negative, plus convolutions that give but zeros."""
    weights = {
        "first": np.zeros((channels, 3, 1, 1), np.float32),
        "layer": np.zeros((channels, channels, 3, 3), np.float32),
        "last": np.zeros((3, channels, 1, 1), np.float32),
        "one": np.float32(1),
    }
    nodes = [
        helper.make_node("Transpose", ["in_face:0"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "first"], ["x0"]),
    ]
    for n in range(layers):
        nodes.append(helper.make_node("Conv", [f"x{n}", "layer"], [f"x{n + 1}"], pads=[1, 1, 1, 1]))
    nodes += [
        helper.make_node("Conv", [f"x{layers}", "last"], ["zeros"]),
        helper.make_node("Transpose", ["zeros"], ["nothing"], perm=[0, 2, 3, 1]),
        helper.make_node("Sub", ["one", "in_face:0"], ["negative"]),
        helper.make_node("Add", ["negative", "nothing"], ["out_celeb_face:0"]),
        helper.make_node("ReduceMean", ["nothing"], ["no_mask"], axes=[3], keepdims=1),
        helper.make_node("Add", ["no_mask", "one"], ["out_face_mask:0"]),
        helper.make_node("Add", ["no_mask", "one"], ["out_celeb_face_mask:0"]),
    ]
    mask = (1, size, size, 1)
    face = (1, size, size, 3)
    outputs = {"out_face_mask:0": mask, "out_celeb_face:0": face, "out_celeb_face_mask:0": mask}
    return model(nodes, {"in_face:0": face}, outputs, weights)


def lend_networks(home):
    """Lets a home of the project that is otherwise empty use the user's networks."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "cache").symlink_to(folders.cache_dir())


def read_clip(path):
    """The pictures (H, W, 3 BGR) of a recording of OBS, which is BT.709."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.reformat(format="bgr24", src_colorspace=Colorspace.ITU709).to_ndarray()


class Report:
    """The filter's report.json, written by OBS while it runs."""

    def __init__(self, path):
        self.path = path

    def read(self):
        """Its content; empty before the first one."""
        try:
            return json.loads(self.path.read_text())
        except (FileNotFoundError, ValueError):
            return {}

    def count(self, key):
        return int(self.read().get(key) or 0)

    @property
    def environment(self):
        return {"OBS_FACESWAP_REPORT": str(self.path)}


def wait_for_swaps(obs, report, more=3, timeout_s=90.0):
    """Returns once the filter has shown some more swapped frames."""
    start = report.count("frames_swapped")
    enough = start + more
    obs.wait_for(lambda: report.count("frames_swapped") >= enough, f"{enough} swapped frames", timeout_s)


def largest_change(image, other):
    """The largest difference of any sample, in levels."""
    return int(np.abs(image.astype(int) - other).max())


def settled(obs, name, accept=lambda image: True, timeout_s=30.0):
    """The picture of a source once it is accepted and changes no more than TRACKING_JITTER."""
    before, deadline = picture(obs, name), time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        time.sleep(0.3)
        now = picture(obs, name)
        if largest_change(now, before) <= TRACKING_JITTER and accept(now):
            return now
        before = now
    raise AssertionError(f"The picture of “{name}” did not come to rest as expected.\n{obs.tail(30)}")


def set_filter(obs, name, settings, overlay=True):
    """Changes the filter's settings as OBS's panel does."""
    data = {"sourceName": name, "filterName": NAME, "filterSettings": settings, "overlay": overlay}
    obs.request("SetSourceFilterSettings", data)


def enable_filter(obs, name, enabled):
    obs.request("SetSourceFilterEnabled", {"sourceName": name, "filterName": NAME, "filterEnabled": enabled})


def switch_collections(obs, back=lambda: None):
    """Switches to OTHER and back, SWITCHES times in all; calls `back` each time it is back."""
    for number in range(SWITCHES):
        away = number % 2 == 0
        obs.request("SetCurrentSceneCollection", {"sceneCollectionName": OTHER if away else obs.name})
        if not away:
            back()


def filters(obs, name):
    """(name, kind) of the filters on a source."""
    listed = obs.request("GetSourceFilterList", {"sourceName": name})["filters"]
    return [(entry["filterName"], entry["filterKind"]) for entry in listed]


def is_raw(image, original, box):
    """Whether a picture shows the original inside a box (x0, y0, x1, y1): levels differ by little only."""
    x0, y0, x1, y1 = box
    difference = np.abs(image[y0:y1, x0:x1].astype(int) - original[y0:y1, x0:x1])
    return difference.mean() < RAW_LEVELS


def detail(image):
    """How much a picture has beyond what COVER_COLUMNS columns can hold, in levels."""
    height, width = image.shape[:2]
    rows = max(1, round(COVER_COLUMNS * height / width))
    small = cv2.resize(image, (COVER_COLUMNS, rows), interpolation=cv2.INTER_AREA)
    return float(np.abs(cv2.resize(small, (width, height)).astype(float) - image).mean())


# --- OBS's windows ---


def _xdotool(obs, *arguments):
    environment = {**os.environ, "DISPLAY": obs.display}
    done = subprocess.run(
        ["xdotool", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout.split()


def window(obs, title):
    """The id of the window with that title (a regular expression); None without one."""
    found = _xdotool(obs, "search", "--name", title)
    return found[-1] if found else None


def open_scripts(obs):
    """Opens Tools > Scripts with the first script chosen."""
    main = window(obs, re.escape(obs.name))
    for position in _TOOLS_ITEMS:
        _xdotool(obs, "windowfocus", main)
        _xdotool(obs, "key", "alt+t")
        time.sleep(0.5)
        _xdotool(obs, "key", *["Down"] * position, "Return")
        time.sleep(1.0)
        if window(obs, "^Scripts$"):
            return
        _xdotool(obs, "key", "Escape")
    raise ObsError(f"The Scripts window did not open; there are {window_titles(obs.display)}.")


def _press(obs, button):
    """Presses a button of the open Scripts window with the first script chosen."""
    scripts = window(obs, "^Scripts$")
    _xdotool(obs, "windowfocus", scripts)
    _xdotool(obs, "mousemove", "--window", scripts, *map(str, _LIST), "click", "1")
    _xdotool(obs, "key", *["Tab"] * button, "space")


def _unloads(obs):
    return obs.log().count("Unloaded python script")


def _press_and_wait(obs, button):
    """Presses a button, again if need be, until the script is unloaded; now and then Qt misses a press."""
    before = _unloads(obs)
    presses = 0

    def done():
        nonlocal presses
        if presses <= (time.monotonic() - start) / RETRY_S:
            presses += 1
            _press(obs, button)
        return _unloads(obs) > before

    start = time.monotonic()
    obs.wait_for(done, "the script's end", 3 * RETRY_S)


def reload_script(obs):
    """Presses Reload in the open Scripts window; returns once the script was unloaded."""
    _press_and_wait(obs, _RELOAD)


def remove_script(obs):
    """Presses Remove in the open Scripts window; returns once the script was unloaded."""
    _press_and_wait(obs, _REMOVE)


def photograph(obs, path):
    """Saves what is on OBS's display."""
    environment = {**os.environ, "DISPLAY": obs.display}
    subprocess.run(["import", "-window", "root", str(path)], env=environment, check=True)
    return Path(path)
