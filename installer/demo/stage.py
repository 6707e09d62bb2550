"""Builds the Blender scene: head, hair, clothes, light, camera; and moves them from frame to frame.

Blender's axes are x right, y away from the camera, z up; head coordinates (x, y, z) become (x, -z, y).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import bpy
import head as heads
import materials
import numpy as np
import numpy.typing as npt
from clothes import collar_height, sweater
from hair import Brows, Strands, brows, scalp
from head import HeadModel, Points
from mathutils import Matrix, Vector
from motion import Pose
from people import Person

_AXES = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
_HEAD_PARTS = ("M_Face", "M_BackHead", "M_GumsTongue", "M_Teeth", "M_LacrimalFluid", "M_EyeLashes")
_TILES = {"M_BackHead": 1.0, "M_GumsTongue": 2.0, "M_Teeth": 3.0, "M_LacrimalFluid": 4.0, "M_EyeLashes": 6.0}


def to_blender(points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Head coordinates (..., 3) in Blender's axes."""
    return np.asarray(points, np.float64) @ _AXES.T


def to_matrix(matrix: npt.NDArray[np.float64]) -> Matrix:
    """A (4, 4) transform of head coordinates in Blender's axes."""
    change = np.eye(4)
    change[:3, :3] = _AXES
    return Matrix((change @ matrix @ change.T).tolist())


def add(name: str, data: bpy.types.ID) -> bpy.types.Object:
    """A new object in the scene."""
    thing = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def add_mesh(
    name: str,
    points: npt.NDArray[np.floating],
    faces: npt.NDArray[np.int64],
    uv: npt.NDArray[np.floating] | None = None,
) -> bpy.types.Object:
    """A smooth mesh of (N, 3) points (head coordinates) and (F, 3 or 4) faces with (F * corners, 2) uv."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(to_blender(points).tolist(), [], faces.tolist())
    mesh.shade_smooth()
    if uv is not None:
        mesh.uv_layers.new(name="UVMap").data.foreach_set("uv", np.asarray(uv, np.float32).ravel())
    return add(name, mesh)


def add_strands(name: str, strands: Strands, radius: float, material: bpy.types.Material) -> bpy.types.Object:
    """Hair as Cycles curves that thin towards the tip; radius in cm at the root."""
    count, length = strands.shape[:2]
    curves = bpy.data.hair_curves.new(name)
    curves.add_curves([length] * count)
    thin = np.broadcast_to(np.linspace(1.0, 0.25, length) * radius, (count, length))
    curves.points.foreach_set("radius", np.ascontiguousarray(thin, np.float32).ravel())
    curves.materials.append(material)
    thing = add(name, curves)
    set_strands(thing, strands)
    return thing


def set_strands(thing: bpy.types.Object, strands: Strands) -> None:
    """Move the points of hair curves."""
    places = to_blender(strands).astype(np.float32).ravel()
    thing.data.attributes["position"].data.foreach_set("vector", places)
    thing.data.update_tag()


@dataclass(frozen=True, slots=True)
class Actor:
    """A person on the stage: their neutral shape and Blender objects."""

    model: HeadModel
    neutral: Points
    follow: npt.NDArray[np.float64]
    vertices: npt.NDArray[np.int64]
    skin: bpy.types.Object
    brow_hairs: Brows
    brow_object: bpy.types.Object
    fixed: tuple[bpy.types.Object, ...]
    eyes: tuple[tuple[bpy.types.Object, npt.NDArray[np.float64]], ...]
    body: bpy.types.Object


def actor(model: HeadModel, person: Person, folder: Path, fine: bool) -> Actor:
    """Put a person on the stage; textures are painted into `folder`."""
    neutral = heads.person(model, person.seed, person.strength, person.tweaks)
    skins = materials.for_person(model, person, folder, 2048 if fine else 1024)
    skin, vertices = _skin(model, neutral, skins)
    hair = add_strands(
        "hair",
        scalp(model, person, neutral, 26000 if fine else 16000, person.seed),
        0.008 if fine else 0.010,
        skins["hair"],
    )
    brow_hairs = brows(model, person, person.seed + 1)
    brow_object = add_strands("brows", brow_hairs.on(model, neutral), 0.008, skins["brows"])
    body_points, body_faces, body_uv = sweater(model, neutral)
    body = add_mesh("body", body_points, body_faces, body_uv)
    body.data.materials.append(skins["top"])
    fixed = (hair, *_earrings(model, neutral, person, skins))
    eyes = tuple(e for side in ("Left", "Right") for e in _eye(model, neutral, side, skins))
    return Actor(
        model,
        neutral,
        heads.neck_weight(model.neutral),
        vertices,
        skin,
        brow_hairs,
        brow_object,
        fixed,
        eyes,
        body,
    )


def _skin(
    model: HeadModel, neutral: Points, skins: dict[str, bpy.types.Material]
) -> tuple[bpy.types.Object, npt.NDArray[np.int64]]:
    """The deforming mesh, without what the collar hides; and its vertex numbers."""
    numbers = model.triangles(*_HEAD_PARTS)
    low = model.neutral[model.tri[numbers]].mean(1)
    numbers = numbers[low[:, 1] > collar_height(low) - 0.15]
    vertices, tri = np.unique(model.tri[numbers], return_inverse=True)
    names = [model.materials[k] for k in model.tri_material[numbers]]
    uv = model.uv[model.tri_uv[numbers]].reshape(-1, 2)
    uv = uv - np.repeat([[_TILES.get(name, 0.0), 0.0] for name in names], 3, axis=0)
    thing = add_mesh("skin", neutral[vertices], tri.reshape(-1, 3), uv)
    for part in _HEAD_PARTS:
        thing.data.materials.append(skins[part])
    slots = np.array([_HEAD_PARTS.index(name) for name in names], np.int32)
    thing.data.polygons.foreach_set("material_index", slots)
    return thing, vertices


def eye_center(model: HeadModel, points: Points, side: str) -> npt.NDArray[np.float64]:
    """The point about which an eyeball turns: the middle of its box."""
    ball = points[model.vertices(f"M_Iris{side}")]
    return (ball.min(0) + ball.max(0)) / 2


def _eye(
    model: HeadModel,
    neutral: Points,
    side: str,
    skins: dict[str, bpy.types.Material],
) -> list[tuple[bpy.types.Object, npt.NDArray[np.float64]]]:
    """An eyeball and its clear outer shell, each with the point they turn about."""
    center = eye_center(model, neutral, side)
    parts = []
    for name, material in ((f"M_Iris{side}", "eye"), (f"M_Sclera{side}", "cornea")):
        numbers = model.triangles(name)
        vertices, tri = np.unique(model.tri[numbers], return_inverse=True)
        thing = add_mesh(
            name, neutral[vertices], tri.reshape(-1, 3), model.uv[model.tri_uv[numbers]].reshape(-1, 2)
        )
        thing.data.materials.append(skins[material])
        parts.append((thing, center))
    return parts


def _earrings(
    model: HeadModel, neutral: Points, person: Person, skins: dict[str, bpy.types.Material]
) -> list[bpy.types.Object]:
    """Small golden balls below the ear lobes."""
    if not person.earrings:
        return []
    ears = model.vertices("M_Face", "M_BackHead")
    generic = model.neutral[ears]
    rings = []
    for sign in (-1, 1):
        lobe = ears[(generic[:, 0] * sign > 7.4) & (generic[:, 1] < 0.5) & (generic[:, 1] > -3.0)]
        place = neutral[lobe[neutral[lobe][:, 1].argmin()]] + [0.25 * sign, -0.25, 0.35]
        bpy.ops.mesh.primitive_uv_sphere_add(radius=0.36, location=to_blender(place).tolist())
        ball = bpy.context.object
        bpy.ops.object.transform_apply(location=True)
        ball.data.shade_smooth()
        ball.data.materials.append(skins["gold"])
        rings.append(ball)
    return rings


def show(who: Actor, pose: Pose) -> None:
    """Move the person into a pose."""
    points = heads.express(who.model, who.neutral, pose.weights)
    turned = heads.turn(points, who.follow, pose.yaw, pose.pitch, pose.roll)
    mesh = who.skin.data
    mesh.vertices.foreach_set("co", to_blender(turned[who.vertices]).astype(np.float32).ravel())
    mesh.update()
    set_strands(who.brow_object, who.brow_hairs.on(who.model, points))
    sway = np.eye(4)
    sway[:2, 3] = pose.sway
    whole = sway @ heads.rigid(pose.yaw, pose.pitch, pose.roll)
    for thing in (*who.fixed, who.brow_object):
        thing.matrix_world = to_matrix(whole)
    for thing in (who.skin, who.body):
        thing.matrix_world = to_matrix(sway)
    for thing, center in who.eyes:
        about = np.eye(4)
        about[:3, :3] = heads.rotation(pose.gaze[0], -pose.gaze[1], 0.0)
        about[:3, 3] = center - about[:3, :3] @ center
        thing.matrix_world = to_matrix(whole @ about)


def area_light(
    name: str,
    place: tuple[float, float, float],
    target: tuple[float, float, float],
    size: float,
    power: float,
    color: tuple[float, float, float],
) -> None:
    """A square lamp: place and target in head coordinates, cm; power in kilowatts at this scale."""
    data = bpy.data.lights.new(name, "AREA")
    data.energy, data.size, data.color = power * 1000.0, size, color
    lamp = add(name, data)
    start, end = to_blender(np.array(place)), to_blender(np.array(target))
    lamp.location = start.tolist()
    lamp.rotation_euler = Vector((end - start).tolist()).to_track_quat("-Z", "Y").to_euler()


def camera(
    distance: float, height: float, target_y: float, frame_cm: float, focus: float, fstop: float
) -> None:
    """A camera in front of the face; `frame_cm` is the picture's height at the head's distance."""
    data = bpy.data.cameras.new("camera")
    data.sensor_fit = "VERTICAL"
    data.sensor_height = 24.0
    data.lens = 24.0 * distance / frame_cm
    data.dof.use_dof = fstop > 0
    data.dof.focus_distance = focus
    data.dof.aperture_fstop = fstop if fstop > 0 else 1.0
    thing = add("camera", data)
    thing.location = (0.0, -distance, height)
    thing.rotation_euler = (np.pi / 2 + np.arctan2(target_y - height, distance), 0.0, 0.0)
    bpy.context.scene.camera = thing


def begin(width: int, height: int, samples: int, transparent: bool) -> None:
    """An empty scene with Cycles set up for quiet single-threaded work."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.film_transparent = transparent
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.use_persistent_data = True
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA" if transparent else "RGB"
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    cycles = scene.cycles
    cycles.samples, cycles.use_adaptive_sampling, cycles.adaptive_threshold = samples, True, 0.03
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_prefilter, cycles.denoising_quality = "FAST", "BALANCED"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 6, 2, 2
    cycles.transmission_bounces, cycles.transparent_max_bounces = 4, 12
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 3.0
    scene.cycles_curves.shape = "RIBBONS"
    world = bpy.data.worlds.new("world")
    scene.world = world
    world.use_nodes = True


def ambient(color: tuple[float, float, float], strength: float) -> None:
    """Even light from everywhere."""
    node = bpy.context.scene.world.node_tree.nodes["Background"]
    node.inputs["Color"].default_value = (*color, 1.0)
    node.inputs["Strength"].default_value = strength


def render(path: Path) -> None:
    """Render the scene into a PNG file."""
    bpy.context.scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
