package loop

import (
	"math"
	"testing"
	"time"
)

const second = int64(time.Second)

func TestAddSeconds(t *testing.T) {
	for _, c := range []struct {
		base    int64
		seconds float64
		want    int64
	}{
		{5, 0, 5},
		{5, 1, 5 + second},
		{1 << 55, 1e-9, 1<<55 + 1}, // beyond the precision of float64
		{5, math.Inf(1), never},
		{5, 1e18, never},
		{math.MaxInt64 / 2, 1, never},
		{5, -1, 0},
		{5, math.Inf(-1), 0},
		{3 * second, -1, 2 * second},
	} {
		if got := addSeconds(c.base, c.seconds); got != c.want {
			t.Errorf("addSeconds(%d, %g) = %d, want %d", c.base, c.seconds, got, c.want)
		}
	}
}
