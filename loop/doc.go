// Package loop is the I/O side of the backend: it owns every socket, epoll,
// every buffer and every deadline, and knows nothing of Lua.
//
// The Lua side and a Loop talk through a mailbox. Commands go down as one
// log of records (see command.go), written while callbacks run and applied
// by the next Step. Events come up as one batch (see Event), which Step
// returns and which stays valid until the following Step.
//
// A Loop is not safe for concurrent use: one thread at a time calls its
// methods. Only Post may be called from any goroutine.
//
// What is not here: TLS (package tls), names resolved asynchronously (the
// reference resolves in the calling thread as well), Lua.
package loop
