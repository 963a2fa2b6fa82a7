#!/usr/bin/env bash
# Builds the locks of Debian's own abseil with -fsanitize=thread, as shared libraries of the same names, into OUT/lib:
# abseil.sh OUT [JOBS]
#
# ThreadSanitizer knows absl::Mutex only by annotations that abseil's build leaves out unless it is itself built
# for ThreadSanitizer; with the distribution's libraries every value behind an absl::Mutex looks like a race.
# gRPC has no other mutex, so with OUT/lib first in the run path most of its hand-overs between threads are known too.
# The rest of abseil stays as it is: gRPC moves statuses and cords from thread to thread by means that nobody sees.
#
# The source is the installed libabsl-dev's, by apt, from the machine's own mirrors: sources and lists of apt are
# used from a directory of this script, so nothing of the system changes and no root is needed.
set -euo pipefail
out=${1:?usage: abseil.sh OUT [JOBS]}
jobs=${2:-$(nproc)}
mkdir -p "$out"
out=$(cd "$out" && pwd)

version=$(dpkg-query -W -f='${source:Version}' libabsl-dev)
stamp="$version, $(c++ --version | head -n 1)"
[[ $(cat "$out/stamp" 2>/dev/null) == "$stamp" ]] && exit 0

apt_options=(
  -q -o APT::Sandbox::User=root
  -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$out/apt/sources"
  -o "Dir::State::Lists=$out/apt/lists" -o "Dir::Cache=$out/apt/cache")

source_lists() {  # the machine's lists of packages, asking for sources instead
  mkdir -p "$out/apt/sources" "$out/apt/lists/partial" "$out/apt/cache/archives/partial"
  local list
  for list in /etc/apt/sources.list.d/*.sources; do
    if [[ -f $list ]]; then
      sed 's/^Types:.*/Types: deb-src/' "$list" >"$out/apt/sources/$(basename "$list")"
    fi
  done
  for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    if [[ -f $list ]]; then
      sed -n 's/^deb /deb-src /p' "$list" >"$out/apt/sources/$(basename "$list")"
    fi
  done
}

rm -rf "$out"
source_lists
# A third party's mirror without sources may complain; whether abseil's are there is what counts.
apt-get "${apt_options[@]}" update || true
mkdir -p "$out/source"
(cd "$out/source" && apt-get "${apt_options[@]}" --download-only source "abseil=$version")
# Debian's patches matter: they name the shared libraries and the inline namespace.
dpkg-source -x "$out"/source/abseil_*.dsc "$out/source/abseil"

launcher=()
if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
cmake -G Ninja -S "$out/source/abseil" -B "$out/build" -DBUILD_SHARED_LIBS=ON -DBUILD_TESTING=OFF -DCMAKE_SKIP_RPATH=ON \
  -DCMAKE_CXX_STANDARD=17 -DCMAKE_CXX_FLAGS="-O1 -g1 -fno-omit-frame-pointer -fsanitize=thread -Wno-tsan" \
  ${launcher[@]+"${launcher[@]}"}
nice cmake --build "$out/build" --parallel "$jobs" --target synchronization >"$out/build/log" ||
  { tail -n 30 "$out/build/log" >&2; exit 1; }
mkdir "$out/lib"
# Mutex and what it stands on: the spin locks and the memory behind them.
for library in synchronization graphcycles_internal malloc_internal base; do
  find "$out/build" -name "libabsl_$library.so*" -exec cp -P {} "$out/lib/" ';'
done
rm -rf "$out/apt" "$out/source" "$out/build"
echo "$stamp" >"$out/stamp"
