package tls

import (
	stdtls "crypto/tls"
	"fmt"
	"slices"
)

// versions are the protocol versions that crypto/tls has, oldest first.
var versions = []struct {
	id           uint16
	name, option string
}{
	{stdtls.VersionTLS10, "tlsv1", "no_tlsv1"},
	{stdtls.VersionTLS11, "tlsv1_1", "no_tlsv1_1"},
	{stdtls.VersionTLS12, "tlsv1_2", "no_tlsv1_2"},
	{stdtls.VersionTLS13, "tlsv1_3", "no_tlsv1_3"},
}

// checkProtocol accepts the names that LuaSec does (str2method in context.c).
// SSLv3 is not among them where OpenSSL is built without it, as Debian's is.
func checkProtocol(name string) error {
	if name == "any" || name == "sslv23" {
		return nil
	}
	for _, v := range versions {
		if v.name == name {
			return nil
		}
	}
	return fmt.Errorf("invalid protocol (%s)", name)
}

// versionRange turns a protocol and no_* options into crypto/tls's MinVersion
// and MaxVersion.
//
// Like OpenSSL 3 it takes TLS 1.0 and 1.1 out of "any" unless the security level
// is 0 or no newer version is left. crypto/tls cannot leave out a version in the
// middle, so of a list with a hole the newer part is used.
func versionRange(protocol string, options []string, level int, n *notices) (lowest, highest uint16) {
	anyVersion := protocol == "any" || protocol == "sslv23"
	allowed := 0 // a bit for each of versions
	for i, v := range versions {
		if (anyVersion || v.name == protocol) && !slices.Contains(options, v.option) {
			allowed |= 1 << i
		}
	}
	const old = 1<<0 | 1<<1
	if anyVersion && level > 0 && allowed&old != 0 && allowed&^old != 0 {
		n.add("debug", "TLS 1.0 and 1.1 are off, as in OpenSSL 3: they need @SECLEVEL=0 in ciphers")
		allowed &^= old
	}
	if allowed == 0 {
		return noVersion(n)
	}
	return newestRun(allowed, n)
}

// noVersion is a range without any version. OpenSSL makes such contexts, too, and
// then fails every handshake with "no protocols available".
func noVersion(n *notices) (lowest, highest uint16) {
	n.add("warn", "No protocol version is left: every handshake will fail")
	return stdtls.VersionTLS13, stdtls.VersionTLS10
}

// newestRun is the contiguous run of versions that ends at the newest.
func newestRun(allowed int, n *notices) (lowest, highest uint16) {
	for i := len(versions) - 1; i >= 0; i-- {
		bit := 1 << i
		switch {
		case allowed&bit == 0 && highest != 0:
			if allowed&(bit-1) != 0 {
				n.add("warn", "Protocol versions below %s are off: versions have to be contiguous", versions[i+1].name)
			}
			return lowest, highest
		case allowed&bit != 0:
			lowest = versions[i].id
			highest = max(highest, lowest)
		}
	}
	return lowest, highest
}
