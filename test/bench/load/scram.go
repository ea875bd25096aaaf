package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"sync"
)

const password = "bench"

// A scram is the client's side of SCRAM-SHA-1 (RFC 5802) without channel binding.
type scram struct {
	user string
	bare []byte // the client's first message without its header
}

const scramHeader = "n,,"

// Every account has the same salt, and to derive the key each time would only cost the server its time.
var saltedPasswords sync.Map

func (s *scram) first() []byte {
	s.bare = fmt.Appendf(nil, "n=%s,r=%s", s.user, rand.Text())
	return append([]byte(scramHeader), s.bare...)
}

func (s *scram) final(challenge []byte) ([]byte, error) {
	var nonce, salt, count []byte
	for field := range bytes.SplitSeq(challenge, []byte(",")) {
		switch name, value, _ := bytes.Cut(field, []byte("=")); string(name) {
		case "r":
			nonce = value
		case "s":
			salt = value
		case "i":
			count = value
		}
	}
	salted, err := saltPassword(string(salt), string(count))
	if err != nil {
		return nil, fmt.Errorf("challenge %q: %w", challenge, err)
	}
	final := fmt.Appendf(nil, "c=%s,r=%s", base64.StdEncoding.EncodeToString([]byte(scramHeader)), nonce)
	message := bytes.Join([][]byte{s.bare, challenge, final}, []byte(","))
	clientKey := sign(salted, []byte("Client Key"))
	storedKey := sha1.Sum(clientKey)
	proof := make([]byte, sha1.Size)
	subtle.XORBytes(proof, clientKey, sign(storedKey[:], message))
	return fmt.Appendf(final, ",p=%s", base64.StdEncoding.EncodeToString(proof)), nil
}

func saltPassword(salt, count string) ([]byte, error) {
	if known, ok := saltedPasswords.Load(salt + "," + count); ok {
		return known.([]byte), nil
	}
	raw, err := base64.StdEncoding.DecodeString(salt)
	if err != nil {
		return nil, err
	}
	rounds, err := strconv.Atoi(count)
	if err != nil {
		return nil, err
	}
	salted, err := pbkdf2.Key(sha1.New, password, raw, rounds, sha1.Size)
	if err == nil {
		saltedPasswords.Store(salt+","+count, salted)
	}
	return salted, err
}

func sign(key, message []byte) []byte {
	mac := hmac.New(sha1.New, key)
	mac.Write(message)
	return mac.Sum(nil)
}
