#!/bin/sh
# Makes .venv with exactly what requirements/dev.lock pins; does nothing when that has been done.
# Needs Python 3.11 or newer and its venv module, which it installs on Debian and Ubuntu as root.
set -eu
cd "$(dirname "$0")/.."
cache=${SQUEEZESERVE_CACHE:-$HOME/.cache/squeezeserve}
uv_version=$(sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements/dev.lock)
uv="$cache/uv-$uv_version/bin/uv"
stamp=.venv/squeezeserve-lock

find_python() {
    for name in ${PYTHON:-} python3.13 python3.12 python3.11 python3; do
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "error: no Python from 3.11 to 3.13 found: install one, or name it with PYTHON=/path/to/python3" >&2
    return 1
}

install_venv_module() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "error: $1 has no venv module: install it (Debian, Ubuntu: apt-get install python3-venv)" >&2
        exit 1
    fi
    echo "Installing Python's venv module"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
}

wanted=$(cat requirements/dev.lock pyproject.toml | sha256sum | cut -c1-64)-$(pwd)
if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
python=$(find_python)
"$python" -c 'import ensurepip' 2>/dev/null || install_venv_module "$python"
if [ ! -x "$uv" ]; then
    echo "Installing uv $uv_version below $cache"
    "$python" -m venv --clear "$cache/uv-$uv_version"
    awk '/^[^ ]/ { wanted = /^uv==/ } wanted' requirements/dev.lock > "$cache/uv-$uv_version/uv.lock"
    "$cache/uv-$uv_version/bin/pip" install --quiet --no-deps --require-hashes -r "$cache/uv-$uv_version/uv.lock"
fi
echo "Installing the Python packages of requirements/dev.lock into .venv (3 GB are fetched the first time)"
export UV_CACHE_DIR="$cache/uv"
[ -x .venv/bin/python ] || "$uv" venv --quiet --python "$python" .venv
"$uv" pip sync --quiet --python .venv/bin/python requirements/dev.lock
"$uv" pip install --quiet --python .venv/bin/python --no-deps --editable .
printf '%s' "$wanted" > "$stamp"
