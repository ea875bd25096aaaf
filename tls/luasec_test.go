package tls

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// refusal is a configuration and what LuaSec 1.2.0 over OpenSSL 3.0 says to it.
type refusal struct {
	cfg    Config
	luasec string // "": accepted
	ours   string // where it differs on purpose: "=" is the same
}

const same = "="

// refusals has the files of brokenFiles in the current folder, keys/ beside.
var refusals = []refusal{
	{Config{Protocol: "x"}, "invalid protocol (x)", same},
	{Config{Protocol: "sslv3"}, "invalid protocol (sslv3)", same},
	{Config{Protocol: "sslv2"}, "invalid protocol (sslv2)", same},
	{Config{Protocol: "TLSv1_2"}, "invalid protocol (TLSv1_2)", same},
	{Config{Protocol: "dtlsv1"}, "invalid protocol (dtlsv1)", same},
	{Config{Protocol: "any"}, "", same},
	{Config{Protocol: "tlsv1"}, "", same},
	{Config{Protocol: "tlsv1_1"}, "", same},
	{Config{Protocol: "tlsv1_2"}, "", same},
	{Config{Protocol: "tlsv1_3"}, "", same},
	// LuaSec takes any other mode for one that can do both.
	{Config{Mode: "x"}, "", "invalid mode (x)"},

	// OpenSSL loses errno on its way; certmanager knows strerror's texts.
	{key("absent"), "error loading private key ((null))", "error loading private key (No such file or directory)"},
	{key("."), "error loading private key (unsupported)", "error loading private key (is a directory)"},
	// OpenSSL 3 tries every form there is and says only that none was right.
	{key("text"), "error loading private key (unsupported)", "error loading private key (no start line)"},
	{key("empty"), "error loading private key (unsupported)", "error loading private key (no start line)"},
	{key("keys/rsa.crt"), "error loading private key (unsupported)", "error loading private key (no start line)"},
	{key("base64.key"), "error loading private key (unsupported)", "error loading private key (bad base64 decode)"},
	{key("cut.key"), "error loading private key (unsupported)", "error loading private key (bad end line)"},
	{key("keys/x25519.key"), "error loading private key (unknown certificate type)", "error loading private key (unsupported key type: ecdh.PrivateKey)"},
	{key("keys/ed448.key"), "", "error loading private key (unsupported key type: Ed448)"},
	{key("keys/rsapss.key"), "", "error loading private key (unsupported key type: RSA-PSS)"},
	{key("keys/secp256k1.key"), "", "error loading private key (unknown elliptic curve)"},
	{key("keys/p256-after-certificate.key"), "", same},
	{key("keys/p384.key"), "", same},
	{locked("keys/p256-pkcs8-aes256.key", "wrong"), "error loading private key (bad decrypt)", same},
	{locked("keys/p256-sec1-aes256.key", "wrong"), "error loading private key (bad decrypt)", same},
	{locked("keys/p256-pkcs8-v1-3des.key", "wrong"), "error loading private key (bad decrypt)", same},
	{locked("keys/rsa-pkcs1-aes256.key", "wrong"), "error loading private key (bad decrypt)", same},
	{locked("keys/p256-pkcs8-aes256.key", "secret"), "", same},
	{locked("keys/p256-sec1-aes256.key", "secret"), "", same},

	{certificate("absent"), "error loading certificate ((null))", "error loading certificate (No such file or directory)"},
	{certificate("."), "error loading certificate (no start line)", "error loading certificate (is a directory)"},
	{certificate("text"), "error loading certificate (no start line)", same},
	{certificate("empty"), "error loading certificate (no start line)", same},
	{certificate("keys/rsa.key"), "error loading certificate (no start line)", same},
	{certificate("base64.crt"), "error loading certificate (bad base64 decode)", same},
	{certificate("cut.crt"), "error loading certificate (bad end line)", same},
	{certificate("cut-chain.crt"), "error loading certificate (bad end line)", same},
	{certificate("asn1-chain.crt"), "error loading certificate (wrong tag)", same},
	{certificate("keys/rsa1024.crt"), "error loading certificate (ee key too small)", same},
	{certificate("keys/sha1.crt"), "error loading certificate (ca md too weak)", same},
	{certificate("keys/secp256k1.crt"), "", "error loading certificate (unsupported elliptic curve)"},
	{certificate("keys/text.crt"), "", same},
	{certificate("keys/trusted.crt"), "", same},
	{certificate("chain.crt"), "", same},

	{pair("keys/rsa"), "", same},
	{pair("keys/p256"), "", same},
	{pair("keys/p521"), "", same},
	{pair("keys/ed25519"), "", same},
	{Config{Certificates: []KeyPair{{Certificate: "chain.crt", Key: "keys/rsa.key"}}}, "", same},
	{Config{Certificates: []KeyPair{{Certificate: "wrong-order.crt", Key: "keys/rsa.key"}}}, "private key does not match public key", same},
	{Config{Certificates: []KeyPair{{Certificate: "keys/p256.crt", Key: "keys/rsa.key"}}}, "private key does not match public key", same},
	{Config{Certificates: []KeyPair{{Certificate: "keys/p384.crt", Key: "keys/p256.key"}}}, "private key does not match public key", same},
	{pairs("keys/rsa", "keys/p256"), "", same},
	{Config{Certificates: []KeyPair{{Certificate: "keys/rsa.crt", Key: "keys/rsa.key"}, {Certificate: "keys/p256.crt", Key: "keys/rsa.key"}}}, "private key does not match public key", same},

	{Config{CAFile: "keys/rsa.crt"}, "", same},
	{Config{CAFile: "text"}, "error loading CA locations (no certificate or crl found)", same},
	{Config{CAFile: "empty"}, "error loading CA locations (no certificate or crl found)", same},
	{Config{CAFile: "keys/rsa.key"}, "error loading CA locations (no certificate or crl found)", same},
	{Config{CAFile: "base64.crt"}, "error loading CA locations (bad base64 decode)", same},
	{Config{CAFile: "cut-chain.crt"}, "error loading CA locations (bad end line)", same},
	{Config{CAPath: "absent"}, "", same},
	{Config{CAPath: "text"}, "", same},

	{Config{Ciphers: "FOO"}, "error setting cipher list (no cipher match)", same},
	{Config{Ciphers: "HIGH:!ALL"}, "error setting cipher list (no cipher match)", same},
	{Config{Ciphers: "HIGH:@FOO"}, "error setting cipher list (invalid command)", same},
	{Config{Ciphers: "HIGH+"}, "error setting cipher list (invalid command)", same},
	{Config{Ciphers: "HIGH"}, "", same},
	{Config{Ciphers: "DHE"}, "", same},
	{Config{Ciphers: "EDH+aRSA+AESGCM", Protocol: "tlsv1_2"}, "", "error setting cipher list (none of its suites exists here: DHE-RSA-AES256-GCM-SHA384, DHE-RSA-AES128-GCM-SHA256)"},
	{Config{Ciphers: "3DES"}, "error setting cipher list (no cipher match)", ""}, // Debian's OpenSSL has none
	{Config{CipherSuites: "FOO"}, "error setting cipher list (no cipher match)", same},
	{Config{CipherSuites: "TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384"}, "error setting cipher list (no cipher match)", same},
	{Config{CipherSuites: "tls_aes_128_gcm_sha256"}, "error setting cipher list (no cipher match)", same},
	{Config{CipherSuites: "TLS_AES_128_GCM_SHA256:FOO"}, "", same},
	{Config{CipherSuites: "TLS_AES_128_CCM_SHA256"}, "", same},

	{Config{Verify: []string{"x"}}, "invalid verify option (x)", same},
	{Config{Verify: []string{"peer", "x"}}, "invalid verify option (x)", same},
	{Config{Verify: []string{"continue"}}, "invalid verify option (continue)", same},
	{Config{Verify: []string{""}}, "invalid verify option ()", same},
	{Config{Verify: verifyNames}, "", same},
	{Config{VerifyExt: []string{"x"}}, "invalid verify option (x)", same},
	{Config{VerifyExt: verifyExtNames}, "", same},
	{Config{Options: []string{"x"}}, "invalid option (x)", same},
	{Config{Options: []string{"no_tlsv1_4"}}, "invalid option (no_tlsv1_4)", same},
	{Config{Options: []string{"all", "no_ticket", "no_ticket"}}, "", same},
	{Config{Options: []string{"no_tlsv1", "no_tlsv1_1", "no_tlsv1_2", "no_tlsv1_3"}}, "", same},
	{Config{Protocol: "tlsv1_2", Options: []string{"no_tlsv1_2"}}, "", same},

	{Config{CurvesList: "FOO"}, `unknown elliptic curve in "FOO"`, same},
	{Config{CurvesList: "X25519:FOO"}, `unknown elliptic curve in "X25519:FOO"`, same},
	{Config{CurvesList: "X25519:X25519"}, `unknown elliptic curve in "X25519:X25519"`, same},
	{Config{CurvesList: "P-256:prime256v1"}, `unknown elliptic curve in "P-256:prime256v1"`, same},
	{Config{CurvesList: "X25519,P-256"}, `unknown elliptic curve in "X25519,P-256"`, same},
	{Config{CurvesList: "X25519:"}, `unknown elliptic curve in "X25519:"`, same},
	{Config{CurvesList: "p-256"}, `unknown elliptic curve in "p-256"`, same},
	{Config{CurvesList: "SECP256R1"}, `unknown elliptic curve in "SECP256R1"`, same},
	{Config{CurvesList: "X25519:P-384:P-256:P-521"}, "", same},
	{Config{CurvesList: "x25519:X448:secp384r1:brainpoolP256r1:ffdhe2048"}, "", same},
	{Config{CurvesList: "X448"}, "", `unknown elliptic curve in "X448"`},
	{Config{CurvesList: "X25519MLKEM768:X25519"}, `unknown elliptic curve in "X25519MLKEM768:X25519"`, ""}, // OpenSSL 3.5 has it
	{Config{Curve: "FOO"}, "elliptic curve 'FOO' not supported", same},
	{Config{Curve: "X25519"}, "elliptic curve 'X25519' not supported", same},
	{Config{Curve: "secp256r1"}, "elliptic curve 'secp256r1' not supported", same},
	{Config{Curve: "x25519"}, "elliptic curve 'x25519' not supported", same},
	{Config{Curve: "P-384"}, "", same},
	{Config{Curve: "prime256v1"}, "", same},
	{Config{Curve: "secp521r1"}, "", same},
	{Config{Curve: "secp256k1"}, "", "elliptic curve 'secp256k1' not supported"},
	{Config{Curve: "FOO", CurvesList: "X25519"}, "", same},

	{Config{ALPN: []string{}}, "invalid ALPN list (empty)", same},
	{Config{ALPN: []string{""}}, "invalid ALPN name (empty string)", same},
	{Config{ALPN: []string{strings.Repeat("x", 256)}}, "invalid ALPN name (length > 255)", same},
	{Config{ALPN: []string{"a", "b"}}, "", same},
	{Config{Mode: "client", ALPN: []string{}}, "invalid ALPN list (empty)", same},
	{Config{Mode: "client", ALPN: []string{"xmpp-client"}}, "", same},

	// Of several things that are wrong the first in LuaSec's order is told.
	{Config{Protocol: "x", Certificates: key("absent").Certificates}, "invalid protocol (x)", same},
	{Config{Certificates: certificate("text").Certificates, Ciphers: "FOO"}, "error loading certificate (no start line)", same},
	{Config{CAFile: "text", Ciphers: "FOO"}, "error loading CA locations (no certificate or crl found)", same},
	{Config{Ciphers: "FOO", CipherSuites: "FOO", Verify: []string{"x"}}, "error setting cipher list (no cipher match)", same},
	{Config{Verify: []string{"x"}, Options: []string{"y"}}, "invalid verify option (x)", same},
	{Config{Options: []string{"y"}, CurvesList: "FOO"}, "invalid option (y)", same},
	{Config{CurvesList: "FOO", VerifyExt: []string{"x"}}, `unknown elliptic curve in "FOO"`, same},
	{Config{VerifyExt: []string{"x"}, ALPN: []string{}}, "invalid verify option (x)", same},
}

// accepted35 are those of refusals that LuaSec over OpenSSL 3.5 accepts, because it looks at
// no signature of a self-signed certificate, is no longer particular about the names of
// curves, and knows ML-KEM.
var accepted35 = []Config{
	certificate("keys/sha1.crt"),
	{CurvesList: "X25519:X25519"},
	{CurvesList: "P-256:prime256v1"},
	{CurvesList: "p-256"},
	{CurvesList: "SECP256R1"},
	{CurvesList: "X25519MLKEM768:X25519"},
}

func key(path string) Config {
	return Config{Certificates: []KeyPair{{Key: path}}}
}

func locked(path, secret string) Config {
	return Config{Certificates: []KeyPair{{Key: path, Password: password(secret)}}}
}

func certificate(path string) Config {
	return Config{Certificates: []KeyPair{{Certificate: path}}}
}

func pair(name string) Config { return pairs(name) }

func pairs(names ...string) (cfg Config) {
	for _, name := range names {
		cfg.Certificates = append(cfg.Certificates, KeyPair{Certificate: name + ".crt", Key: name + ".key"})
	}
	return cfg
}

// complete fills in what a configuration cannot be without.
func (r refusal) complete() Config {
	cfg := r.cfg
	if cfg.Protocol == "" {
		cfg.Protocol = "sslv23"
	}
	if cfg.Mode == "" {
		cfg.Mode = "server"
	}
	return cfg
}

// brokenFiles makes the files that refusals name, and goes to their folder.
func brokenFiles(t *testing.T) {
	dir := t.TempDir()
	absolute, err := filepath.Abs("testdata/keys")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(absolute, filepath.Join(dir, "keys")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	read := func(name string) []byte {
		data, err := os.ReadFile("keys/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	crt, rsaKey, leaf, ca := read("rsa.crt"), read("rsa.key"), read("leaf.crt"), read("p256.crt")
	for name, data := range map[string][]byte{
		"text":            []byte("hello\n"),
		"empty":           nil,
		"base64.crt":      bytes.Replace(crt, []byte("MII"), []byte("M*I"), 1),
		"base64.key":      bytes.Replace(rsaKey, []byte("MII"), []byte("M*I"), 1),
		"cut.crt":         crt[:len(crt)/2],
		"cut.key":         rsaKey[:len(rsaKey)/2],
		"cut-chain.crt":   append(bytes.Clone(crt), ca[:len(ca)/2]...),
		"asn1-chain.crt":  append(bytes.Clone(crt), bytes.Replace(ca, []byte("\nMII"), []byte("\nAII"), 1)...),
		"chain.crt":       append(bytes.Clone(leaf), ca...),
		"wrong-order.crt": append(bytes.Clone(ca), leaf...),
	} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRefusals(t *testing.T) {
	brokenFiles(t)
	for _, r := range refusals {
		want := r.ours
		if want == same {
			want = r.luasec
		}
		_, _, err := NewContext(r.complete())
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s:\n got %q\nwant %q", luaTable(r.complete()), got, want)
		}
	}
}

// TestRefusalsByLuaSec asks LuaSec itself, in a process of its own for each
// configuration: it reports the oldest error that OpenSSL has kept.
func TestRefusalsByLuaSec(t *testing.T) {
	lua, err := exec.LookPath("lua5.4")
	if err != nil {
		t.Skip("no lua5.4 to compare with; the answers are recorded in refusals")
	}
	if exec.Command(lua, "-e", `require "ssl"`).Run() != nil {
		t.Skip("no LuaSec to compare with; the answers are recorded in refusals")
	}
	brokenFiles(t)
	is35 := openssl35(t)
	for _, r := range refusals {
		recorded := r.luasec
		if is35 && slices.ContainsFunc(accepted35, func(c Config) bool { return reflect.DeepEqual(c, r.cfg) }) {
			recorded = ""
		}
		script := "local c, e = require 'ssl'.newcontext(" + luaTable(r.complete()) + ") io.write(c and '' or e)"
		got, err := exec.Command(lua, "-e", script).CombinedOutput()
		if err != nil || string(got) != recorded {
			t.Errorf("%s: LuaSec says %q, recorded %q (%v)", luaTable(r.complete()), got, recorded, err)
		}
	}
}

// openssl35 tells whether LuaSec's OpenSSL, which is the openssl command's too, is 3.5 or later.
func openssl35(t *testing.T) bool {
	said, err := exec.Command("openssl", "version").Output()
	if err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(said), "OpenSSL %d.%d", &major, &minor); err != nil {
		t.Fatalf("openssl version says %q: %v", said, err)
	}
	return major > 3 || major == 3 && minor >= 5
}

func luaTable(cfg Config) string {
	var b strings.Builder
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s = %q, ", name, value)
		}
	}
	list := func(name string, values []string) {
		if values != nil {
			fmt.Fprintf(&b, "%s = %s, ", name, luaList(values))
		}
	}
	field("mode", cfg.Mode)
	field("protocol", cfg.Protocol)
	if cfg.Certificates != nil {
		b.WriteString("certificates = { ")
		for _, pair := range cfg.Certificates {
			b.WriteString("{ ")
			field("certificate", pair.Certificate)
			field("key", pair.Key)
			if pair.Password != nil {
				secret, _ := pair.Password()
				field("password", string(secret))
			}
			b.WriteString("}, ")
		}
		b.WriteString("}, ")
	}
	field("cafile", cfg.CAFile)
	field("capath", cfg.CAPath)
	field("ciphers", cfg.Ciphers)
	field("ciphersuites", cfg.CipherSuites)
	field("curve", cfg.Curve)
	field("curveslist", cfg.CurvesList)
	list("verify", cfg.Verify)
	list("verifyext", cfg.VerifyExt)
	list("options", cfg.Options)
	list("alpn", cfg.ALPN)
	return "{ " + b.String() + "}"
}

func luaList(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = fmt.Sprintf("%q", v)
	}
	return "{ " + strings.Join(quoted, ", ") + " }"
}
