/*
 * What Go takes of the host: threads, address space, descriptors. Where its
 * runtime cannot have them it ends the process. So they are asked for in luaopen,
 * before it starts, where the answer can be a Lua error that names the limit.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backend.h"
#include "thread_pool.h"

/* Reads the first line of a file. */
static bool read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");
	bool read = file && fgets(line, (int)size, file);
	if (file)
		fclose(file);
	if (read)
		line[strcspn(line, "\n")] = 0;
	return read;
}

/*
 * The smallest pids.max of a cgroup and those above it, LONG_MAX if there is no
 * limit. folder: of the hierarchy and the cgroup; it is cut.
 */
static long smallest_pids_max(char *folder, size_t root)
{
	long smallest = LONG_MAX;
	for (;;) {
		char path[PATH_MAX + 64], line[32];
		snprintf(path, sizeof path, "%s/pids.max", folder);
		if (read_line(path, line, sizeof line) && *line >= '0' && *line <= '9') {
			long n = strtol(line, NULL, 10);
			smallest = n < smallest ? n : smallest;
		}
		char *end = strrchr(folder, '/');
		if (strlen(folder) <= root || !end)
			return smallest;
		*end = 0;
	}
}

/* The smallest pids.max that holds for this process: cgroups(7), versions 1 and 2. */
static long pids_max(void)
{
	char line[PATH_MAX];
	long smallest = LONG_MAX;
	FILE *file = fopen("/proc/self/cgroup", "re");
	while (file && fgets(line, sizeof line, file)) {
		char folder[PATH_MAX + 32], *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path)
			continue;
		*path++ = 0;
		path[strcspn(path, "\n")] = 0;
		bool v2 = controllers[1] == 0;
		if (!v2 && strcmp(controllers + 1, "pids") != 0)
			continue;
		const char *root = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/pids";
		snprintf(folder, sizeof folder, "%s%s", root, path);
		long n = smallest_pids_max(folder, strlen(root));
		smallest = n < smallest ? n : smallest;
	}
	if (file)
		fclose(file);
	return smallest;
}

/* Says which limits on tasks there are. */
static void name_task_limits(char *text, size_t size)
{
	struct rlimit tasks;
	int n = snprintf(text, size, "RLIMIT_NPROC is ");
	if (getrlimit(RLIMIT_NPROC, &tasks) == 0 && tasks.rlim_cur != RLIM_INFINITY)
		n += snprintf(text + n, size - (size_t)n, "%llu", (unsigned long long)tasks.rlim_cur);
	else
		n += snprintf(text + n, size - (size_t)n, "unlimited");
	long most = pids_max();
	if (most != LONG_MAX)
		snprintf(text + n, size - (size_t)n, ", the cgroup's pids.max is %ld", most);
}

int sgo_threads;
static _Atomic int backends; /* that are open: each on a thread of its own, maybe */

/* Each backend may have an I/O thread; SGO_THREADS counts one. */
bool reserve_threads(char *text, size_t size)
{
	int made = 0, least = SGO_THREADS + backends - sgo_threads;
	int error = least > 0 ? threads_reserve(least, sgo_threads ? least : SGO_ALL_THREADS, &made) : 0;
	if (error) {
		char limits[100];
		name_task_limits(limits, sizeof limits);
		snprintf(text, size, "%d threads are needed beside Prosody's own, and %d could be made (%s): %s",
			sgo_threads + least, sgo_threads + made, strerror(error), limits);
		return false;
	}
	sgo_threads += made;
	backends++;
	return true;
}

void backend_closed(void) { backends--; }

#define MB (1024 * 1024ULL)

/* A field of /proc/self/statm (proc(5), 1 is the first), in bytes. 0 if that cannot be read. */
static unsigned long long in_use(int field)
{
	char line[128], *next = line;
	unsigned long long pages = 0;
	if (!read_line("/proc/self/statm", line, sizeof line))
		return 0;
	while (field-- > 0)
		pages = strtoull(next, &next, 10);
	return pages * (unsigned long long)sysconf(_SC_PAGESIZE);
}

/*
 * What Go's tables and heap take, and libc's for the first of its threads: measured,
 * by trying limits, and something to work with. docs/install.md has the figures.
 * Data is what of it can be written: Go's table of its heap, and what process.go takes of the heap.
 */
#define ADDRESS_SPACE ((sizeof(void *) == 8 ? 1536 : 512) * MB)
#define DATA ((sizeof(void *) == 8 ? 288 : 192) * MB)

static const struct memory_limit {
	int resource, field; /* field: of statm, what counts for it */
	unsigned long long needed;
	const char *name, *what;
} memory_limits[] = {
	{RLIMIT_AS, 1, ADDRESS_SPACE, "RLIMIT_AS", "address space"},
	{RLIMIT_DATA, 6, DATA, "RLIMIT_DATA", "data"},
};

static bool has_memory(const struct memory_limit *m, char *text, size_t size)
{
	struct rlimit limit;
	unsigned long long used = in_use(m->field);
	if (getrlimit(m->resource, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= used + m->needed)
		return true;
	snprintf(text, size, "%s allows %llu MB of %s, %llu MB are in use, %llu MB more are needed", m->name,
		(unsigned long long)limit.rlim_cur / MB, m->what, used / MB, m->needed / MB);
	return false;
}

/* Four of Go's runtime (epoll, eventfd, what the cgroup allows), five of the loop (three of the first, two of the second), two to work with. */
#define DESCRIPTORS 11

static bool has_descriptors(char *text, size_t size)
{
	int fds[DESCRIPTORS], n = 0;
	struct rlimit limit = {0};
	while (n < DESCRIPTORS && (fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		n++;
	int error = errno;
	for (int i = 0; i < n; i++)
		close(fds[i]);
	if (n == DESCRIPTORS)
		return true;
	getrlimit(RLIMIT_NOFILE, &limit);
	snprintf(text, size, "%d descriptors are needed, and %d could be opened (%s): RLIMIT_NOFILE is %llu",
		DESCRIPTORS, n, strerror(error), (unsigned long long)limit.rlim_cur);
	return false;
}

/* Whether there is what Go takes as it starts and what the loop needs to begin with. */
bool host_has_room(char *text, size_t size)
{
	return has_memory(&memory_limits[0], text, size) && has_memory(&memory_limits[1], text, size) && has_descriptors(text, size);
}
