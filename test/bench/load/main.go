// Command load loads a server on loopback, and prints what it saw as one line of JSON.
//
//	load echo      -addr 127.0.0.1:5222 -conns 64 -size 128 [-tls 13] [-idle 10000] [-pause 1ms]
//	load bulk      -addr 127.0.0.1:5222 [-tls 13]
//	load handshake -addr 127.0.0.1:5223 -conns 128 [-tls 12] [-resume] [-group X25519MLKEM768]
//	load login     -addr 127.0.0.1:5222 -conns 32 [-tls 13]
//	load messages  -addr 127.0.0.1:5222 -conns 64 [-tls 13] [-rate 4000]
//	load muc       -addr 127.0.0.1:5222 -conns 200 [-tls 13] [-websocket]
//	load wave      -addr 127.0.0.1:5222 -conns 2000 [-tls 13] [-at-once 32]
//	load hold      -addr 127.0.0.1:5222 -conns 2000 [-tls 13] [-received 1048576]
//
// -time says how long it measures, after -warm, which it does not count; -pid is the server's process,
// whose CPU time it reads at both ends. hold and wave keep their connections, after the line was
// printed, until standard input ends.
//
// It shares the machine with what it measures, so it must be cheap: one thread, with an epoll
// of its own, speaks on all connections.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"runtime/debug"
	"time"
)

type options struct {
	addr     string
	name     string
	conns    int
	size     int
	tls      uint
	idle     int
	received int
	rate     int
	pause    time.Duration
	duration time.Duration
	warm     time.Duration
	pid      int

	websocket bool
	resume    bool
	group     string
	atOnce    int
	patience  time.Duration
}

var modes = map[string]func(options) (any, error){
	"echo":      echo,
	"bulk":      bulk,
	"handshake": handshake,
	"hold":      hold,
	"login":     login,
	"messages":  messages,
	"muc":       muc,
	"wave":      wave,
}

var holding = map[string]bool{"hold": true, "wave": true}

func main() {
	log.SetFlags(0)
	log.SetPrefix("load: ")
	if len(os.Args) < 2 || modes[os.Args[1]] == nil {
		log.Fatal("the first argument must be a mode: echo, bulk, handshake, login, messages, muc, wave or hold")
	}
	mode := os.Args[1]
	opts := parse(os.Args[2:])
	debug.SetGCPercent(800) // memory is cheaper than CPU time here
	if !holding[mode] {
		time.AfterFunc(opts.warm+opts.duration+opts.patience, func() { log.Fatalf("%s did not end in time", mode) })
	}
	result, err := modes[mode](opts)
	if err != nil {
		log.Fatalf("%s: %v", mode, err)
	}
	line, err := json.Marshal(result)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
	if holding[mode] {
		io.Copy(io.Discard, os.Stdin) // whatever ends it
	}
}

func parse(args []string) options {
	var o options
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	flags.StringVar(&o.addr, "addr", "", "the `address` of the server, an IPv4 address and a port")
	flags.StringVar(&o.name, "name", "bench.example.net", "the `host` to ask for")
	flags.IntVar(&o.conns, "conns", 64, "how many connections or clients")
	flags.IntVar(&o.size, "size", 128, "bytes of a message")
	flags.UintVar(&o.tls, "tls", 0, "12 or 13: the newest TLS to offer; 0: none")
	flags.IntVar(&o.idle, "idle", 0, "idle connections to open beforehand")
	flags.IntVar(&o.received, "received", 0, "bytes to send and get back on each connection before holding it")
	flags.IntVar(&o.rate, "rate", 0, "messages a second in all; 0: one after the other")
	flags.DurationVar(&o.pause, "pause", 0, "how long to wait between an answer and the next message")
	flags.DurationVar(&o.duration, "time", 2*time.Second, "how long to measure")
	flags.DurationVar(&o.warm, "warm", 300*time.Millisecond, "how long to run before that")
	flags.BoolVar(&o.websocket, "websocket", false, "speak WebSocket")
	flags.BoolVar(&o.resume, "resume", false, "resume one session again and again")
	flags.StringVar(&o.group, "group", "", "the only key exchange to offer: X25519MLKEM768; none: X25519 and P-256")
	flags.IntVar(&o.atOnce, "at-once", 0, "how many log in at the same time; 0: all")
	flags.DurationVar(&o.patience, "patience", 2*time.Minute, "how long a wave, or all but what is measured, may take")
	flags.IntVar(&o.pid, "pid", 0, "the server's process")
	flags.Parse(args) // ends the program if it fails
	return o
}
