package tls

// budget is what one verification may still cost in comparisons of names with
// constraints. All certificates and all constraints share it: a peer chooses
// both, and their number multiplies. OpenSSL has a limit for each pair of
// certificates (NAME_CHECK_MAX), which a chain of ten multiplies by 45.
type budget int

// maxWork is about 20 ms. A certificate of 250 host names below a CA with 2,000
// constraints on host names needs three quarters of it.
const maxWork budget = 2 << 20

// take pays for a piece of work, or says that there is nothing left for it.
func (b *budget) take(cost int) bool {
	*b -= min(*b, budget(cost))
	return *b > 0
}

// spent says that the budget is used up, which ends the verification.
func (b *budget) spent() bool { return *b == 0 }

// comparisonCost is that of a comparison which looks at so many bytes.
func comparisonCost(bytes int) int { return 1 + bytes/16 }
