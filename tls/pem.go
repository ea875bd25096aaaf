package tls

import (
	"bytes"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// OpenSSL's words for what can be wrong with a PEM file.
var (
	errNoStartLine = errors.New("no start line")
	errBadEndLine  = errors.New("bad end line")
	errBadBase64   = errors.New("bad base64 decode")
)

// readFile is os.ReadFile with errors in C's words, some of which Prosody's
// certmanager knows.
func readFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	var errno syscall.Errno
	switch {
	case err == nil:
		return data, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, strerror("No such file or directory")
	case errors.Is(err, fs.ErrPermission):
		return nil, strerror("Permission denied")
	case errors.As(err, &errno):
		return nil, errno
	}
	return nil, err
}

// strerror is C's text for an error.
type strerror string

func (s strerror) Error() string { return string(s) }

// nextPEM finds the first block and returns what comes after it. Text around
// blocks is passed over, as in OpenSSL, but a broken block is an error, where
// encoding/pem passes over that too. Without any block it returns nil.
func nextPEM(data []byte) (block *pem.Block, rest []byte, err error) {
	label, data := findBegin(data)
	if data == nil {
		return nil, nil, nil
	}
	end := findLine(data, "-----END "+label+"-----")
	if end < 0 {
		return nil, nil, errBadEndLine
	}
	_, rest = cutLine(data[end:])
	text := data[:len(data)-len(rest)]
	if bytes.Count(text, []byte("-----BEGIN ")) != 1 {
		return nil, nil, errBadEndLine
	}
	if block, _ = pem.Decode(text); block == nil {
		return nil, nil, errBadBase64
	}
	return block, rest, nil
}

// findBegin returns data from the first line that begins a block on.
func findBegin(data []byte) (label string, from []byte) {
	for {
		start := findLine(data, "-----BEGIN ")
		if start < 0 {
			return "", nil
		}
		line, rest := cutLine(data[start:])
		label, ok := strings.CutSuffix(strings.TrimRight(line[len("-----BEGIN "):], " \t\r"), "-----")
		if ok {
			return label, data[start:]
		}
		data = rest
	}
}

// findLine returns where the first line begins that has a prefix, or -1.
func findLine(data []byte, prefix string) int {
	if bytes.HasPrefix(data, []byte(prefix)) {
		return 0
	}
	if i := bytes.Index(data, []byte("\n"+prefix)); i >= 0 {
		return i + 1
	}
	return -1
}

func cutLine(data []byte) (line string, rest []byte) {
	before, rest, _ := bytes.Cut(data, []byte("\n"))
	return string(before), rest
}
