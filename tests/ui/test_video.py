"""Videos keep their frames, times, colours, rotation and sound; errors leave nothing behind."""

import struct
from contextlib import contextmanager

import av
import numpy as np
import pytest
from tiny_clips import FRAMES, HEIGHT, RATE, WIDTH, picture_of, write_clip

from obs_faceswap.engine.errors import MediaError
from obs_faceswap.engine.finish.pixels import to_bgr
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.ui.video import check_video_target, color_space, process_video


def copied(source, target, on_frame=lambda frame: None):
    """Runs a video through; the frames seen and the progress told."""
    seen, told = [], []

    def look(frame):
        seen.append(frame)
        on_frame(frame)

    count = process_video(source, target, look, lambda done, total: told.append((done, total)))
    assert count == len(seen)
    return seen, told


def decoded(path):
    with av.open(str(path)) as reader:
        return list(reader.decode(video=0))


def sound_packets(path):
    with av.open(str(path)) as reader:
        return [bytes(packet) for packet in reader.demux(audio=0) if packet.dts is not None]


def times_ms(path):
    return [round(float(frame.pts * frame.time_base) * 1000) for frame in decoded(path)]


def rgb_error(path, pictures):
    frames = decoded(path)
    assert len(frames) == len(pictures)
    return max(
        float(np.abs(frame.to_ndarray(format="rgb24").astype(int) - picture).mean())
        for frame, picture in zip(frames, pictures, strict=True)
    )


def test_frames_times_and_sound_are_kept(clip, tmp_path):
    seen, told = copied(clip, tmp_path / "out.mp4")
    assert len(seen) == FRAMES
    assert told == [(number, FRAMES) for number in range(1, FRAMES + 1)]
    assert times_ms(tmp_path / "out.mp4") == times_ms(clip) == [number * 40 for number in range(FRAMES)]
    assert sound_packets(tmp_path / "out.mp4") == sound_packets(clip)
    assert [frame.timestamp_ns for frame in seen] == [number * 40_000_000 for number in range(FRAMES)]
    assert all(frame.format is PixelFormat.I420 for frame in seen)


def test_irregular_times_are_kept(tmp_path):
    times = [0, 40, 80, 200, 220, 500, 501, 900]
    source = write_clip(tmp_path / "in.mp4", frames=len(times), times=times)
    copied(source, tmp_path / "out.mp4")
    assert times_ms(tmp_path / "out.mp4") == times_ms(source)


@pytest.mark.parametrize("ending", [".mkv", ".mov", ".webm", ".avi"])
def test_every_container_gets_all_frames_and_sound(clip, tmp_path, ending):
    target = tmp_path / f"out{ending}"
    copied(clip, target)
    assert len(decoded(target)) == FRAMES
    with av.open(str(target)) as reader:
        samples = sum(frame.samples for frame in reader.decode(audio=0))
        assert samples / reader.streams.audio[0].rate == pytest.approx(FRAMES / RATE, abs=0.1)


def test_a_clip_without_sound_stays_without(tmp_path):
    copied(write_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as reader:
        assert not reader.streams.audio


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuvj420p"])
def test_the_picture_stays_the_same_whatever_the_format(tmp_path, pix_fmt):
    source = write_clip(tmp_path / "in.mkv", pix_fmt=pix_fmt)
    copied(source, tmp_path / "out.mp4")
    assert rgb_error(source, [picture_of(number) for number in range(FRAMES)]) < 4
    assert rgb_error(tmp_path / "out.mp4", [picture_of(number) for number in range(FRAMES)]) < 4


def test_rgb_video_is_converted_with_the_matrix_it_states(tmp_path):
    source = write_clip(tmp_path / "in.mkv", pix_fmt="bgr0", codec="ffv1")
    seen, _ = copied(source, tmp_path / "out.mp4")
    assert rgb_error(tmp_path / "out.mp4", [picture_of(number) for number in range(FRAMES)]) < 4
    assert float(np.abs(to_bgr(seen[3])[..., ::-1].astype(int) - picture_of(3)).mean()) < 4


def test_changes_reach_the_output(clip, tmp_path):
    def whiten(frame):
        frame.planes[0][:, : WIDTH // 2] = 235
        frame.planes[1][:, : WIDTH // 4] = frame.planes[2][:, : WIDTH // 4] = 128

    copied(clip, tmp_path / "out.mp4", whiten)
    after = decoded(tmp_path / "out.mp4")[5].to_ndarray(format="rgb24")
    assert after[:, : WIDTH // 2 - 8].mean() > 250
    assert np.abs(after[:, WIDTH // 2 + 8 :].astype(int) - picture_of(5)[:, WIDTH // 2 + 8 :]).mean() < 4


def test_an_odd_size_loses_one_row_or_column(tmp_path):
    source = write_clip(tmp_path / "in.mkv", pix_fmt="bgr0", codec="ffv1", size=(WIDTH - 1, HEIGHT - 1))
    copied(source, tmp_path / "out.mp4")
    frame = decoded(tmp_path / "out.mp4")[0]
    assert (frame.width, frame.height) == (WIDTH - 2, HEIGHT - 2)


# (a, b, c, d) of a track header's matrix, and the quarter turns counterclockwise that it asks for.
TURNS = [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)]


def turned_clip(path, clip, matrix):
    """The clip as a phone held another way writes it: the same samples, a matrix in the track's header."""
    content = bytearray(clip.read_bytes())
    start = content.index(b"tkhd") + 44
    a, b, c, d = (number << 16 for number in matrix)
    struct.pack_into(">9i", content, start, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("matrix", "quarter_turns"), TURNS)
def test_a_rotated_video_comes_out_upright(clip, tmp_path, matrix, quarter_turns):
    turned = turned_clip(tmp_path / "turned.mp4", clip, matrix)
    assert decoded(turned)[0].rotation != 0
    copied(turned, tmp_path / "out.mp4")
    frame = decoded(tmp_path / "out.mp4")[4]
    assert frame.rotation == 0
    upright = np.rot90(picture_of(4), quarter_turns)
    assert float(np.abs(frame.to_ndarray(format="rgb24").astype(int) - upright).mean()) < 4


def test_color_spaces_turn_white_and_black_into_themselves():
    for number in (1, 5, 6, 9):
        for full in (False, True):
            rows = np.array(color_space(number, full).matrix).reshape(3, 4)
            white, black = (1.0, 0.0) if full else (235 / 255, 16 / 255)
            neutral = 128 / 255
            for luma, expected in ((white, 1.0), (black, 0.0)):
                assert rows @ (luma, neutral, neutral, 1) == pytest.approx([expected] * 3, abs=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "does not exist"), (b"", "cannot be read"), (b"no video at all" * 99, "cannot be read")],
)
def test_what_is_no_video_is_said(tmp_path, content, message):
    source = tmp_path / "in.mp4"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(MediaError, match=message):
        copied(source, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_sound_alone_is_no_video(tmp_path):
    with av.open(str(tmp_path / "in.m4a"), "w") as writer:
        from tiny_clips import write_sound

        write_sound(writer, writer.add_stream("aac", rate=48000, layout="mono"), 0.5)
    with pytest.raises(MediaError, match="no picture in it"):
        copied(tmp_path / "in.m4a", tmp_path / "out.mp4")


def test_a_cut_off_file_leaves_an_older_output_alone(clip, tmp_path):
    broken, target = tmp_path / "broken.mp4", tmp_path / "out.mp4"
    broken.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    target.write_bytes(b"precious")
    with pytest.raises(MediaError):
        copied(broken, target)
    assert target.read_bytes() == b"precious"
    assert not list(tmp_path.glob(".*part*"))


@pytest.mark.parametrize("part", [0.5, 0.8])
@pytest.mark.parametrize("ending", [".mkv", ".mp4"])
def test_a_file_that_ends_too_early_is_an_error(tmp_path, ending, part):
    options = {"movflags": "faststart"} if ending == ".mp4" else {}
    whole = write_clip(tmp_path / f"whole{ending}", frames=50, audio="aac", options=options)
    cut = tmp_path / f"cut{ending}"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * part)])
    with pytest.raises(MediaError, match="is cut off or damaged"):
        copied(cut, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_a_damaged_file_is_not_blamed_on_the_output(tmp_path):
    whole = write_clip(tmp_path / "whole.mp4", frames=50, options={"movflags": "faststart"})
    content = bytearray(whole.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    (tmp_path / "broken.mp4").write_bytes(content)
    with pytest.raises(MediaError, match=r"broken\.mp4"):
        copied(tmp_path / "broken.mp4", tmp_path / "out.mp4")


def test_an_error_in_the_middle_leaves_nothing(clip, tmp_path):
    def fail(frame):
        if frame.timestamp_ns > 200_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copied(clip, tmp_path / "out.mp4", fail)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4"]


@contextmanager
def no_file_larger_than(limit):
    """What a full disk does: writing fails from some byte on."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_nothing(tmp_path):
    source = write_clip(tmp_path / "in.mkv", pix_fmt="bgr0", codec="ffv1", frames=60)
    with no_file_larger_than(4096), pytest.raises(MediaError, match="no room left"):
        copied(source, tmp_path / "out.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv"]


@pytest.mark.parametrize("name", ["out.gif", "out", "out.txt"])
def test_an_unknown_ending_is_refused_with_the_known_ones(tmp_path, name):
    with pytest.raises(MediaError, match=r"\.mp4.*\.webm"):
        check_video_target(tmp_path / name)
