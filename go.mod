module net.server_go

go 1.26.8

require (
	github.com/aarzilli/golua v0.0.0-20250217091409-248753f411c4
	golang.org/x/sys v0.49.0
)

require (
	github.com/golang-fips/openssl/v2 v2.0.3
	github.com/pires/go-proxyproto v0.15.0
	github.com/youmark/pkcs8 v0.0.0-20240726163527-a2c0da244d78
	golang.org/x/crypto v0.58.0
)

// What OpenSSL accepts and Go would refuse. Nothing is trusted on account of these.
//
// Others are left at Go's defaults on purpose. tlsmaxrsasize: at OpenSSL's limit,
// 16384 bits, a peer could make us compute 6 to 17 ms for each signature, at 8192
// bits it is 2 to 4 ms. rsa1024min and tlssha1: they would apply to every
// connection, whatever @SECLEVEL says.
godebug (
	// Certificates with a negative serial number, of peers and of our own.
	x509negativeserial=1
	// RSA keys of our own whose precomputed values are wrong. They are computed anew.
	x509rsacrt=0
)
