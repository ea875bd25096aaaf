// Package tls will turn LuaSec-style configuration into crypto/tls and run
// handshakes. It is pure Go and knows neither Lua nor sockets.
package tls
