#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "_cgo_export.h"

/* A log that a large write made larger than this is not kept. */
#define COMMANDS_KEPT (256 << 10)

static bool buffer_reserve(struct sgo_buffer *buf, size_t length)
{
	if (buf->size - buf->used >= length)
		return true;
	size_t size = buf->size ? buf->size : 4096;
	while (size - buf->used < length) {
		if (size > PTRDIFF_MAX / 2)
			return false; /* Go counts bytes in an int: 1 GiB at most on 32 bits */
		size *= 2;
	}
	char *data = realloc(buf->data, size);
	if (data == NULL)
		return false;
	buf->data = data;
	buf->size = size;
	return true;
}

bool buffer_append(struct sgo_buffer *buf, const void *data, size_t length)
{
	if (!buffer_reserve(buf, length))
		return false;
	memcpy(buf->data + buf->used, data, length);
	buf->used += length;
	return true;
}

void buffer_free(struct sgo_buffer *buf)
{
	free(buf->data);
	*buf = (struct sgo_buffer){0};
}

/* Without memory for a record it is dropped, and false returned. */
static bool append_record(struct backend *b, uint64_t handle, enum sgo_command_kind kind, const void *payload, size_t length)
{
	static const char padding[8];
	struct sgo_command record = {handle, kind, (uint32_t)length};
	if (!buffer_reserve(&b->commands, sizeof record + length + sizeof padding))
		return false;
	buffer_append(&b->commands, &record, sizeof record);
	buffer_append(&b->commands, payload, length);
	buffer_append(&b->commands, padding, -length & 7);
	b->last_write = 0;
	return true;
}

void command(struct backend *b, const struct object *o, enum sgo_command_kind kind)
{
	append_record(b, o->handle, kind, "", 0);
}

void command_number(struct backend *b, const struct object *o, enum sgo_command_kind kind, double value)
{
	append_record(b, o->handle, kind, &value, sizeof value);
}

/* The same for one that concerns data which may be on its way already. */
void command_terms(struct backend *b, struct object *o, enum sgo_command_kind kind, double value)
{
	if (append_record(b, o->handle, kind, &value, sizeof value))
		o->terms++;
}

/* Returns whether there was memory for it: without it, what is meant for TLS would go in the clear. */
bool command_secure(struct backend *b, const struct object *o, enum sgo_command_kind kind, const struct sgo_secure *secure, const char *text)
{
	struct sgo_buffer payload = {0};
	bool ok = buffer_append(&payload, secure, sizeof *secure) && buffer_append(&payload, text, secure->length) &&
		append_record(b, o->handle, kind, payload.data, payload.used);
	buffer_free(&payload);
	return ok;
}

void command_release(struct backend *b, uint64_t handle)
{
	if (!append_record(b, handle, SGO_RELEASE, "", 0))
		sgo_release(b->io, handle); /* what was written before is lost, but not the descriptor */
}

void mark_dirty(struct backend *b, struct object *o)
{
	if (!o->dirty)
		o->dirty = buffer_append(&b->dirty, &o->handle, sizeof o->handle);
}

/* Writes that follow each other become one record, and so one send(2). */
static bool extend_last_write(struct backend *b, const struct object *o, const char *data, size_t length)
{
	if (b->last_write == 0 || o->datagram)
		return false;
	struct sgo_command record;
	char *at = b->commands.data + b->last_write - 1;
	memcpy(&record, at, sizeof record);
	if (record.handle != o->handle || length > UINT32_MAX - record.length)
		return false;
	static const char padding[8];
	if (!buffer_reserve(&b->commands, length + sizeof padding))
		return false;
	at = b->commands.data + b->last_write - 1;
	b->commands.used -= -record.length & 7;
	record.length += (uint32_t)length;
	memcpy(at, &record, sizeof record);
	buffer_append(&b->commands, data, length);
	buffer_append(&b->commands, padding, -record.length & 7);
	return true;
}

/*
 * Appends bytes to the output of o and returns whether there was memory for
 * them. Strings beyond 1 GiB become several records.
 */
bool command_write(struct backend *b, struct object *o, const char *data, size_t length)
{
	const size_t most = 1 << 30;
	mark_dirty(b, o);
	do {
		size_t n = length < most ? length : most;
		if (!extend_last_write(b, o, data, n)) {
			size_t start = b->commands.used;
			if (!append_record(b, o->handle, SGO_WRITE, data, n))
				return false;
			b->last_write = start + 1;
		}
		o->written += n;
		data += n;
		length -= n;
	} while (length > 0);
	return true;
}

void flush_commands(struct backend *b)
{
	sgo_flush(b->io, b->commands.data, b->commands.used);
	commands_applied(b);
}

/* The I/O side has taken the log. */
void commands_applied(struct backend *b)
{
	b->commands.used = 0;
	b->last_write = 0;
	if (b->commands.size > COMMANDS_KEPT)
		buffer_free(&b->commands);
}
