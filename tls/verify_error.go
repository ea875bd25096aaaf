package tls

// verifyError is the text of X509_verify_cert_error_string (x509_txt.c of
// OpenSSL 3), which Prosody shows and partly compares. "" is no error.
type verifyError string

const (
	errUnspecified       verifyError = "unspecified certificate verification error"
	errNoIssuer          verifyError = "unable to get issuer certificate"
	errNoLocalIssuer     verifyError = "unable to get local issuer certificate"
	errNoLeafSignature   verifyError = "unable to verify the first certificate"
	errSignature         verifyError = "certificate signature failure"
	errNotYetValid       verifyError = "certificate is not yet valid"
	errExpired           verifyError = "certificate has expired"
	errSelfSigned        verifyError = "self-signed certificate"
	errSelfSignedInChain verifyError = "self-signed certificate in certificate chain"
	errChainTooLong      verifyError = "certificate chain too long"
	errPathLength        verifyError = "path length constraint exceeded"
	errPurpose           verifyError = "unsuitable certificate purpose"
	errInvalidCA         verifyError = "invalid CA certificate"
	errInvalidExtension  verifyError = "invalid or inconsistent certificate extension"
	errCritical          verifyError = "unhandled critical extension"
	errUsageNoCertSign   verifyError = "key usage does not include certificate signing"
	errLeafKeyWeak       verifyError = "EE certificate key too weak"
	errCAKeyWeak         verifyError = "CA certificate key too weak"
	errDigestWeak        verifyError = "CA signature digest algorithm too weak"
	errHostname          verifyError = "hostname mismatch"
	errDANE              verifyError = "no matching DANE TLSA records"

	errPermitted             verifyError = "permitted subtree violation"
	errExcluded              verifyError = "excluded subtree violation"
	errSubtreeBounds         verifyError = "name constraints minimum and maximum not supported"
	errConstraintUnsupported verifyError = "unsupported name constraint type"
	errNameSyntax            verifyError = "unsupported or invalid name syntax"

	errNoCRL        verifyError = "unable to get certificate CRL"
	errUsageNoCRL   verifyError = "key usage does not include CRL signing"
	errCRLScope     verifyError = "different CRL scope"
	errCRLNotYet    verifyError = "CRL is not yet valid"
	errCRLExpired   verifyError = "CRL has expired"
	errCRLSignature verifyError = "CRL signature failure"
	errCRLCritical  verifyError = "unhandled critical CRL extension"
	errRevoked      verifyError = "certificate revoked"
)
