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
MKDIR, COPY, SLEEP = shutil.which("mkdir"), shutil.which("cp"), shutil.which("sleep")
OLDER = "prometheus_3.4.0+ds-1_amd64.deb"
CURRENT, STALE, EMPTY, SLOW = "current", "stale", "empty", "slow"
"""What the lists of the system offer: a package, one that is gone, none, one of a slow server. New lists offer one."""
ASK, GET, UPDATE = "download --print-uris", "download --quiet", "update --quiet"
APT_GET = f"""#!/bin/sh
echo "$1 $2" >> CALLS
{COPY} "$APT_CONFIG" CALLS.conf
case "$*" in
update*) while read -r key _; do [ "$key" != Dir::State::lists ] || own=1; done < "$APT_CONFIG"
    [ -n "$own" ] || exit 100
    : > updated ;;
*--print-uris*) [ -f updated ] || [ LISTS != empty ] || exit 100
    echo "'http://127.0.0.1/{PACKAGE}' {PACKAGE} 20000000 SHA256:00" ;;
download*) [ LISTS != slow ] || exec {SLEEP} 30
    [ -f updated ] || [ LISTS != stale ] || {{ : > {OLDER}; exit 100; }}
    : > {PACKAGE} ;;
esac
"""


@pytest.fixture
def distribution(bare_path: str, fake_prometheus: Callable[..., Path], tmp_path: Path) -> Callable[..., None]:
    """Put apt and dpkg on the path, with a package that has the given programs."""
    program = fake_prometheus("3.5.0", tmp_path / "program")

    def offer(*names: str, lists: str = CURRENT) -> None:
        unpack = "".join(f'{COPY} -p {program} "$3/usr/bin/{name}"\n' for name in names)
        scripts = {
            "apt-get": APT_GET.replace("LISTS", lists).replace("CALLS", str(tmp_path / "calls")),
            "apt-config": """#!/bin/sh\necho 'Dir::Cache::pkgcache "";'\n""",
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


@pytest.mark.parametrize(
    ("lists", "calls"),
    [
        (CURRENT, [ASK, GET]),
        (STALE, [ASK, GET, UPDATE, ASK, GET]),
        (EMPTY, [ASK, UPDATE, ASK, GET]),
    ],
)
def test_lists_are_fetched_where_those_of_the_system_do_not_have_the_package(
    lists: str, calls: list[str], distribution: Callable[..., None], tmp_path: Path
) -> None:
    distribution("prometheus", lists=lists)
    assert debian.install(Cache(tmp_path / "cache")).version == "3.5.0"
    assert (tmp_path / "calls").read_text().splitlines() == calls


def test_the_lists_are_read_once_also_where_the_system_keeps_no_cache_of_them(
    distribution: Callable[..., None], tmp_path: Path
) -> None:
    distribution("prometheus")
    debian.install(Cache(tmp_path / "cache"))
    lines = (tmp_path / "calls.conf").read_text().splitlines()
    assert [line for line in lines if "pkgcache" in line] == [
        'Dir::Cache::pkgcache "";',
        'Dir::Cache::pkgcache "pkgcache.bin";',
    ]


def test_a_download_that_takes_too_long_is_not_tried_again(
    distribution: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "_DOWNLOAD_TIMEOUT", 0.5)
    distribution("prometheus", lists=SLOW)
    with pytest.raises(StackError, match=r"^'apt-get download' took longer than 0\.5 s\.$"):
        debian.install(Cache(tmp_path / "cache"))
    assert (tmp_path / "calls").read_text().splitlines() == [ASK, GET]
    assert list((tmp_path / "cache").iterdir()) == []
