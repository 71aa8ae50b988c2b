# shellcheck shell=bash
# Shared by the scripts of this folder: packages and builds. Sourced, from the top of the source tree.

# Where the builds go: build/dev, build/release ...
BUILD=${VIADUCT_BUILD:-build}

say() {
    printf '%s\n' "$*" >&2
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        say "Packages are missing and neither root nor sudo is at hand. As root: $*"
        return 1
    fi
}

is_installed() {
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# need_packages GROUP... installs what is missing of these groups of script/packages. Asks the network for nothing when
# nothing is missing.
need_packages() {
    local group package missing=()
    if ! command -v dpkg-query >/dev/null; then
        say "This is no Debian: see to the packages of script/packages yourself."
        return 0
    fi
    while read -r group package; do
        case " $* " in
        *" $group "*) is_installed "$package" || missing+=("$package") ;;
        esac
    done < <(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' script/packages)
    [ ${#missing[@]} -eq 0 ] && return 0
    say "Installing ${missing[*]}"
    quietly "Read the list of packages" as_root apt-get update -q &&
        quietly "Installed ${#missing[@]} packages" as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# quietly WHAT COMMAND... runs the command; its output is shown only when it fails, or as it comes on a terminal.
quietly() {
    local what=$1 log start=$SECONDS status=0
    shift
    if [ -t 2 ]; then
        "$@" >&2 || status=$?
    else
        log=$(mktemp)
        "$@" >"$log" 2>&1 || status=$?
        [ $status -eq 0 ] || grep -v '^\[[0-9]*/[0-9]*\] ' "$log" | tail -n 60 >&2
        rm -f "$log"
    fi
    if [ $status -eq 0 ]; then
        say "$what: $((SECONDS - start)) s"
    else
        say "$what: failed"
    fi
    return $status
}

# build PRESET [CMAKE OPTION...] -- [TARGET...]
build() {
    local preset=$1 options=() targets=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    [ $# -gt 0 ] && shift
    [ $# -gt 0 ] && targets=(--target "$@")
    quietly "Configured $preset" cmake --preset "$preset" -B "$BUILD/$preset" "${options[@]}" &&
        quietly "Built $preset" cmake --build "$BUILD/$preset" "${targets[@]}"
}

# Was the release compiled with a profile? cmake/train.cmake writes that, and all that is compiled depends on it.
release_is_trained() {
    grep -qsx trained "$BUILD/release/profile/outcome"
}

# build_release TARGET... makes what is shipped: with the profile of a training run, see cmake/ViaductProfile.cmake.
build_release() {
    build release -DVIADUCT_TESTS=OFF -DVIADUCT_PROFILE=guided -- "$@" || return
    release_is_trained || say "Built WITHOUT A PROFILE: the training failed, see cmake/train.cmake"
}
