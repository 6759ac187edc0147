#!/usr/bin/env bash
# Makes the Python environment .venv at the repository root and installs the Debian programs that the tests start.
# Idempotent; when everything is there it takes milliseconds.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
stamp=$venv/.requirements

missing=()
for pair in nginx:nginx aria2c:aria2 curl:curl strace:strace; do
    PATH=$PATH:/usr/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
if ((${#missing[@]})); then
    if [ "$(id -u)" != 0 ]; then
        echo "integration/setup.sh: please install: sudo apt-get install -y ${missing[*]}" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >/dev/null
    # Debian's nginx starts a daemon on port 80 at install: the policy says no.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' > $policy
        chmod +x $policy
        trap 'rm -f $policy' EXIT
    fi
    apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! cmp -s "$root/integration/requirements.txt" "$stamp"; then
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -r "$root/integration/requirements.txt"
    cp "$root/integration/requirements.txt" "$stamp"
fi
