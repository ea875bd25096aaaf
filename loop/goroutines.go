package loop

import (
	"cmp"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
)

// maxStacks bounds what goroutines returns, in bytes.
const maxStacks = 64 << 10

// goroutines says what all goroutines do, the rare things first: those that do
// the same, as ten thousand handshakes may, have one stack.
func goroutines() string {
	records := make([]runtime.StackRecord, runtime.NumGoroutine()+16)
	n, ok := runtime.GoroutineProfile(records)
	if !ok {
		return "(there are more by the moment)\n"
	}
	counts := map[[32]uintptr]int{}
	for i := range n {
		counts[records[i].Stack0]++
	}
	stacks := slices.SortedFunc(maps.Keys(counts), func(a, b [32]uintptr) int {
		return cmp.Or(cmp.Compare(counts[a], counts[b]), slices.Compare(a[:], b[:]))
	})
	var text strings.Builder
	for _, s := range stacks {
		fmt.Fprintf(&text, "%d goroutines:\n", counts[s])
		writeStack(&text, (&runtime.StackRecord{Stack0: s}).Stack())
		if text.Len() > maxStacks {
			return text.String()[:maxStacks] + "\n"
		}
	}
	return text.String()
}

func writeStack(text *strings.Builder, stack []uintptr) {
	frames := runtime.CallersFrames(stack)
	for more := len(stack) > 0; more; {
		var f runtime.Frame
		f, more = frames.Next()
		fmt.Fprintf(text, "    %s %s:%d\n", f.Function, f.File, f.Line)
	}
}
