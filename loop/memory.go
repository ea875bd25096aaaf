package loop

import (
	"bufio"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// AvailableMemory is how many bytes of memory the process may have: the machine's,
// or what its cgroups allow if that is less (cgroups(7), versions 1 and 2).
func AvailableMemory() uint64 {
	available := uint64(math.MaxUint64)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		available = uint64(info.Totalram) * uint64(info.Unit)
	}
	return min(available, cgroupMemory("/"))
}

// cgroupMemory is the least limit of the cgroups that the process is in, and of
// those above them. root has /proc and /sys: "/", except in a test.
func cgroupMemory(root string) uint64 {
	least := uint64(math.MaxUint64)
	file, err := os.Open(path.Join(root, "proc/self/cgroup"))
	if err != nil {
		return least
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.SplitN(lines.Text(), ":", 3) // number, controllers, path
		if len(fields) < 3 {
			continue
		}
		switch {
		case fields[1] == "":
			least = min(least, leastLimit(path.Join(root, "sys/fs/cgroup"), fields[2], "memory.max"))
		case fields[1] == "memory":
			least = min(least, leastLimit(path.Join(root, "sys/fs/cgroup/memory"), fields[2], "memory.limit_in_bytes"))
		}
	}
	return least
}

// leastLimit reads the limits from a cgroup up to its hierarchy's root. In a
// container the path may be of the host's, and only the root is there.
func leastLimit(hierarchy, cgroup, file string) uint64 {
	least := uint64(math.MaxUint64)
	for {
		text, err := os.ReadFile(path.Join(hierarchy, cgroup, file))
		if limit, bad := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil && bad == nil {
			least = min(least, limit) // "max" is no number
		}
		if cgroup == "/" || cgroup == "." || cgroup == "" {
			return least
		}
		cgroup = path.Dir(cgroup)
	}
}
