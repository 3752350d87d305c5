"""Known vulnerabilities of the installed packages: pip-audit, with a word on what it could not look up.

pip-audit calls packages that it could not look up "skipped", and ends well even if these are all. Where the advisory
service cannot be reached, this says so and exits with status 0; it exits with status 1 if there is a vulnerability.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def verdict(packages: list[dict[str, Any]]) -> tuple[str, int]:
    """What to print of pip-audit's `dependencies`, and the exit status."""
    asked = [package for package in packages if "editable" not in package.get("skip_reason", "")]
    known = [package for package in asked if "skip_reason" not in package]
    if not known:
        return f"NOT CHECKED: the advisory service cannot be reached; none of {len(asked)} packages was looked up.", 0
    lines = [
        f"{package['name']} {package['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'none'}"
        for package in known
        for found in package["vulns"]
    ]
    skipped = [package["name"] for package in asked if "skip_reason" in package]
    noted = f"; not looked up: {', '.join(skipped)}" if skipped else ""
    return "\n".join([*lines, f"{len(lines)} vulnerabilities in {len(known)} packages{noted}."]), int(bool(lines))


def main() -> int:
    """Run pip-audit on this environment."""
    command = [sys.executable, "-m", "pip_audit", "--local", "--format=json", "--progress-spinner=off", "--timeout=15"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except json.JSONDecodeError:
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"NOT CHECKED: pip-audit could not work: {reason}")
        return 0
    text, status = verdict(packages)
    print(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
