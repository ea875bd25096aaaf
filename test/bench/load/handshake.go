package main

type handshakeResult struct {
	spent
	Count int64 `json:"count"`
}

// handshake makes one full handshake after the other in each of the clients.
func handshake(o options) (any, error) {
	config, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	count, used, err := repeat(o, func(int) error {
		conn, err := dialTLS(o, config)
		if err != nil {
			return err
		}
		conn.Close()
		return nil
	}, func() {})
	return handshakeResult{used, count}, err
}
