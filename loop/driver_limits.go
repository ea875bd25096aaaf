package loop

// The constants of driver.go, with what each was measured against, on two virtual
// processors that are shared with the load generator (docs/profile.md).
const (
	// fanOut is how many writes in one log are handed over at once. In a room of
	// 200 the main thread took 67 µs a delivery with a thread and 77 without, with
	// the generational collector 36 and 44 to 54 (AMD). On an Intel machine that
	// was otherwise idle it was 72 and 65, with 0.88 of the deliveries: there a
	// second busy processor slows the first.
	fanOut = 64

	// manyHandshakes at once call for a thread: while they keep the processors
	// busy the Lua thread is to do Lua only. 32 clients at once made 459 logins a
	// second where a Lua thread that did all made 397 (AMD).
	manyHandshakes = 4

	// lateThread is how long, in ns, the Lua thread waits for a thread that Go's
	// runtime has to find first, and lateRetry when it asks again. To begin takes
	// 0.1 ms, or some time slices where others are busy.
	lateThread = 10_000_000
	lateRetry  = 1_000_000_000

	// directWindow and threadWindow are over how long load is measured, in ns,
	// while the Lua thread or an I/O thread runs the loop. A pause of Lua's
	// collector (1.3 to 5 ms, in Prosody), and what it has kept waiting, is to be
	// a small part of one.
	directWindow = 50_000_000
	threadWindow = 100_000_000

	// heavyPercent of a window both sides must have worked before a thread comes,
	// calmPercent if it is to stay. Between the two a thread would come and go.
	heavyPercent = 90
	calmPercent  = 70

	// heavyReady descriptors must be ready in a turn: with 4 echoing connections
	// a thread costs more than it does.
	heavyReady = 8

	// ioPercentOfTwo of the work must be I/O where there are two processors. Of an
	// echo nearly all is, and a thread takes it from Lua's. Of chat through Prosody
	// a fifth is: with a thread it took 100 µs a message of the process, without 83,
	// for 0.95 of the messages (AMD). With more processors any share will do, as
	// before; that was not measured.
	ioPercentOfTwo = 50
)
