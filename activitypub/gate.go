package activitypub

import (
	"context"
	"sync"
	"time"
)

// Concurrency limits of the inbox, and how long a request may wait for its turn.
const (
	maxInFlight        = 256
	maxInFlightPerHost = 20
	maxWait            = 5 * time.Second
)

// gate bounds how many inbox requests are worked on at once, in all and for one sending host.
type gate struct {
	all   chan struct{}
	mu    sync.Mutex
	hosts map[string]*hostGate
}

type hostGate struct {
	slots chan struct{}
	users int
}

func newGate() *gate {
	return &gate{all: make(chan struct{}, maxInFlight), hosts: map[string]*hostGate{}}
}

// enter waits for a slot among all; release must be called if ok.
func (g *gate) enter(ctx context.Context) (release func(), ok bool) { return take(ctx, g.all) }

func take(ctx context.Context, slots chan struct{}) (func(), bool) {
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, true
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, true
	case <-ctx.Done():
		return nil, false
	}
}

// enterHost waits for one of the slots of a host.
func (g *gate) enterHost(ctx context.Context, host string) (release func(), ok bool) {
	g.mu.Lock()
	h := g.hosts[host]
	if h == nil {
		h = &hostGate{slots: make(chan struct{}, maxInFlightPerHost)}
		g.hosts[host] = h
	}
	h.users++
	g.mu.Unlock()
	leave, ok := take(ctx, h.slots)
	done := func() {
		if leave != nil {
			leave()
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		if h.users--; h.users == 0 {
			delete(g.hosts, host)
		}
	}
	if !ok {
		done()
		return nil, false
	}
	return done, true
}
