from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.pack_libraries import LayoutError, pack_folder, packed

USE = """
import av, av.device, io, sys
assert av.__file__.startswith(sys.argv[1]), av.__file__
data = io.BytesIO()
with av.open(data, "w", format="mp4") as file:
    stream = file.add_stream("libx264", rate=8)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    for number in range(8):
        frame = av.VideoFrame(64, 48, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([number * 20]) * plane.buffer_size)
        file.mux(stream.encode(frame))
    file.mux(stream.encode())
with av.open(io.BytesIO(data.getvalue())) as file:
    print(len([frame.width for frame in file.decode(video=0)]))
"""


@pytest.mark.extended
@pytest.mark.skipif(sys.platform != "linux", reason="ELF libraries are those of Linux")
def test_packed_libraries_encode_and_decode(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("av")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    for folder in (package, package.with_name("av.libs")):
        shutil.copytree(folder, tmp_path / folder.name)
    before, after = pack_folder(tmp_path)
    assert 0.2 * before < after < 0.75 * before
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.so*")) == after
    done = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path)],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("8\n", 0), done.stderr
    assert pack_folder(tmp_path) == (after, after)


def test_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "script.so.txt").write_text("not a library")
    (tmp_path / "old.so").write_bytes(b"\x7fELF\x01\x01" + bytes(100))
    assert pack_folder(tmp_path) == (0, 0)
    assert (tmp_path / "old.so").read_bytes() == b"\x7fELF\x01\x01" + bytes(100)


def test_a_library_whose_headers_are_not_loaded_is_refused() -> None:
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    header[18:20] = (62).to_bytes(2, "little")
    header[32:40] = (64).to_bytes(8, "little")
    with pytest.raises(LayoutError, match=r"^the bytes from 64 to 64 are in no loaded segment$"):
        packed(bytes(header))
