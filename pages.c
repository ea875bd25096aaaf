/*
 * The module's own pages. Linux counts what was once read of a file to the process
 * until memory is short, and half of this one is needed only at the start.
 */
#define _GNU_SOURCE /* dl_iterate_phdr */
#include <link.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server_go.h"

static bool has(const struct dl_phdr_info *object, uintptr_t address)
{
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *s = &object->dlpi_phdr[i];
		if (s->p_type == PT_LOAD && address - object->dlpi_addr - s->p_vaddr < s->p_memsz)
			return true;
	}
	return false;
}

/* What the linker has relocated is in a segment that is writable at first, and must stay. */
static int drop_pages(struct dl_phdr_info *object, size_t size, void *function)
{
	(void)size;
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	if (!has(object, (uintptr_t)function))
		return 0;
	int dropped = 0;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *s = &object->dlpi_phdr[i];
		uintptr_t begin = (object->dlpi_addr + s->p_vaddr + page - 1) & ~(page - 1);
		uintptr_t end = (object->dlpi_addr + s->p_vaddr + s->p_memsz) & ~(page - 1);
		if (s->p_type == PT_LOAD && !(s->p_flags & PF_W) && begin < end)
			dropped += madvise((void *)begin, end - begin, MADV_DONTNEED) == 0;
	}
	return dropped;
}

int sgo_drop_pages(void) { return dl_iterate_phdr(drop_pages, (void *)(uintptr_t)sgo_drop_pages); }
