package loop

import (
	"os"
	"path"
	"strings"
)

// cgroupFolders are those of the cgroup that the process is in and of those above it,
// up to the hierarchy's root (cgroups(7)): of version 1 for a controller, of version 2
// for "". root has /proc and /sys: "/", except in a test. In a container the path may be
// of the host's, and only the hierarchy's root is there.
func cgroupFolders(root, controller string) (folders []string) {
	groups, _ := os.ReadFile(path.Join(root, "proc/self/cgroup")) // there may be no cgroups
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(fields) < 3 || fields[1] != controller {
			continue
		}
		for group := path.Join("/", fields[2]); ; group = path.Dir(group) {
			folders = append(folders, path.Join(root, "sys/fs/cgroup", controller, group))
			if group == "/" {
				break
			}
		}
	}
	return folders
}
