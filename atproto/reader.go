package atproto

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Remover is implemented by an Interest that also wants the deletes of some who are not Authors (see DIDSet.Watch).
type Remover interface {
	Removes(did string) bool
}

// Rememberer is implemented by a Sink that can say which records of an author it acted on (path to CID). Without it, a
// repo that is compared after a gap can yield what is new, but neither edits nor deletes of what is old.
type Rememberer interface {
	Known(ctx context.Context, did string) (map[string]string, error)
}

// ErrSkip, returned (wrapped) by a Sink, gives an event up: the cursor moves on. Any other error is tried again for ever.
var ErrSkip = errors.New("event given up")

// ReaderOptions configure NewReader; those without a default are needed.
type ReaderOptions struct {
	Resolver *Resolver
	Store    Store
	Interest Interest
	Sink     Sink
	// Dialer dials out; its NetDialContext is the guarded one in production.
	Dialer *websocket.Dialer
	Log    *slog.Logger
	// Workers bounds how many events are worked on at once (default 64) and Waiting how many may be pending (4096).
	Workers, Waiting int
	// SaveEvery is how often the cursor is saved (default one second).
	SaveEvery time.Duration
	// Backoff is the pause after the n-th failure in a row, from 1 (default 250 ms doubling to 30 s).
	Backoff func(n int) time.Duration
}

// Stats count since the start.
type Stats struct {
	Frames, Wanted, Commits, Forged, Strange, Gaps, Healed, Reconnects atomic.Int64
	// LastEvent is the time, in unix microseconds, that the newest event read says.
	LastSeq atomic.Int64
}

// Reader reads firehoses. Several sources may run at once: events of one DID are worked on one after the other, whichever
// source they come from.
type Reader struct {
	o      ReaderOptions
	client *Client
	lanes  *lanes
	heal   *healer
	stats  Stats
	// base outlives single sources: lanes finish what they began.
	now func() time.Time
}

// NewReader returns a Reader.
func NewReader(o ReaderOptions) *Reader {
	if o.Workers <= 0 {
		o.Workers = 64
	}
	if o.Waiting <= 0 {
		o.Waiting = 4096
	}
	if o.SaveEvery <= 0 {
		o.SaveEvery = time.Second
	}
	if o.Backoff == nil {
		o.Backoff = defaultBackoff
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Reader{o: o, client: NewClient(o.Resolver), lanes: newLanes(o.Workers, o.Waiting), now: o.Resolver.o.Now}
	r.heal = newHealer(r)
	return r
}

// Stats returns the live counters.
func (r *Reader) Stats() *Stats { return &r.stats }

func defaultBackoff(n int) time.Duration {
	return min(250*time.Millisecond<<min(n-1, 10), 30*time.Second)
}

// persist calls f until it succeeds, is given up, or ctx ends. It reports whether the event is settled.
func (r *Reader) persist(ctx context.Context, f func() error) bool {
	for n := 1; ; n++ {
		err := guarded(f)
		if err == nil {
			return true
		}
		if errors.Is(err, ErrSkip) {
			r.o.Log.Warn("an event was given up", "error", err)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		r.o.Log.Error("an event could not be kept, trying again", "attempt", n, "error", err)
		if !pause(ctx, r.o.Backoff(n)) {
			return false
		}
	}
}

// guarded turns a panic into an error: one strange event must not take the reader down.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

// pause waits; it reports false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
