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
var processors = min(runtime.GOMAXPROCS(0), quotaOf("/"))

// noQuota is more processors than there are.
const noQuota = 1 << 20

// quotaOf is how many whole processors the control group that the process is in may
// use, one at least: of itself and of those above it (version 2; cpu.max). root is
// cgroupFolders'.
func quotaOf(root string) int {
	least := noQuota
	for _, folder := range cgroupFolders(root, "") {
		least = min(least, readQuota(path.Join(folder, "cpu.max")))
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
