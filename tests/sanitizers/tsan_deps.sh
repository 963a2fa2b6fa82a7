#!/usr/bin/env bash
# What ThreadSanitizer needs beside the distribution's libraries, which are not built for it: tsan_deps.sh OUT [JOBS]
#
# OUT/lib: the locks of Debian's own abseil, built with -fsanitize=thread, as shared libraries of the same names.
# ThreadSanitizer knows absl::Mutex only by annotations that abseil's build leaves out unless it is itself built
# for ThreadSanitizer; with the distribution's libraries every value behind an absl::Mutex looks like a race.
# gRPC has no other mutex, so with OUT/lib first in the run path most of its hand-overs between threads are known too.
# Cords and statuses are built without -fsanitize=thread, but with reference counts that it sees: gRPC moves them from
# thread to thread by means that nobody sees, while whoever of us lets go of one last must have seen the others.
#
# OUT/include: four headers of gRPC, the installed ones but for annotations of what gRPC promises its callers: what
# came before an operation was started is seen by its callback, and what came before a call's last callback ended by
# its OnDone.
#
# The source of abseil is the installed libabsl-dev's, by apt, from the machine's own mirrors: sources and lists of apt
# are used from a directory of this script, so nothing of the system changes and no root is needed.
set -euo pipefail
out=${1:?usage: tsan_deps.sh OUT [JOBS]}
jobs=${2:-$(nproc)}
mkdir -p "$out"
out=$(cd "$out" && pwd)

version=$(dpkg-query -W -f='${source:Version}' libabsl-dev)
stamp="$version $(dpkg-query -W -f='${Version}' libgrpc++-dev) $(cksum <"$0") $(c++ --version | head -n 1)"
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

annotated() {  # header sed-script: the installed header, changed
  local from=/usr/include/grpcpp/$1 to=$out/include/grpcpp/$1
  mkdir -p "$(dirname "$to")"
  sed -E -e '0,/^#include/s//#include <sanitizer\/tsan_interface.h>\n#include/' -e "$2" "$from" >"$to"
}

annotate_grpc() {
  # After the release nothing of the operation may be touched.
  annotated impl/call_op_set.h '
    s/^( *)grpc_call_error err = g_core_codegen_interface->grpc_call_start_batch/\1grpc_call* const started = call_.call();\n\1void* const tag = core_cq_tag();\n\1__tsan_release(tag);\n&/
    s/^( *)call_\.call\(\), ops, nops, core_cq_tag\(\), nullptr\);/\1started, ops, nops, tag, nullptr);/
    s/^( *)done_intercepting_ = true;/&\n\1grpc_call* const started = call_.call();\n\1void* const tag = core_cq_tag();\n\1__tsan_release(tag);/
    s/^( *)call_\.call\(\), nullptr, 0, core_cq_tag\(\), nullptr\)/\1started, nullptr, 0, tag, nullptr)/'
  annotated support/callback_common.h \
    's/^( *)static void StaticRun\(grpc_completion_queue_functor\* cb, int ok\) \{/&\n\1  __tsan_acquire(cb);/'
  annotated support/server_callback.h \
    's/^( *)virtual ~ServerCallbackCall\(\) \{\}/&\n\1void SeeAllCallbacks() { __tsan_acquire(\&callbacks_outstanding_); }/'
  annotated impl/codegen/server_callback_handlers.h \
    's/^( *)void CallOnDone\(\) override \{/&\n\1  this->SeeAllCallbacks();/'
  local found
  found=$(grep -rhoE '__tsan_(acquire|release)\(|this->SeeAllCallbacks|started,' "$out/include" | sort | uniq -c | tr -s ' \n' ' ')
  [[ $found == " 3 __tsan_acquire( 2 __tsan_release( 2 started, 4 this->SeeAllCallbacks " ]] ||
    { echo "tsan_deps.sh: gRPC's headers are not as expected; annotated were:$found" >&2; exit 1; }
}

rm -rf "$out"
mkdir -p "$out"
annotate_grpc
source_lists
# A third party's mirror without sources may complain; whether abseil's are there is what counts.
apt-get "${apt_options[@]}" update || true
mkdir -p "$out/source"
(cd "$out/source" && apt-get "${apt_options[@]}" --download-only source "abseil=$version")
# Debian's patches matter: they name the shared libraries and the inline namespace.
dpkg-source -x "$out"/source/abseil_*.dsc "$out/source/abseil"

count_seen() {  # header class member: its std::atomic<int32_t>
  sed -i -E -e "s/^( *)std::atomic<int32_t> $3;/\\1SeenCount $3;/" -e "/^(class|struct) $2 \\{/{
    i #ifndef NARU_SEEN_COUNT_OF_$2
    i #define NARU_SEEN_COUNT_OF_$2
    i extern \"C\" void __tsan_acquire(void*);
    i extern \"C\" void __tsan_release(void*);
    i struct SeenCount : std::atomic<int32_t> {
    i   using std::atomic<int32_t>::atomic;
    i   int32_t fetch_sub(int32_t n, std::memory_order order) {
    i     __tsan_release(this);
    i     const int32_t before = std::atomic<int32_t>::fetch_sub(n, order);
    i     __tsan_acquire(this);
    i     return before;
    i   }
    i   int32_t load(std::memory_order order) const {
    i     const int32_t value = std::atomic<int32_t>::load(order);
    i     __tsan_acquire(const_cast<SeenCount*>(this));
    i     return value;
    i   }
    i };
    i #endif
  }" "$1"
  (($(grep -c 'SeenCount' "$1") == 3)) ||
    { echo "tsan_deps.sh: abseil's reference counts in $1 are not as expected" >&2; exit 1; }
}
# Spin locks are taken inline by libraries that say nothing of it, so a slow one must not say either that it waits.
sed -i '/ABSL_TSAN_MUTEX_(PRE|POST)_DIVERT/d' -E "$out/source/abseil/absl/base/internal/spinlock.cc"
count_seen "$out/source/abseil/absl/strings/internal/cord_internal.h" RefcountAndFlags count_
count_seen "$out/source/abseil/absl/status/internal/status_internal.h" StatusRep ref

launcher=()
if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
build() {  # folder flags target library...
  local build=$1 flags=$2 target=$3 library
  shift 3
  cmake -G Ninja -S "$out/source/abseil" -B "$build" -DBUILD_SHARED_LIBS=ON -DBUILD_TESTING=OFF \
    -DCMAKE_SKIP_RPATH=ON -DCMAKE_CXX_STANDARD=17 -DCMAKE_CXX_FLAGS="-O1 -g1 -fno-omit-frame-pointer $flags" \
    ${launcher[@]+"${launcher[@]}"} >"$build.log" 2>&1 &&
    nice cmake --build "$build" --parallel "$jobs" --target "$target" >>"$build.log" 2>&1 ||
    { tail -n 30 "$build.log" >&2; exit 1; }
  for library in "$@"; do
    find "$build" -name "libabsl_$library.so*" -exec cp -P {} "$out/lib/" ';'
  done
}
mkdir "$out/lib"
# Mutex and what it stands on: the spin locks and the memory behind them.
build "$out/build-locks" "-fsanitize=thread -Wno-tsan" synchronization \
  synchronization graphcycles_internal malloc_internal base
# Without jumps into free(), so that it is seen who calls it.
build "$out/build-counts" "-fno-optimize-sibling-calls" status cord cord_internal status
rm -rf "$out"/apt "$out"/source "$out"/build-*
echo "$stamp" >"$out/stamp"
