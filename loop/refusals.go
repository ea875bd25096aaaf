package loop

import (
	"fmt"
	"strings"
)

// refusals are told to the log in summary: the first at once, and once a minute what has
// been refused since.
type refusals struct {
	alarm
	loop  *Loop
	count [Limits]uint64 // since the last line
}

// refusalsEach is how often a line may come, in seconds.
const refusalsEach = 60

// refuse counts what a limit has kept out.
func (l *Loop) refuse(v *visitor, limit Limit) {
	r := &l.door.refusals
	l.stats.Refused[limit]++
	r.count[limit]++
	v.refused++
	if r.alarm.pos == 0 { // no line in the last minute
		r.tell()
	}
}

// tell logs one line, and has the next come in a minute.
func (r *refusals) tell() {
	var limits []string
	for limit, n := range r.count {
		if n > 0 {
			limits = append(limits, fmt.Sprintf("%s %d", limitSettings[limit], n))
		}
	}
	if limits == nil {
		return
	}
	most, addresses := r.takeMost()
	r.count = [Limits]uint64{}
	r.loop.emit(Event{Kind: Note, text: fmt.Sprintf("warn\tRefused connections or TLS handshakes, by the limit: %s; from %d addresses, most from %s\n",
		strings.Join(limits, ", "), addresses, most)})
	r.loop.arm(&r.alarm, addSeconds(r.loop.now, refusalsEach))
}

// takeMost names the address that most was refused of since the last line.
func (r *refusals) takeMost() (most string, addresses int) {
	var n uint64
	for _, v := range r.loop.door.visitors {
		if v.refused > 0 {
			addresses++
		}
		if v.refused > n {
			n, most = v.refused, v.from.String()
			if v.from.IsSingleIP() {
				most = v.from.Addr().String()
			}
		}
		v.refused = 0
	}
	return most, addresses
}

func (r *refusals) ring() { r.tell() }
