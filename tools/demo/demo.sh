#!/usr/bin/env bash
# A real log through a real hub: demo.sh FOLDER, where FOLDER holds narud, naru and naru-bench. Leaves nothing behind.
set -euo pipefail

bin=$(cd "${1:?the folder of narud, naru and naru-bench}" && pwd)
log=${2:-/var/log/dpkg.log}
folder=$(mktemp -d "${TMPDIR:-/var/tmp}/naru-demo-XXXXXX")
topic=packages
hub=
follower=
members=()

# shellcheck disable=SC2317  # called by the traps
clean_up() {
  trap - EXIT INT TERM
  [[ -z $follower ]] || kill "$follower" 2>/dev/null || true
  ((${#members[@]} == 0)) || kill -9 "${members[@]}" 2>/dev/null || true
  { [[ -z $hub ]] || kill -9 "$hub"; wait; } 2>/dev/null || true
  rm -rf "$folder"
}
trap clean_up EXIT
trap 'clean_up; echo; echo "stopped; nothing is left behind"; exit 130' INT TERM

width=$( (stty size </dev/tty) 2>/dev/null | cut -d' ' -f2 || true)
[[ $width =~ ^[0-9]+$ ]] && ((width >= 20)) || width=80
bold='' plain=''
if [[ -t 1 ]]; then bold=$'\033[1m' plain=$'\033[0m'; fi

tell() { printf '\n%s\n' "$*" | fold -s -w "$((width < 80 ? width : 80))"; }
trim() { cut -c "1-$width"; }  # lines of the log are long
run() {  # shows a command and runs it
  printf '%s$ %s%s\n' "$bold" "$(printf '%q ' "$@")" "$plain"
  "$bin/$1" "${@:2}"
}

start_hub() {
  rm -f "$folder/ports"
  "$bin/narud" --data-dir "$folder/data" --listen 127.0.0.1:0 --http 127.0.0.1:0 \
    --port-file "$folder/ports" --log-level warning >/dev/null &
  hub=$!
  until [[ -s $folder/ports ]]; do
    kill -0 "$hub" 2>/dev/null || { echo "narud ended instead of starting"; exit 1; }
    sleep 0.02
  done
  NARU_SERVER=$(sed -n 's/^listen=//p' "$folder/ports")
  export NARU_SERVER
}

# Lines "package<tab>the line as it was"; a line about no package has no key.
keyed_log() {
  awk '{ package = $3 == "status" || $3 == "conffile" ? $5 : $3 == "startup" ? "" : $4
         print package == "" ? $0 : package "\t" $0 }' "$1"
}
# For machines whose log is gone: what is installed, one line for each package.
keyed_status() {
  awk '/^Package: / { package = $2 } /^Status: / { status = $2 " " $3 " " $4 }
       /^Version: / { print package "\t" status " " package " " $2 }' /var/lib/dpkg/status
}

if [[ -r $log ]] && (($(wc -l <"$log") >= 50)); then
  what="$log, every step of every package that was ever installed here"
  keyed_log "$log" >"$folder/input"
else
  what="/var/lib/dpkg/status, what is installed here ($log is missing or nearly empty)"
  keyed_status >"$folder/input"
fi
lines=$(wc -l <"$folder/input")

tell "1. A hub, with nothing but a fresh directory."
start_hub
echo "narud listens on $NARU_SERVER and keeps its data in $folder/data"

tell "2. A topic of six partitions."
run naru topic create "$topic" --partitions 6

tell "3. Real input: $what: $lines lines. The key is the package, so the lines of one package keep their order." \
  "Each record is on disk before the hub acknowledges it."
run naru produce "$topic" --key-separator $'\t' --file "$folder/input"

tell "4. Read back, partition by partition: partition:offset, key, value. Reading removes nothing."
for partition in 0 1 2 3 4 5; do
  "$bin/naru" consume "$topic" --partition "$partition" --max 2 --null - \
    --format '{partition}:{offset} [{key}] {value}' | trim
done

key=$(cut -s -f1 "$folder/input" | sort | uniq -c | sort -rn | awk 'NR == 1 { print $2 }')
tell "   One package, $key, is in one partition, in the order written:"
"$bin/naru" consume "$topic" --format '{partition}:{offset} [{key}] {value}' >"$folder/all"
grep -F "[$key]" "$folder/all" | sed -n 1,3p | trim

tell "5. kill -9, and a new start on the same directory."
# As one command with its own stderr: the shell reports a job that was killed as soon as it notices.
{ kill -9 "$hub" && wait "$hub"; } 2>/dev/null || true
start_hub
after=$("$bin/naru" consume "$topic" --format '{partition}:{offset}' | wc -l)
echo "acknowledged before: $lines; there after: $after"
[[ $after == "$lines" ]]

tell "6. Somebody follows the topic while more arrives."
"$bin/naru" consume "$topic" --from latest --follow --format '   arrived: {partition}:{offset} [{key}] {value}' \
  >"$folder/followed" 2>"$folder/follower.log" &
follower=$!
# The follower shows what comes after it began; write until it does, then a few more.
printf 'probe\tis anybody there?\n' >"$folder/probe"
until [[ -s $folder/followed ]]; do
  "$bin/naru" produce "$topic" --quiet --key-separator $'\t' --file "$folder/probe"
  kill -0 "$follower" 2>/dev/null || { cat "$folder/follower.log"; exit 1; }
done
for state in unpacked half-configured installed; do
  line="$(date '+%F %T') status $state naru:amd64 0.1.0"
  echo "   written: [naru:amd64] $line" | trim
  printf 'naru:amd64\t%s\n' "$line" | "$bin/naru" produce "$topic" --quiet --key-separator $'\t'
  until grep -qF "$line" "$folder/followed"; do
    kill -0 "$follower" 2>/dev/null || { cat "$folder/follower.log"; exit 1; }
    sleep 0.01
  done
  grep -F "$line" "$folder/followed" | trim
done
kill "$follower"
wait "$follower" 2>/dev/null || true
follower=

tell "7. What the hub says about the topic."
run naru topic describe "$topic" | trim

tell "8. How long it takes: 1,000 single records a second for two seconds, fsync before each acknowledgement, from the" \
  "moment each was meant to be sent."
"$bin/naru-bench" end-to-end --server "$NARU_SERVER" --partitions 6 --rate 1000 --batch-bytes 1 --warmup 0.5 \
  --seconds 2 --json "$folder/bench.json" >"$folder/bench.txt" || { cat "$folder/bench.txt"; exit 1; }
awk -F '[:,]' '/"of"/ { of = $2 ~ /answer/ ? "acknowledged" : "arrived at a reader" }
     /"p50"/ { p50 = $2 } /"p99"/ { p99 = $2 }
     /"max"/ { printf "%s: half within %.1f ms, 99 of 100 within %.1f ms, all within %.1f ms\n", of, p50, p99, $2 }' \
  "$folder/bench.json" >"$folder/latency"
[[ -s $folder/latency ]]
cat "$folder/latency"

tell "9. Three consumers share the topic as a group: each partition is read by one of them, and every line is printed" \
  "once."
await_group() {  # until its description has a line like that
  until "$bin/naru" group describe readers 2>/dev/null | grep -qE "$1"; do sleep 0.05; done
}
for i in 1 2 3; do
  "$bin/naru" consume "$topic" --group readers --instance-id "reader-$i" --session-timeout 1s \
    --format '{partition}:{offset} [{key}] {value}' >"$folder/reader-$i" 2>>"$folder/readers.log" &
  members+=($!)
done
total=$("$bin/naru" consume "$topic" --format x | wc -l)
until (($(cat "$folder"/reader-? | wc -l) >= total)); do sleep 0.05; done
for i in 1 2 3; do
  echo "   reader-$i printed $(wc -l <"$folder/reader-$i") lines, of partitions" \
    "$(cut -d: -f1 "$folder/reader-$i" | sort -un | tr '\n' ' ')"
done
[[ $(sort -u "$folder"/reader-? | wc -l) == "$total" ]]
await_group '^total lag +0$'
run naru group describe readers | trim

tell "   One of them is killed. The others take its partitions over and go on where it had come to."
{ kill -9 "${members[0]}" && wait "${members[0]}"; } 2>/dev/null || true
members=("${members[@]:1}")
await_group '^members +2$'
"$bin/naru" produce "$topic" --quiet --key-separator $'\t' --file "$folder/input"
until (($(cat "$folder"/reader-? | wc -l) >= total + lines)); do sleep 0.05; done
await_group '^total lag +0$'
run naru group describe readers | trim
kill "${members[@]}"
wait "${members[@]}" || { cat "$folder/readers.log"; exit 1; }
members=()

tell "10. SIGTERM: the hub finishes what is under way and goes."
kill "$hub"
status=0
wait "$hub" || status=$?
hub=
echo "narud ended with exit code $status"
[[ $status == 0 ]]

tell "To start your own (it keeps its data in ./naru-data):"
cat <<END
  $bin/narud
  $bin/naru topic create orders --partitions 6
  echo 'hello' | $bin/naru produce orders
  $bin/naru consume orders --follow
  $bin/naru consume orders --group mine   # as many as you like
END
