#!/usr/bin/env bash
# Makes the Python environment .venv at the repository root, after deps.sh has seen to Debian's packages.
# Idempotent; when everything is there it takes milliseconds.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
stamp=$venv/.requirements

"$root/integration/deps.sh"
if ! cmp -s "$root/integration/requirements.txt" "$stamp"; then
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -r "$root/integration/requirements.txt"
    cp "$root/integration/requirements.txt" "$stamp"
fi
