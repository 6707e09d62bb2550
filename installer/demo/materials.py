"""Blender materials: painted skin with light below the surface, eyes, teeth, hair, cloth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import cv2
import numpy as np
import paint
from head import HeadModel
from people import Person, Rgb

Inputs = dict[str, Any]


def linear(color: Rgb) -> tuple[float, float, float, float]:
    """An sRGB color as Blender wants it: linear, with alpha."""
    values = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return (values[0], values[1], values[2], 1.0)


def principled(name: str, inputs: Inputs) -> bpy.types.Material:
    """A material of one principled shader with these inputs."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    for key, value in inputs.items():
        shader.inputs[key].default_value = value
    return material


def _image(material: bpy.types.Material, path: Path, pixels: paint.Image, data: bool) -> bpy.types.Node:
    """A texture node with these pixels; `data` says that they are numbers, not colors."""
    rows = np.clip(pixels, 0, 1)
    out = rows[..., ::-1] if rows.ndim == 3 else rows
    cv2.imwrite(str(path), (out * 65535).astype(np.uint16) if data else (out * 255).astype(np.uint8))
    node = material.node_tree.nodes.new("ShaderNodeTexImage")
    node.image = bpy.data.images.load(str(path))
    node.extension = "EXTEND"
    if data:
        node.image.colorspace_settings.name = "Non-Color"
    return node


def _skin(name: str, skin: paint.Skin, folder: Path, person: Person) -> bpy.types.Material:
    """Skin: color below the surface, painted shine and relief."""
    light = max(person.skin)
    material = principled(
        name,
        {
            "Subsurface Weight": 1.0,
            "Subsurface Scale": 0.32 * light,
            "Subsurface Radius": (1.0, 0.36, 0.2),
            "Subsurface Anisotropy": 0.7,
            "IOR": 1.42,
            "Specular IOR Level": 0.45,
        },
    )
    tree = material.node_tree
    shader = tree.nodes["Principled BSDF"]
    color = _image(material, folder / f"{name}_color.png", skin.color, data=False)
    rough = _image(material, folder / f"{name}_rough.png", skin.roughness, data=True)
    relief = _image(material, folder / f"{name}_relief.png", skin.height / 12.0 + 0.5, data=True)
    bump = tree.nodes.new("ShaderNodeBump")
    bump.inputs["Strength"].default_value = 0.75
    bump.inputs["Distance"].default_value = 0.12
    tree.links.new(color.outputs["Color"], shader.inputs["Base Color"])
    tree.links.new(rough.outputs["Color"], shader.inputs["Roughness"])
    tree.links.new(relief.outputs["Color"], bump.inputs["Height"])
    tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])
    return material


def _eye(model: HeadModel, person: Person, folder: Path) -> bpy.types.Material:
    """The eyeball below its clear shell."""
    ball = model.neutral[model.vertices("M_IrisLeft")]
    center = (ball.min(0) + ball.max(0)) / 2
    material = principled("eye", {"Roughness": 0.35, "Subsurface Weight": 0.15, "Subsurface Scale": 0.1})
    color = _image(material, folder / "eye.png", paint.eye(model, person, center, 1024), data=False)
    tree = material.node_tree
    tree.links.new(color.outputs["Color"], tree.nodes["Principled BSDF"].inputs["Base Color"])
    return material


def _clear(name: str, roughness: float, amount: float) -> bpy.types.Material:
    """A clear wet film: reflects at grazing angles and lets everything else through."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    output, mix, through, gloss, fresnel, gain = (
        tree.nodes.new(f"ShaderNode{k}")
        for k in ("OutputMaterial", "MixShader", "BsdfTransparent", "BsdfGlossy", "Fresnel", "Math")
    )
    gloss.inputs["Roughness"].default_value = roughness
    fresnel.inputs["IOR"].default_value = 1.376
    gain.operation = "MULTIPLY"
    gain.inputs[1].default_value = amount
    for start, end in (
        (fresnel.outputs[0], gain.inputs[0]),
        (gain.outputs[0], mix.inputs[0]),
        (through.outputs[0], mix.inputs[1]),
        (gloss.outputs[0], mix.inputs[2]),
        (mix.outputs[0], output.inputs[0]),
    ):
        tree.links.new(start, end)
    return material


def _lashes(person: Person, folder: Path) -> bpy.types.Material:
    """Dark strokes, the rest see-through."""
    material = principled("lashes", {"Base Color": linear((0.03, 0.02, 0.018)), "Roughness": 0.5})
    cover = _image(material, folder / "lashes.png", paint.lashes(person, 1024), data=True)
    tree = material.node_tree
    tree.links.new(cover.outputs["Color"], tree.nodes["Principled BSDF"].inputs["Alpha"])
    return material


def _hair(name: str, melanin: float, redness: float) -> bpy.types.Material:
    """Hair by its pigment."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    shader = tree.nodes.new("ShaderNodeBsdfHairPrincipled")
    shader.model = "CHIANG"
    shader.parametrization = "MELANIN"
    for key, value in {
        "Melanin": melanin,
        "Melanin Redness": redness,
        "Roughness": 0.35,
        "Radial Roughness": 0.5,
        "Random Color": 0.5,
        "Random Roughness": 0.2,
    }.items():
        shader.inputs[key].default_value = value
    tree.links.new(shader.outputs[0], output.inputs[0])
    return material


def _cloth(person: Person) -> bpy.types.Material:
    """Knitted cloth: a fine weave and a soft sheen."""
    material = principled(
        "top",
        {
            "Base Color": linear(person.top),
            "Roughness": 0.85,
            "Sheen Weight": 0.35,
            "Specular IOR Level": 0.2,
        },
    )
    tree = material.node_tree
    place, wave, noise, bump = (
        tree.nodes.new(f"ShaderNode{k}") for k in ("TexCoord", "TexWave", "TexNoise", "Bump")
    )
    wave.inputs["Scale"].default_value = 60.0
    wave.inputs["Distortion"].default_value = 1.0
    noise.inputs["Scale"].default_value = 3.0
    bump.inputs["Strength"].default_value = 0.35
    bump.inputs["Distance"].default_value = 0.08
    tree.links.new(place.outputs["UV"], wave.inputs["Vector"])
    tree.links.new(place.outputs["Object"], noise.inputs["Vector"])
    tree.links.new(wave.outputs["Fac"], bump.inputs["Height"])
    tree.links.new(bump.outputs["Normal"], tree.nodes["Principled BSDF"].inputs["Normal"])
    return material


def for_person(model: HeadModel, person: Person, folder: Path, size: int) -> dict[str, bpy.types.Material]:
    """Every material of a person, by the part of the head that wears it."""
    folder.mkdir(parents=True, exist_ok=True)
    wet = {"Subsurface Weight": 0.4, "Subsurface Scale": 0.15}
    return {
        "M_Face": _skin("face", paint.face(model, person, size), folder, person),
        "M_BackHead": _skin("back", paint.back(model, person, size // 2), folder, person),
        "M_GumsTongue": principled(
            "gums", {"Base Color": linear((0.62, 0.28, 0.27)), "Roughness": 0.3, **wet}
        ),
        "M_Teeth": principled("teeth", {"Base Color": linear((0.86, 0.82, 0.74)), "Roughness": 0.18, **wet}),
        "M_LacrimalFluid": _clear("tears", 0.05, 1.0),
        "M_EyeLashes": _lashes(person, folder),
        "eye": _eye(model, person, folder),
        "cornea": _clear("cornea", 0.05, 1.5),
        "hair": _hair("hair", person.hair_melanin, person.hair_redness),
        "brows": _hair("brows", person.brow_melanin, person.hair_redness),
        "top": _cloth(person),
        "gold": principled(
            "gold", {"Base Color": linear((0.95, 0.75, 0.40)), "Metallic": 1.0, "Roughness": 0.2}
        ),
    }
