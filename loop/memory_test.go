package loop

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCgroupMemory(t *testing.T) {
	const none = math.MaxUint64
	for _, test := range []struct {
		what   string
		cgroup string
		files  map[string]string
		want   uint64
	}{
		{"no cgroups", "", nil, none},
		{"v2", "0::/a/b\n", map[string]string{"a/b/memory.max": "536870912\n"}, 512 << 20},
		{"v2, no limit", "0::/a/b\n", map[string]string{"a/b/memory.max": "max\n"}, none},
		{"v2, the one above", "0::/a/b\n", map[string]string{"a/memory.max": "1000\n", "a/b/memory.max": "2000\n"}, 1000},
		{"v2 in a container", "0::/\n", map[string]string{"memory.max": "3000\n"}, 3000},
		{"v1", "5:cpu,cpuacct:/x\n7:memory:/a\n", map[string]string{"memory/a/memory.limit_in_bytes": "4000\n"}, 4000},
		{"v1, the host's path", "7:memory:/docker/1\n", map[string]string{"memory/memory.limit_in_bytes": "5000\n"}, 5000},
		{"both", "7:memory:/a\n0::/\n", map[string]string{"memory/a/memory.limit_in_bytes": "9223372036854771712\n", "memory.max": "70\n"}, 70},
		{"nonsense", "7\n\n::\n:::\n0::../../x\n", map[string]string{"memory.max": "-1"}, none},
	} {
		root := t.TempDir()
		put := func(name, text string) {
			name = filepath.Join(root, name)
			if os.MkdirAll(filepath.Dir(name), 0o700) != nil || os.WriteFile(name, []byte(text), 0o600) != nil {
				t.Fatal(name)
			}
		}
		if test.cgroup != "" {
			put("proc/self/cgroup", test.cgroup)
		}
		for name, text := range test.files {
			put("sys/fs/cgroup/"+name, text)
		}
		if got := cgroupMemory(root); got != test.want {
			t.Errorf("%s: %d, not %d", test.what, got, test.want)
		}
	}
	if n := AvailableMemory(); n < 16<<20 || n > 1<<50 {
		t.Error(n)
	}
}

// TestAvailableMemoryKnowsRlimits: Go would end the process beyond them.
func TestAvailableMemoryKnowsRlimits(t *testing.T) {
	for _, resource := range []int{unix.RLIMIT_AS, unix.RLIMIT_DATA} {
		var before unix.Rlimit
		must(0, unix.Getrlimit(resource, &before))(t)
		want := AvailableMemory() - 1 // so much that the test is not concerned
		err := unix.Setrlimit(resource, &unix.Rlimit{Cur: want, Max: before.Max})
		got := AvailableMemory()
		must(0, unix.Setrlimit(resource, &before))(t)
		if err != nil || got != want {
			t.Errorf("resource %d: %d bytes (%v), want %d", resource, got, err, want)
		}
	}
}
