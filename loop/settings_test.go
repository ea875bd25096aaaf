package loop

import "testing"

// TestDefaultSettings holds the defaults against net.server_epoll's.
func TestDefaultSettings(t *testing.T) {
	s := DefaultSettings()
	for name, c := range map[string]struct{ got, want float64 }{
		"read_timeout":          {s.ReadTimeout, 840},
		"send_timeout":          {s.SendTimeout, 180},
		"connect_timeout":       {s.ConnectTimeout, 20},
		"accept_retry_interval": {s.AcceptRetryInterval, 10},
		"read_size":             {float64(s.ReadSize), 8192},
		"tcp_backlog":           {float64(s.Backlog), 4096},
	} {
		if c.got != c.want {
			t.Errorf("%s is %g, want %g", name, c.got, c.want)
		}
	}
	if s.Keepalive || s.FastOpen != 0 || s.DeferAccept != 0 {
		t.Errorf("options that are off by default: %+v", s)
	}
}
