module net.server_go

go 1.26.0

require (
	github.com/aarzilli/golua v0.0.0-20250217091409-248753f411c4
	golang.org/x/sys v0.49.0
)

require (
	github.com/golang-fips/openssl/v2 v2.0.3
	github.com/youmark/pkcs8 v0.0.0-20240726163527-a2c0da244d78
	golang.org/x/crypto v0.58.0
)

// OpenSSL, which is what peers and administrators try their certificates with,
// takes these, and nothing is trusted for it:
godebug (
	x509negativeserial=1 // certificates with a negative serial number
	x509rsacrt=0 // own RSA keys whose precomputed values are wrong; they are computed anew
)
