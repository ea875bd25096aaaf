package tls

import (
	stdtls "crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// curves are the groups that crypto/tls has, by OpenSSL's names: the TLS name,
// the name of the object identifier, NIST's. OpenSSL 3.0 compares case, and
// does not have the last three, which are OpenSSL 3.5's.
var curves = map[string]stdtls.CurveID{
	"X25519":             stdtls.X25519,
	"x25519":             stdtls.X25519,
	"P-256":              stdtls.CurveP256,
	"secp256r1":          stdtls.CurveP256,
	"prime256v1":         stdtls.CurveP256,
	"P-384":              stdtls.CurveP384,
	"secp384r1":          stdtls.CurveP384,
	"P-521":              stdtls.CurveP521,
	"secp521r1":          stdtls.CurveP521,
	"X25519MLKEM768":     stdtls.X25519MLKEM768,
	"SecP256r1MLKEM768":  stdtls.SecP256r1MLKEM768,
	"SecP384r1MLKEM1024": stdtls.SecP384r1MLKEM1024,
}

// otherCurves are groups that OpenSSL takes in a list and crypto/tls lacks.
var otherCurves = strings.Fields(`
	X448 x448 ffdhe2048 ffdhe3072 ffdhe4096 ffdhe6144 ffdhe8192
	brainpoolP256r1 brainpoolP384r1 brainpoolP512r1
	P-192 P-224 prime192v1 secp160k1 secp160r1 secp160r2 secp192k1 secp192r1
	secp224k1 secp224r1 secp256k1
	B-163 B-233 B-283 B-409 B-571 K-163 K-233 K-283 K-409 K-571
	sect163k1 sect163r1 sect163r2 sect193r1 sect193r2 sect233k1 sect233r1
	sect239k1 sect283k1 sect283r1 sect409k1 sect409r1 sect571k1 sect571r1
	MLKEM512 MLKEM768 MLKEM1024`)

// prosodysCurves are the lists that Prosody sets where the administrator sets
// none: core.certmanager's defaults, and those of Mozilla's profiles there.
var prosodysCurves = []string{"X25519:P-384:P-256:P-521", "X25519:prime256v1:secp384r1"}

// goCurves are crypto/tls's defaults without the hybrids with ML-KEM.
var goCurves = []stdtls.CurveID{stdtls.X25519, stdtls.CurveP256, stdtls.CurveP384, stdtls.CurveP521}

// groups are the groups for the key exchange. nil means crypto/tls's defaults.
type groups struct {
	preferred []stdtls.CurveID
	// classic has no post-quantum groups but those that the administrator named.
	classic []stdtls.CurveID
}

// parseGroups adds X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem) to the lists that
// are Prosody's own. A list that the administrator wrote is kept.
func parseGroups(list, curve string, n *notices) (g groups, err error) {
	if list == "" && curve == "" {
		return groups{nil, goCurves}, nil
	}
	g.classic, err = parseCurves(list, curve, n)
	g.preferred = g.classic
	if slices.Contains(prosodysCurves, list) {
		g.preferred = append([]stdtls.CurveID{stdtls.X25519MLKEM768}, g.classic...)
	}
	return g, err
}

// parseCurves reads curveslist, as SSL_CTX_set1_curves_list does, or, without
// one, curve, which is one name of an object identifier or NIST's.
func parseCurves(list, curve string, n *notices) ([]stdtls.CurveID, error) {
	if list != "" {
		return parseCurvesList(list, n)
	}
	id, ok := curves[curve]
	if !ok || curve == "secp256r1" || id != stdtls.CurveP256 && id != stdtls.CurveP384 && id != stdtls.CurveP521 {
		return nil, fmt.Errorf("elliptic curve '%s' not supported", curve)
	}
	return []stdtls.CurveID{id}, nil
}

func parseCurvesList(list string, n *notices) ([]stdtls.CurveID, error) {
	var ids []stdtls.CurveID
	var missing []string
	for _, name := range strings.Split(list, ":") {
		id, ok := curves[name]
		switch {
		case ok && !slices.Contains(ids, id):
			ids = append(ids, id)
		case !ok && slices.Contains(otherCurves, name):
			missing = append(missing, name)
		default: // OpenSSL refuses a name given twice, too
			return nil, fmt.Errorf("unknown elliptic curve in \"%s\"", list)
		}
	}
	if ids == nil {
		return nil, fmt.Errorf("unknown elliptic curve in \"%s\"", list)
	}
	if missing != nil {
		n.add("debug", "Curves that do not exist here are left out: %s", strings.Join(missing, ", "))
	}
	return ids, nil
}
