package main

import (
	"bytes"
	"errors"
	"io"
	"net/url"

	"github.com/gobwas/ws"
)

// A webSocket carries XMPP as RFC 7395 says, each write as one text frame, over another stream.
type webSocket struct {
	stream   io.ReadWriter
	received []byte // frames not read yet, the last of them perhaps in part
	payload  []byte // of the current frame, not read yet
}

// openWebSocket makes the HTTP handshake. Prosody's mod_websocket listens at this path.
func openWebSocket(stream io.ReadWriter, host string) (*webSocket, error) {
	w := &webSocket{stream: stream}
	dialer := ws.Dialer{Protocols: []string{"xmpp"}}
	early, _, err := dialer.Upgrade(stream, &url.URL{Scheme: "ws", Host: host, Path: "/xmpp-websocket"})
	if early != nil {
		w.received, _ = early.Peek(early.Buffered())
	}
	return w, err
}

func (w *webSocket) Write(data []byte) (int, error) {
	frame, err := ws.CompileFrame(ws.MaskFrame(ws.NewTextFrame(data)))
	if err != nil {
		return 0, err
	}
	if _, err := w.stream.Write(frame); err != nil {
		return 0, err
	}
	return len(data), nil
}

// Read keeps a part of a frame until the rest has come, so that it may be called again after errAgain.
func (w *webSocket) Read(buffer []byte) (int, error) {
	for len(w.payload) == 0 {
		if w.next() {
			continue
		}
		part := make([]byte, 16<<10)
		n, err := w.stream.Read(part)
		w.received = append(w.received, part[:n]...)
		if n == 0 && err != nil {
			return 0, err
		}
	}
	n := copy(buffer, w.payload)
	w.payload = w.payload[n:]
	return n, nil
}

// next takes a whole frame from what was received, if there is one. Control frames are dropped.
func (w *webSocket) next() bool {
	reader := bytes.NewReader(w.received)
	header, err := ws.ReadHeader(reader)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || int64(reader.Len()) < header.Length {
		return false
	}
	start := len(w.received) - reader.Len()
	end := start + int(header.Length)
	if !header.OpCode.IsControl() {
		w.payload = w.received[start:end:end]
	}
	w.received = w.received[end:]
	return true
}
