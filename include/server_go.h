/*
 * The boundary between C and Go: what one side may ask of the other.
 *
 * The Lua side is C: every lua_CFunction, every call into Lua. The I/O side
 * is Go (package loop). C calls the sgo_ functions of export.go, whose
 * prototypes are in _cgo_export.h, and never the other way round: no Go
 * frame is on the stack when Lua runs, so a Lua error may pass freely. Where Go reads
 * a Lua table it uses only functions that neither allocate nor raise: anything
 * else may run finalizers, and those are Lua.
 *
 * All functions are to be called on the thread that runs Lua, and none may
 * be called in a forked child. None raises a Lua error, none keeps a pointer
 * beyond the call unless it says so. A panic in Go is caught and answered as
 * a failure whose text is in the struct sgo_error.
 *
 * The host's signals are blocked while a call lasts (host_signals.c), so all
 * calls are to be short: waiting is C's part. Only sgo_listen and sgo_dial wait,
 * for the resolver, if they are given a name instead of an address.
 *
 *   uint32_t sgo_open(struct sgo_error *)
 *       A new I/O side with default settings. Returns its number, 0 on error.
 *   void sgo_close(uint32_t io)
 *       Closes every descriptor that it owns. The number is dead afterwards;
 *       every function answers for a dead number as for a closed handle.
 *   int sgo_configure(uint32_t io, lua_State *, int index,
 *                     struct sgo_settings *, struct sgo_error *)
 *       Reads network_settings from the table at index (raw access, see above;
 *       needs room for 10 values on the stack),
 *       applies it and fills in the part that C needs, where max_send_buffer
 *       has its default beforehand. Returns 0, or -1 if
 *       some key was unusable: the others are applied all the same.
 *
 *   int sgo_step(uint32_t io, struct sgo_turn *, struct sgo_event **events,
 *                struct sgo_error *)
 *       Hands over what C did since the step before, sets *events to the batch
 *       of what happened, and returns their number, or -1 if it failed. Says in
 *       `wait` for what C has to wait in epoll before the next step, if it has no
 *       command for it. The batch and all it points to belong to Go and are
 *       valid until the next sgo_step. C sets `refused` in a data event that it
 *       will not deliver now; the rest counts as taken by the next step. The
 *       log's memory is Go's from now on, in its place C gets a log that is
 *       spent: empty, and without memory if there is none. It may be applied on
 *       another thread after sgo_step has returned; what sgo_sent and the others
 *       say may be of a time before it.
 *   void sgo_flush(uint32_t io, const char *commands, size_t length)
 *       Applies the commands and sends what they wrote, before it returns,
 *       without waiting and without an end to the present batch.
 *
 *   int sgo_listen(io, host, length, port, read_mode, struct sgo_object *, error)
 *   int sgo_serve(io, fd, read_mode, object, error)     accept on fd
 *   int sgo_dial(io, host, length, port, type, length, read_mode, object, error)
 *   int sgo_adopt(io, fd, read_mode, object, error)     use the socket fd
 *   int sgo_watch(io, fd, flags, object, error)         only poll fd
 *       New listeners, connections and watches. Returns 0 and fills in the
 *       object, or -1. fd stays the caller's: serve and adopt duplicate it.
 *       A new connection waits for the command SGO_START.
 *       sgo_watch may fill in the object and still fail: then the handle is
 *       good and fd cannot be polled.
 *   void sgo_release(uint32_t io, uint64_t handle)
 *       Closes the object at once and frees its handle, like the command
 *       SGO_RELEASE, but before it returns.
 *   void sgo_names(uint32_t io, uint64_t handle, struct sgo_names *)
 *       Both ends of a connection.
 *   uint64_t sgo_sent(uint32_t io, uint64_t handle)
 *       How many bytes of what was ever written the kernel has taken.
 *   int sgo_setoption(io, handle, name, length, int value, error)
 *       Returns 0 or -1. Names are LuaSocket's; "linger" takes seconds,
 *       negative for off.
 *   int sgo_context_new(io, lua_State *, int index, uint64_t *id,
 *                       struct sgo_text *notices, error)
 *       A TLS context of the LuaSec configuration table at index (raw access,
 *       room for 15 values). Returns 0;
 *       -1; or n > 0 if the password function of the n-th key pair (1 for the
 *       table's own) has to be called first and its result put in its place.
 *       notices: lines of level, tab, text, to be logged. A struct sgo_text
 *       is malloc'ed by Go and freed by C.
 *   void sgo_context_free(io, uint64_t id)      sessions that use it keep it
 *   void sgo_enable_dane(io, handle, name, length)
 *       The name that the connection is verified for, before SGO_START_TLS.
 *   void sgo_add_tlsa(io, handle, usage, selector, matching, data, length)
 *       A TLSA record for the connection, after sgo_enable_dane.
 *   int sgo_tls_query(io, handle, enum sgo_tls_question, int arg, struct sgo_text *)
 *       Returns 1 and the answer, or 0. Only after SGO_SECURED.
 *   int sgo_tls_export(io, handle, label, length, context, length, int n,
 *                      struct sgo_text *)
 *       RFC 5705 keying material, n bytes. context may be NULL. Returns 0 or -1.
 *
 *   void sgo_stats(io, struct sgo_stats *, struct sgo_text *failures)
 *       What was counted since sgo_open, and what waits now. failures: a line
 *       for each reason of failed handshakes: number, tab, reason.
 *   const char *sgo_go_version(void)
 *       The Go that the module was built with, "go1.26.8" for one.
 */
#ifndef SERVER_GO_H
#define SERVER_GO_H

#include <stddef.h>
#include <stdint.h>

struct sgo_error {
	char text[256];
};

struct sgo_text {
	char *data;
	size_t length;
};

enum sgo_tls_question {
	SGO_TLS_INFO = 1,     /* lines: s, n or b for the type, name, tab, value */
	SGO_TLS_CERTIFICATE,  /* number arg of the peer's chain, PEM */
	SGO_TLS_VERIFICATION, /* empty: trusted; else an error or nothing, then lines of depth, tab, error */
	SGO_TLS_FINISHED,
	SGO_TLS_SERVER_NAME,
	SGO_TLS_ALPN,
	SGO_TLS_OWN_FINISHED,
};

/* A growing byte array; its memory is from malloc. */
struct sgo_buffer {
	char *data;
	size_t used, size;
};

/* Commands: see package loop, command.go, for what each does. */
enum sgo_command_kind {
	SGO_WRITE = 1,
	SGO_PAUSE,
	SGO_RESUME,
	SGO_WATCH_READ,
	SGO_WATCH_WRITE,
	SGO_HOLD_WRITES,
	SGO_RELEASE_WRITES,
	SGO_READ_MODE,
	SGO_LIMIT,
	SGO_PAUSE_FOR,
	SGO_READ_DEADLINE,
	SGO_WRITE_DEADLINE,
	SGO_WATCH_FLAGS,
	SGO_FINISH,
	SGO_BLOCK_READS,
	SGO_START_TLS,    /* payload: struct sgo_secure and its text */
	SGO_ANSWER_HELLO, /* the same */
	SGO_RELEASE,
	SGO_START,
};

/* context 0 in an answer refuses the name that the client asked for. */
struct sgo_secure {
	uint64_t context;
	uint32_t flags;
	uint32_t length; /* of the text that follows: SNI, or the ALPN protocol */
};

enum {
	SGO_START_DIRECT = 1,
	SGO_START_ASK_HELLO = 2,
	SGO_ANSWER_CHOSEN = 1, /* the text is the ALPN protocol, "" for none */
};

/* One record of the command log; the payload follows it, padded to 8 bytes. */
struct sgo_command {
	uint64_t handle;
	uint32_t kind;
	uint32_t length;
};

/* Events: see package loop, event.go. */
enum sgo_event_kind {
	SGO_ACCEPTED = 1,
	SGO_ACCEPT_FAILED,
	SGO_CONNECTED,
	SGO_DATA,
	SGO_DRAINED,
	SGO_READ_TIMEOUT,
	SGO_CLOSED,
	SGO_READY,
	SGO_TLS_STARTED,
	SGO_HELLO,
	SGO_SECURED,
	SGO_NOTE, /* level, tab, lines for the log: the module's if the handle is 0 */
};

struct sgo_event {
	uint64_t handle;
	uint64_t listener;
	uint64_t sent;
	const char *bytes;
	size_t length;
	int32_t kind;
	int32_t value;
	int32_t fd;
	uint8_t flag; /* connected: learnt from data; closed: by the peer */
	uint8_t refused; /* set by C */
};

struct sgo_object {
	uint64_t handle;
	int32_t fd;
	uint8_t datagram;
};

struct sgo_name {
	int known;
	int port;
	char host[112];
};

struct sgo_names {
	struct sgo_name peer, local;
};

/* For struct sgo_stats: how an object came to be. Package loop, stats.go, says more. */
enum sgo_kind { SGO_ACCEPTS, SGO_DIALS, SGO_ADOPTS, SGO_DATAGRAMS, SGO_LISTENERS, SGO_WATCHES, SGO_KINDS };

/* For struct sgo_stats: what a connection or handshake was refused for. Package loop, door.go, says more. */
enum sgo_limit {
	SGO_LIMIT_CONNECTIONS, SGO_LIMIT_NEW_CONNECTIONS, SGO_LIMIT_ADDRESS_HANDSHAKES, SGO_LIMIT_HANDSHAKES, SGO_LIMIT_PROXY,
	SGO_LIMITS
};

/* Why another thread runs the I/O side than before. Package loop, driver.go, says more. */
enum sgo_reason { SGO_SETTING, SGO_PROCESSORS, SGO_FAN_OUT, SGO_HANDSHAKES, SGO_LOAD, SGO_CALM, SGO_LATE, SGO_REASONS };

struct sgo_stats {
	uint64_t opened[SGO_KINDS], closed[SGO_KINDS];
	uint64_t received, sent;           /* bytes on the wire */
	uint64_t unsent, undelivered;      /* bytes that wait for the kernel, for Lua */
	uint64_t buffered, buffers_full;   /* bytes of the buffers that they are in; connections closed for too many */
	uint64_t accept_errors, events;
	uint64_t refused[SGO_LIMITS];
	uint64_t client_handshakes, server_handshakes, running_handshakes;
	uint64_t goroutines, threads;      /* of the Go runtime */
	uint64_t changes[SGO_REASONS];     /* of threaded, by the reason */
	uint64_t thread_time;              /* ns with a thread of its own */
	uint64_t stalls;                   /* of the I/O side, seen by its watchdog */
	uint8_t threaded;                  /* a thread of its own runs the I/O side */
	uint8_t reason;                    /* of the latest change */
};

enum { SGO_READY_EVENTS = 256 };

/* What C is to wait for: the epoll instance fd (negative: nothing), for ns at most (negative: for ever). */
struct sgo_wait {
	int64_t ns;
	int fd;
};

/* For sgo_step. Times are in ns. */
struct sgo_turn {
	struct sgo_buffer *commands;
	struct epoll_event *ready; /* what epoll_pwait has set, SGO_READY_EVENTS at most */
	int nready;                /* how many; or it failed with errno -nready. A signal is no failure */
	int waited;                /* else the step looks itself what is ready */
	int64_t busy;              /* for how long Lua has run, in all */
	int64_t max_wait;          /* the step itself may wait for so long; negative: for ever */
	struct sgo_wait wait;      /* set by Go */
};

/*
 * Go's threads, beside those that run Lua. C reserves them before Go starts, because
 * Go ends the process where it cannot have one: SGO_ALL_THREADS, or as many as
 * there may be, but SGO_THREADS at least. process.go does with fewer than all.
 */
enum { SGO_THREADS = 10, SGO_ALL_THREADS = 15 };
extern int sgo_threads; /* how many it has reserved */

/*
 * Lets go of the pages of this module that can be read from its file again. Those
 * in use come back at once, 16 by each fault. Returns whether it could. (pages.c)
 */
int sgo_drop_pages(void);

/* Read modes beside a size in bytes; 0 stands for the setting read_size. */
enum { SGO_READ_ANY = -1, SGO_READ_LINES = -2 };

/* The settings that the Lua side acts on. Times are in seconds, sizes in bytes. */
struct sgo_settings {
	double read_timeout, send_timeout, connect_timeout, read_size; /* of relays, see relay.c */
	double shutdown_deadline;   /* seconds, negative: none */
	double max_send_buffer;     /* bytes, 0: no limit */
	double accept_retry_interval;
	int verbose;
	int protect_listeners;
	int fatal_errors;
};

/*
 * The offset of the last member of what Go and C share, on each processor: it is the
 * sum of the sizes before it, and nothing follows but what aligns an array. layout.go
 * has Go's compiler check that it takes them for the same.
 */
#define SGO_LAYOUT(type, last, offset) \
	_Static_assert(offsetof(struct type, last) == (offset) && \
		sizeof(struct type) - (offset) - sizeof ((struct type *)0)->last < _Alignof(struct type), #type)
#define SGO_POINTER sizeof(void *)
SGO_LAYOUT(sgo_error, text, 0);
SGO_LAYOUT(sgo_text, length, SGO_POINTER);
SGO_LAYOUT(sgo_buffer, size, 2 * SGO_POINTER);
SGO_LAYOUT(sgo_secure, length, 12);
SGO_LAYOUT(sgo_command, length, 12);
SGO_LAYOUT(sgo_event, refused, 37 + 2 * SGO_POINTER);
SGO_LAYOUT(sgo_object, datagram, 12);
SGO_LAYOUT(sgo_name, host, 8);
SGO_LAYOUT(sgo_names, local, 120);
SGO_LAYOUT(sgo_stats, reason, (2 * SGO_KINDS + SGO_LIMITS + SGO_REASONS + 15) * 8 + 1);
SGO_LAYOUT(sgo_wait, fd, 8);
SGO_LAYOUT(sgo_turn, wait, 2 * SGO_POINTER + 24);
SGO_LAYOUT(sgo_settings, fatal_errors, 7 * 8 + 2 * 4);
_Static_assert(sizeof(size_t) == SGO_POINTER && sizeof(int) == 4, "Go's C.size_t and C.int");

#endif
