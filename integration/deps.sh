#!/usr/bin/env bash
# Installs the Debian packages that building, testing, the demo and the bench need: those that are missing, by apt.
# Idempotent; when everything is there it takes milliseconds and needs no rights.
set -euo pipefail

packages=(
    git ca-certificates pkg-config                                      # build
    libcurl4-openssl-dev libssl-dev libsqlite3-dev libxml2-dev
    python3 python3-venv nginx curl openssl strace                      # integration, demo
    e2fsprogs xfsprogs btrfs-progs                                      # integration: file systems on loop devices
    aria2 restic                                                        # bench
)

missing=()
for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
((${#missing[@]})) || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=(env)
elif command -v sudo >/dev/null; then
    as_root=(sudo)
else
    echo "integration/deps.sh: please install as root: apt-get install -y ${missing[*]}" >&2
    exit 1
fi

echo "installing ${missing[*]}"
# Debian's nginx starts a daemon on port 80 at install: the policy says no.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
    "${as_root[@]}" chmod +x $policy
    trap '"${as_root[@]}" rm -f $policy' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q >/dev/null
"${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null >/dev/null
