"""The structs and numbers of libobs/abi.py against the installed headers, by a C compiler's word."""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from obs_faceswap.libobs import abi

HEADERS = Path("/usr/include/obs")

pytestmark = pytest.mark.skipif(
    not (HEADERS / "obs.h").exists() or shutil.which("gcc") is None, reason="needs libobs-dev and gcc"
)

STRUCTS = {
    "struct obs_source_frame": abi.SourceFrame,
    "struct obs_source_info": abi.SourceInfo,
    "struct vec4": abi.Vec4,
}
# libobs keeps two kinds of constants: enums, and macros.
CONSTANTS = [name for name in vars(abi) if re.match(r"(OBS|GS|LOG)_[A-Z]", name)]
FORMATS = {number: f"VIDEO_FORMAT_{name}" for number, name in abi.VIDEO_FORMATS.items()}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the compiler says, by expression."""
    fields = [f"offsetof({c}, {name})" for c, struct in STRUCTS.items() for name, _ in struct._fields_]
    sizes = [f"sizeof({c})" for c in STRUCTS]
    expressions = fields + sizes + CONSTANTS + list(FORMATS.values()) + ["(size_t)MAX_AV_PLANES"]
    lines = "".join(f'printf("%ld\\n", (long)({e}));\n' for e in expressions)
    folder = tmp_path_factory.mktemp("abi")
    source = folder / "abi.c"
    source.write_text(f"#include <stdio.h>\n#include <obs.h>\nint main(void) {{\n{lines}return 0;\n}}\n")
    program = folder / "abi"
    subprocess.run(
        ["gcc", f"-I{HEADERS}", "-DSIMDE_ENABLE_NATIVE_ALIASES", source, "-o", program], check=True
    )
    numbers = subprocess.run([program], check=True, capture_output=True, text=True).stdout.split()
    return dict(zip(expressions, map(int, numbers), strict=True))


@pytest.mark.parametrize("name", STRUCTS)
def test_every_field_lies_where_the_compiler_puts_it(told, name):
    struct = STRUCTS[name]
    ours = {field: getattr(struct, field).offset for field, _ in struct._fields_}
    assert ours == {field: told[f"offsetof({name}, {field})"] for field in ours}


def test_sizes(told):
    assert ctypes.sizeof(abi.SourceFrame) == told["sizeof(struct obs_source_frame)"]
    assert ctypes.sizeof(abi.Vec4) == told["sizeof(struct vec4)"]
    assert ctypes.sizeof(abi.SourceInfo) == abi.SOURCE_INFO_BYTES
    # A larger one than libobs's own would be refused.
    assert told["sizeof(struct obs_source_info)"] >= abi.SOURCE_INFO_BYTES


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants(told, name):
    assert getattr(abi, name) == told[name]


def test_pixel_formats(told):
    assert {number: told[name] for number, name in FORMATS.items()} == {number: number for number in FORMATS}
    assert told["(size_t)MAX_AV_PLANES"] == abi.MAX_PLANES


def _declared():
    """Each exported function's declaration in the headers, without line breaks."""
    text = "\n".join(path.read_text() for path in HEADERS.rglob("*.h"))
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)
    found = re.finditer(r"EXPORT\s+([^;{]*?)\b(\w+)\s*\(([^;{]*)\)[^;{)]*;", text)
    return {match[2]: (" ".join(match[1].split()), " ".join(match[3].split())) for match in found}


def _kind(text):
    """A C type as ctypes passes it."""
    text = re.sub(r"\b(const|PRINTFATTR.*)\b", "", text)
    if "*" in text or "_callback_t" in text or re.search(r"obs_(property_\w+|task)_t\b", text):
        return "pointer"
    for kind, pattern in {
        "double": r"\bdouble\b", "float": r"\bfloat\b", "bool": r"\bbool\b",
        "u32": r"\buint32_t\b", "u64": r"\b(uint64|size)_t\b", "i64": r"\bint64_t\b",
        "u8": r"\buint8_t\b", "int": r"\b(int|enum)\b",
    }.items():  # fmt: skip
        if re.search(pattern, text):
            return kind
    return "nothing"


def _our_kind(kind):
    names = {
        None: "nothing", ctypes.c_double: "double", ctypes.c_float: "float", ctypes.c_bool: "bool",
        ctypes.c_size_t: "u64", ctypes.c_uint64: "u64", ctypes.c_uint32: "u32", ctypes.c_uint8: "u8",
        ctypes.c_int: "int", ctypes.c_int64: "i64",
    }  # fmt: skip
    return names.get(kind, "pointer")


@pytest.mark.parametrize("name", [*abi.RELEASING, *abi.HOLDING])
def test_prototypes(name):
    declared = _declared()
    if name == "obs_enable_source_type":
        assert name not in declared  # exported without a declaration
        return
    result, arguments = declared[name]
    ours_result, ours_arguments = (abi.RELEASING | abi.HOLDING)[name]
    arguments = re.sub(r"\w+ \(\*\w+\)\([^)]*\)", "void *", arguments)  # a callback
    theirs = [] if arguments in ("void", "") else [_kind(part) for part in arguments.split(",")]
    if "..." in arguments:
        theirs.pop()
    assert [_our_kind(kind) for kind in ours_arguments] == theirs
    assert _our_kind(ours_result) == _kind(result)


def test_no_function_is_bound_twice():
    assert not abi.RELEASING.keys() & abi.HOLDING.keys()
