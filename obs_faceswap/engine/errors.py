"""Errors of the engine. A message says what happened, what was expected and found, and what to do next."""


class FaceSwapError(Exception):
    """Base of all errors a user can be shown as they are."""


class ModelError(FaceSwapError):
    """A network could not be used."""


class ModelMissingError(ModelError):
    """A network's file is not on this machine."""


class ChecksumError(ModelError):
    """A file's content is not what the registry promises."""


class UnsupportedModelError(ModelError):
    """A file is no network, or not one of the expected inputs and outputs."""


class FaceUnseenError(ModelError):
    """A network sees nothing to work on in one frame. Nothing is wrong with it, or with the next frame."""


class ProviderError(FaceSwapError):
    """A requested execution provider is not available or does not work."""


class FaceError(FaceSwapError):
    """A source face (picture, folder, .dfm) cannot be used."""


class PeopleError(FaceSwapError):
    """Somebody cannot be enrolled, found or removed."""


class SettingsError(FaceSwapError):
    """A setting has an unknown name or a value out of range."""


class FrameFormatError(FaceSwapError):
    """A frame's pixel format or geometry is not supported."""


class MediaError(FaceSwapError):
    """A picture or video file cannot be read or written."""


def explain(error: BaseException) -> str:
    """What to tell a user about an error."""
    if isinstance(error, FaceSwapError):
        return str(error)
    if isinstance(error, ImportError):
        return _explain_import(error)
    return (
        f"The engine failed ({type(error).__name__}: {error}). If it stays so, choose another face or device."
    )


def _explain_import(error: ImportError) -> str:
    if isinstance(error, ModuleNotFoundError):
        what = f"Missing in the Python that OBS uses: {error.name}."
    else:
        package = (error.name or "A package").partition(".")[0]
        what = f"{package} cannot be used by the Python in OBS ({error})."
    return f"{what} Run installer/install.py again, then restart OBS."
