package main

import (
	"bufio"
	"fmt"
	"math/bits"
	"os"
	"strconv"
	"strings"
	"time"
)

// Values up to an hour within 0.4 %: 256 buckets for every doubling, as naru-bench's.
const subBits = 8

type histogram struct {
	counts []int64
	count  int64
	max    int64
}

func (h *histogram) record(ns int64) {
	if h.counts == nil {
		h.counts = make([]int64, 64<<subBits)
	}
	ns = max(0, ns)
	h.counts[indexOf(ns)]++
	h.count++
	h.max = max(h.max, ns)
}

func indexOf(ns int64) int {
	if ns < 1<<subBits {
		return int(ns)
	}
	shift := bits.Len64(uint64(ns)) - subBits - 1
	return shift<<subBits + int(ns>>shift)
}

func endOf(index int) int64 {
	if index < 1<<subBits {
		return int64(index)
	}
	shift := index>>subBits - 1
	return int64(index-shift<<subBits+1)<<shift - 1
}

func (h *histogram) percentile(percent float64) int64 {
	wanted := max(1, int64(percent/100*float64(h.count)+0.999999))
	var seen int64
	for i, n := range h.counts {
		seen += n
		if seen >= wanted {
			return min(endOf(i), h.max)
		}
	}
	return h.max
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		if h.counts == nil {
			h.counts = make([]int64, len(other.counts))
		}
		h.counts[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// What was finished within the window.
type tally struct {
	records, bytes, failures int64
	firstFailure             string
	latency                  histogram
}

func (t *tally) add(bytes int, latency time.Duration) {
	t.records++
	t.bytes += int64(bytes)
	t.latency.record(int64(latency))
}

func (t *tally) fail(why string) {
	if t.failures == 0 {
		t.firstFailure = why
	}
	t.failures++
}

func (t *tally) merge(other *tally) {
	t.records += other.records
	t.bytes += other.bytes
	t.failures += other.failures
	if t.firstFailure == "" {
		t.firstFailure = other.firstFailure
	}
	t.latency.merge(&other.latency)
}

// With the keys of naru-bench's JSON.
type figure map[string]any

func (t *tally) figure(workload, latencyOf string, o *options) figure {
	f := figure{"workload": workload, "seconds": o.seconds, "failures": t.failures,
		"records_per_second": float64(t.records) / o.seconds, "bytes_per_second": float64(t.bytes) / o.seconds}
	if t.failures > 0 {
		f["first_failure"] = t.firstFailure
	}
	if t.latency.count > 0 {
		latency := map[string]any{"of": latencyOf, "count": t.latency.count, "max": float64(t.latency.max) / 1e6}
		for _, percent := range []float64{50, 90, 99, 99.9, 99.99} {
			latency["p"+strconv.FormatFloat(percent, 'f', -1, 64)] = float64(t.latency.percentile(percent)) / 1e6
		}
		f["latency_ms"] = latency
	}
	return f
}

// The CPU time of both sides from here to apply.
type cpuMeter struct {
	server         int
	begin          time.Time
	client, before processStats
}

type processStats struct {
	cpuSeconds float64
	resident   int64
}

func newCPUMeter(server int) *cpuMeter {
	return &cpuMeter{server, time.Now(), readStats("self"), readStats(strconv.Itoa(server))}
}

func (c *cpuMeter) apply(f figure) figure {
	seconds := time.Since(c.begin).Seconds()
	f["client_cores"] = (readStats("self").cpuSeconds - c.client.cpuSeconds) / seconds
	if c.server == 0 {
		return f
	}
	now := readStats(strconv.Itoa(c.server))
	f["server_cores"] = (now.cpuSeconds - c.before.cpuSeconds) / seconds
	f["server_resident_mb"] = float64(now.resident) / 1e6
	return f
}

// From /proc; zeros where there is no such process.
func readStats(pid string) processStats {
	var s processStats
	line, _ := os.ReadFile("/proc/" + pid + "/stat")
	if _, rest, found := strings.Cut(string(line), ") "); found {
		fields := strings.Fields(rest)
		user, _ := strconv.ParseFloat(fields[11], 64)
		system, _ := strconv.ParseFloat(fields[12], 64)
		s.cpuSeconds = (user + system) / 100 // USER_HZ
	}
	s.resident = numberIn("/proc/"+pid+"/status", "VmRSS:") * 1024
	return s
}

func numberIn(path, name string) int64 {
	file, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if rest, found := strings.CutPrefix(lines.Text(), name); found {
			var n int64
			_, _ = fmt.Sscan(rest, &n)
			return n
		}
	}
	return 0
}
