"""The package of Debian and Ubuntu, taken apart by stand-ins of apt and dpkg."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reelbench.stack import debian
from reelbench.stack.cache import Cache
from reelbench.stack.errors import StackError

PACKAGE = "prometheus_3.5.0+ds-1_amd64.deb"
APT_GET = f"""#!/bin/sh
case "$*" in
*--print-uris*) echo "'http://127.0.0.1/{PACKAGE}' {PACKAGE} 20000000 SHA256:00" ;;
download*) : > {PACKAGE} ;;
esac
"""


MKDIR, COPY = shutil.which("mkdir"), shutil.which("cp")


@pytest.fixture
def distribution(bare_path: str, fake_prometheus: Callable[..., Path], tmp_path: Path) -> Callable[..., None]:
    """Put apt and dpkg on the path, with a package that has the given programs."""
    program = fake_prometheus("3.5.0", tmp_path / "program")

    def offer(*names: str) -> None:
        unpack = "".join(f'{COPY} -p {program} "$3/usr/bin/{name}"\n' for name in names)
        scripts = {
            "apt-get": APT_GET,
            "apt-config": "#!/bin/sh\n",
            "dpkg-deb": f'#!/bin/sh\n{MKDIR} -p "$3/usr/bin"\n{unpack}',
        }
        for name, text in scripts.items():
            path = Path(bare_path) / name
            path.write_text(text)
            path.chmod(0o755)

    return offer


@pytest.mark.parametrize("programs", [("prometheus",), ("prometheus", "promtool")], ids=["Debian 13", "Debian 12"])
def test_a_package_is_used_with_and_without_promtool(
    programs: tuple[str, ...], distribution: Callable[..., None], tmp_path: Path
) -> None:
    distribution(*programs)
    cache = Cache(tmp_path / "cache")
    assert debian.install(cache).version == "3.5.0"
    entry = cache.folder / "prometheus-debian-3.5.0"
    assert sorted(path.name for path in entry.iterdir() if path.name != "stamp.json") == list(programs)
    assert cache.find() == debian.install(cache)


def test_a_package_without_prometheus_is_refused(distribution: Callable[..., None], tmp_path: Path) -> None:
    distribution("promtool")
    with pytest.raises(StackError, match=f"{PACKAGE[:16]}.* has no usr/bin/prometheus"):
        debian.install(Cache(tmp_path / "cache"))
    assert list((tmp_path / "cache").iterdir()) == []
