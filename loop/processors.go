package loop

import (
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
)

// processors is how many the process may use: those that it may run on
// (sched_setaffinity(2), which Go's first GOMAXPROCS counts), and no more than its
// control group gives it time for. Go rounds that up, to two at least; where it is
// less than two whole ones, more threads only use it up sooner.
var processors = min(runtime.GOMAXPROCS(0), quotaOf("/proc/self/cgroup", "/sys/fs/cgroup"))

// noQuota is more processors than there are.
const noQuota = 1 << 20

// quotaOf is how many whole processors the control group that is named in a file
// of the form of /proc/self/cgroup may use, one at least: of itself and of those
// above it (cgroups(7), version 2; cpu.max).
func quotaOf(file, root string) int {
	least := noQuota
	groups, err := os.ReadFile(file)
	if err != nil {
		return least
	}
	for line := range strings.Lines(string(groups)) {
		group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		for ; ok; group = path.Dir(group) {
			least = min(least, readQuota(path.Join(root, group, "cpu.max")))
			ok = len(group) > 1
		}
	}
	return least
}

func readQuota(file string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		return noQuota // as the root has none
	}
	quota, period, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	q, err1 := strconv.ParseUint(quota, 10, 62)
	p, err2 := strconv.ParseUint(period, 10, 62)
	if err1 != nil || err2 != nil || p == 0 {
		return noQuota // "max 100000"
	}
	return int(min(max(q/p, 1), noQuota))
}
