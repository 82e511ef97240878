#!/usr/bin/env bash
# Builds detectors to WebAssembly.
#
#   detectors/build.sh [PACKAGE… | all]                 built-in ones, into detectors/NAME.wasm
#   detectors/build.sh --manifest-path FILE [--out DIR] one outside the workspace; prints where it is,
#                                                       or puts it at DIR/NAME.wasm
#
# Takes the first toolchain of: a Rust that has the target wasm32-unknown-unknown; Debian's rustc in
# /usr/bin, which builds std from source; rustup, which fetches the target.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=wasm32-unknown-unknown
built_in=(limits vitals shift physics)

fail() {
  printf 'build.sh: %s\n' "$*" >&2
  exit 1
}

packages=()
manifest=
out=
while [ $# -gt 0 ]; do
  case $1 in
    --manifest-path) manifest=${2:?--manifest-path wants a file}; shift 2 ;;
    --out) out=${2:?--out wants a directory}; shift 2 ;;
    all) packages+=("${built_in[@]}"); shift ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    -*) fail "unknown option $1" ;;
    *) packages+=("$1"); shift ;;
  esac
done

# cargo, and what it needs besides.
cargo=(cargo)
build_std=()
has_target() {
  command -v rustc > /dev/null && [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]
}
if has_target; then
  :
elif [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] && [ -d /usr/lib/rustlib/src/rust/library/std ] \
  && command -v wasm-ld-19 > /dev/null; then
  # std for the target is not packaged, its source is.
  cargo=(/usr/bin/cargo)
  build_std=(-Z build-std=std,panic_abort)
  export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-19
elif command -v rustup > /dev/null && rustup target add "$target" >&2 && has_target; then
  :
else
  fail "no Rust toolchain for $target. Either: rustup target add $target
  or on Debian: apt-get install --no-install-recommends rustc-web cargo-web rust-web-src lld-19"
fi

# One profile for all guests, whatever the workspace's is for the host. A detector that panics is
# thrown away, so there is nothing to unwind; names of functions stay, for the host's messages.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=3 CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 \
  CARGO_PROFILE_RELEASE_PANIC=abort CARGO_PROFILE_RELEASE_DEBUG=none CARGO_PROFILE_RELEASE_STRIP=debuginfo
# The same bytes wherever cargo's home is. The checkout's own files are compiled by relative paths; to name it
# here would make every checkout compile std anew.
flags=(-C target-feature=+simd128 --remap-path-prefix "${CARGO_HOME:-$HOME/.cargo}=/cargo")
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; printf %s "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS
# A directory of their own: std may be built there, and once for all guests.
export CARGO_TARGET_DIR=$root/target/guests
made=$CARGO_TARGET_DIR/$target/release

# Modules' files carry no hash of their checkout, and several checkouts share this directory: what another one
# built last must not pass for fresh.
own_directory() {
  local stamp=$CARGO_TARGET_DIR/.checkout
  mkdir -p "$CARGO_TARGET_DIR"
  if [ "$(cat "$stamp" 2> /dev/null)" != "$root" ]; then
    rm -f "$made"/*.wasm "$made"/deps/*.wasm "$made"/deps/*.d
    rm -rf "$made"/.fingerprint/{limits,vitals,shift,physics,first-detector,hostile}-*
    printf '%s\n' "$root" > "$stamp"
  fi
}

# At once or not at all: the host may be watching. Unchanged files keep their time.
put() {
  local from=$1 to=$2
  if cmp -s "$from" "$to"; then return; fi
  cp "$from" "$to.part.$$"
  mv "$to.part.$$" "$to"
}

build() {
  own_directory
  "${cargo[@]}" build --release --target "$target" "${build_std[@]}" "$@"
}

if [ -n "$manifest" ]; then
  [ ${#packages[@]} -eq 0 ] || fail "either packages or --manifest-path"
  [ -f "$manifest" ] || fail "$manifest: no such file"
  build --manifest-path "$manifest" >&2
  name=$(sed -n '/^\[package\]/,/^\[[^p]/s/^name *= *"\(.*\)"/\1/p' "$manifest" | head -n 1)
  wasm=$made/${name//-/_}.wasm
  if [ -n "$out" ]; then
    put "$wasm" "$out/$name.wasm"
    wasm=$out/$name.wasm
  fi
  echo "$wasm"
else
  [ ${#packages[@]} -gt 0 ] || packages=("${built_in[@]}")
  chosen=()
  for package in "${packages[@]}"; do chosen+=(-p "$package"); done
  build --manifest-path "$root/Cargo.toml" "${chosen[@]}" >&2
  for package in "${packages[@]}"; do
    put "$made/${package//-/_}.wasm" "${out:-$root/detectors}/$package.wasm"
    echo "${out:-$root/detectors}/$package.wasm"
  done
fi
