"""Writes the configuration folder of a throw-away OBS: one set of files that OBS 29 to 32 all start from.

OBS 31 and later keep most of these keys in user.ini. They copy them from a global.ini that an older OBS seems
to have written, and stop with a dialog where there is a user.ini already.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]

PROGRAM_SCENE = "Scene"
_FIT_INSIDE = 2  # OBS_BOUNDS_SCALE_INNER
_TOP_LEFT = 5  # OBS_ALIGN_LEFT | OBS_ALIGN_TOP
_OLDER_OBS = 29 << 24  # 29.0.0 as LIBOBS_API_VER packs it; any version below 31 lets global.ini be copied


@dataclass(frozen=True, slots=True)
class Collection:
    """One scene collection with a single scene that shows all its sources, the last one on top."""

    sources: Sequence[Json] = ()
    script: Path | None = None
    more_scripts: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class ObsConfig:
    """What a throw-away OBS is started with."""

    name: str  # of the profile and of the scene collection; tells this OBS from any other
    port: int
    password: str
    collection: Collection
    recordings: Path
    canvas: tuple[int, int] = (640, 360)  # width, height in pixels
    fps: int = 30
    lossless: bool = False  # AVI with UT Video instead of MP4 with H.264
    more_collections: Mapping[str, Collection] = field(default_factory=dict)  # further collections by name


def source(name: str, kind: str, settings: Json, filters: Sequence[Json] = ()) -> Json:
    """A source as a scene collection stores it."""
    return {
        "id": kind,
        "versioned_id": kind,
        "name": name,
        "settings": settings,
        "filters": list(filters),
        "enabled": True,
    }


def source_filter(name: str, kind: str, settings: Json, enabled: bool = True) -> Json:
    """A filter as a scene collection stores it, for `source(filters=...)`."""
    return {"id": kind, "versioned_id": kind, "name": name, "settings": settings, "enabled": enabled}


def media_source(name: str, file: Path, filters: Sequence[Json] = ()) -> Json:
    """A Media Source that loops a video without sound."""
    settings = {"local_file": str(file), "looping": True, "hw_decode": False, "restart_on_activate": False}
    return {**source(name, "ffmpeg_source", settings, filters), "muted": True}


def image_source(name: str, file: Path, filters: Sequence[Json] = ()) -> Json:
    """An Image source."""
    return source(name, "image_source", {"file": str(file)}, filters)


def _item(number: int, name: str, canvas: tuple[int, int]) -> Json:
    # Without "visible" and "scale" OBS reads a hidden item of no size.
    return {
        "name": name,
        "id": number,
        "visible": True,
        "pos": {"x": 0.0, "y": 0.0},
        "scale": {"x": 1.0, "y": 1.0},
        "rot": 0.0,
        "align": _TOP_LEFT,
        "bounds_type": _FIT_INSIDE,
        "bounds_align": 0,
        "bounds": {"x": float(canvas[0]), "y": float(canvas[1])},
    }


def collection_json(name: str, scene: Collection, canvas: tuple[int, int]) -> Json:
    """A scene collection as OBS stores it."""
    items = [_item(number, entry["name"], canvas) for number, entry in enumerate(scene.sources, 1)]
    program = source(PROGRAM_SCENE, "scene", {"id_counter": len(items), "items": items})
    paths = [*([scene.script] if scene.script else []), *scene.more_scripts]
    scripts = [{"path": str(path), "settings": {}} for path in paths]
    return {
        "name": name,
        "current_scene": PROGRAM_SCENE,
        "current_program_scene": PROGRAM_SCENE,
        "scene_order": [{"name": PROGRAM_SCENE}],
        "transitions": [],
        "groups": [],
        "modules": {"scripts-tool": scripts},
        "sources": [*scene.sources, program],
    }


def _ini(sections: Mapping[str, Mapping[str, object]]) -> str:
    lines = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines.extend(f"{key}={_text(value)}" for key, value in values.items())
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _global_ini(config: ObsConfig) -> str:
    return _ini({
        "General": {
            "FirstRun": True,  # it was: no wizard
            "LastVersion": _OLDER_OBS,
            "EnableAutoUpdates": False,
            "ConfirmOnExit": False,
        },
        "Basic": {
            "Profile": config.name,
            "ProfileDir": config.name,
            "SceneCollection": config.name,
            "SceneCollectionFile": config.name,
        },
        "BasicWindow": {"WarnBeforeStartingStream": False, "WarnBeforeStoppingRecord": False},
        # Read by OBS 29.0 to 30.1; later ones read obs-websocket's own file.
        "OBSWebSocket": {
            "FirstLoad": False,
            "ServerEnabled": True,
            "ServerPort": config.port,
            "AuthRequired": True,
            "ServerPassword": config.password,
            "AlertsEnabled": False,
        },
    })  # fmt: skip


def _websocket_json(config: ObsConfig) -> str:
    return json.dumps({
        "first_load": False,
        "server_enabled": True,
        "server_port": config.port,
        "auth_required": True,
        "server_password": config.password,
        "alerts_enabled": False,
    })  # fmt: skip


def _profile_ini(config: ObsConfig) -> str:
    width, height = config.canvas
    return _ini({
        "General": {"Name": config.name},
        "Video": {
            "BaseCX": width,
            "BaseCY": height,
            "OutputCX": width,
            "OutputCY": height,
            "FPSType": 1,  # a whole number
            "FPSInt": config.fps,
        },
        "Output": {"Mode": "Simple"},
        "SimpleOutput": {
            "FilePath": config.recordings,
            "RecFormat": "mp4",
            "RecFormat2": "mp4",  # the key of OBS 30 and later
            "RecQuality": "Lossless" if config.lossless else "Small",
            "RecEncoder": "x264_lowcpu",
        },
    })  # fmt: skip


def write(root: Path, config: ObsConfig) -> None:
    """Writes the files below `root`, which becomes OBS's XDG_CONFIG_HOME."""
    base = root / "obs-studio"
    files = {
        "global.ini": _global_ini(config),
        "plugin_config/obs-websocket/config.json": _websocket_json(config),
        f"basic/profiles/{config.name}/basic.ini": _profile_ini(config),
    }
    for name, scene in {config.name: config.collection, **config.more_collections}.items():
        files[f"basic/scenes/{name}.json"] = json.dumps(collection_json(name, scene, config.canvas), indent=1)
    for name, text in files.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
