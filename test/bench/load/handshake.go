package main

import "crypto/tls"

type handshakeResult struct {
	spent
	Count int `json:"count"`
}

// handshake makes one full handshake after the other in each of the clients.
func handshake(o options) (any, error) {
	config, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	count, used, err := repeat(o, func(c *client) error {
		t, err := c.dial(o)
		if err != nil {
			return err
		}
		secured := tls.Client(t, config)
		defer secured.Close()
		return secured.Handshake()
	}, func() {})
	return handshakeResult{used, count}, err
}
