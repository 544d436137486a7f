#!/usr/bin/env python3
"""Write the sha256 sums of Prometheus' release into stack/release_sums.txt: a step of a release of Reelbench.

Compare the sums with a second source, such as the release notes or a mirror, before you commit them.
"""

from __future__ import annotations

import sys

from reelbench.exit_code import ExitCode
from reelbench.stack import release
from reelbench.stack.errors import StackError


def main() -> int:
    """Fetch and write the sums of all platforms; return the exit code."""
    names = release.archives()
    try:
        sums = release.published_sums(f"{release.BASE_URL}/v{release.VERSION}/{release.PUBLISHED}", names[0])
        lines = [f"{sums[name]}  {name}\n" for name in names]
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.ABSENT
    except KeyError as error:
        sys.stderr.write(f"The release {release.VERSION} has no archive {error}.\n")
        return ExitCode.ABSENT
    head = [line for line in release.SUMS_FILE.read_text("utf-8").splitlines(keepends=True) if line.startswith("#")]
    release.SUMS_FILE.write_text("".join([*head, *lines]), encoding="utf-8")
    sys.stdout.writelines(lines)
    return ExitCode.PASS


if __name__ == "__main__":
    sys.exit(main())
