package pds

import (
	"sync"
	"time"
)

// limiter counts requests per client in fixed windows. It forgets all of a window at its end, so its memory is bounded by
// the clients of one window, and those by maxClients.
type limiter struct {
	max    int
	window time.Duration

	mu    sync.Mutex
	start time.Time
	seen  map[string]int
}

const maxClients = 100_000

func newLimiter(max int, window time.Duration) *limiter {
	return &limiter{max: max, window: window, seen: map[string]int{}}
}

// take counts one request of the weight. It returns what is left, when the window ends, and whether the request may go on.
func (l *limiter) take(client string, weight int, now time.Time) (left int, reset time.Time, ok bool) {
	if l.max < 0 {
		return 0, now, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.start) >= l.window || now.Before(l.start) {
		l.start = now
		clear(l.seen)
	}
	if _, known := l.seen[client]; !known && len(l.seen) >= maxClients {
		client = "" // the rest share one count
	}
	l.seen[client] += weight
	left = max(0, l.max-l.seen[client])
	return left, l.start.Add(l.window), l.seen[client] <= l.max
}
