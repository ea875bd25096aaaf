package loop

import (
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// AvailableMemory is how many bytes of memory the process may have: the machine's,
// or what its cgroups (cgroups(7), versions 1 and 2) or its limits of address space
// and data (getrlimit(2)) allow if that is less.
func AvailableMemory() uint64 {
	available := uint64(math.MaxUint64)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		available = uint64(info.Totalram) * uint64(info.Unit)
	}
	for _, resource := range [...]int{unix.RLIMIT_AS, unix.RLIMIT_DATA} {
		var limit unix.Rlimit
		if unix.Getrlimit(resource, &limit) == nil {
			available = min(available, limit.Cur) // none is the largest number
		}
	}
	return min(available, cgroupMemory("/"))
}

// cgroupMemory is the least limit of the cgroups that the process is in, and of
// those above them. root is cgroupFolders'.
func cgroupMemory(root string) uint64 {
	least := uint64(math.MaxUint64)
	for controller, file := range map[string]string{"": "memory.max", "memory": "memory.limit_in_bytes"} {
		for _, folder := range cgroupFolders(root, controller) {
			text, _ := os.ReadFile(path.Join(folder, file)) // the topmost has none
			if limit, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil {
				least = min(least, limit) // "max" is no number
			}
		}
	}
	return least
}
