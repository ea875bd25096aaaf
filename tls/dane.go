package tls

// DANE is the TLSA records (RFC 6698, RFC 7671) of one name.
type DANE struct {
	Name           string
	Records        []TLSA
	NoEENamechecks bool
}

// TLSA is one record as DNS has it.
type TLSA struct {
	Usage, Selector, MatchingType uint8
	Data                          []byte
}
