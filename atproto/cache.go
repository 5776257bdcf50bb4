package atproto

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// cache keeps answers for a while in bounded memory and lets concurrent callers share one look-up. A look-up runs under a
// context of its own, so that one caller's cancellation neither fails the others nor is remembered.
type cache[T any] struct {
	mu      sync.Mutex
	size    int
	now     func() time.Time
	entries map[string]*list.Element
	order   *list.List // most recently used first
	flights map[string]*flight[T]
}

type entry[T any] struct {
	key   string
	value T
	err   error
	until time.Time
}

type flight[T any] struct {
	done  chan struct{}
	value T
	err   error
}

func newCache[T any](size int, now func() time.Time) *cache[T] {
	return &cache[T]{size: size, now: now, entries: map[string]*list.Element{}, order: list.New(), flights: map[string]*flight[T]{}}
}

// get returns the kept answer or asks fetch, whose duration says how long its answer (or error) may be kept.
func (c *cache[T]) get(ctx context.Context, key string, fetch func(context.Context) (T, time.Duration, error)) (T, error) {
	c.mu.Lock()
	if e, ok := c.live(key); ok {
		c.mu.Unlock()
		return e.value, e.err
	}
	f, ok := c.flights[key]
	if !ok {
		f = &flight[T]{done: make(chan struct{})}
		c.flights[key] = f
		go c.fly(context.WithoutCancel(ctx), key, f, fetch)
	}
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}

func (c *cache[T]) fly(ctx context.Context, key string, f *flight[T], fetch func(context.Context) (T, time.Duration, error)) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	value, life, err := fetch(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	f.value, f.err = value, err
	if c.flights[key] == f { // not purged meanwhile
		delete(c.flights, key)
		if life > 0 {
			c.store(&entry[T]{key: key, value: value, err: err, until: c.now().Add(life)})
		}
	}
	close(f.done)
}

func (c *cache[T]) live(key string) (*entry[T], bool) {
	el, ok := c.entries[key]
	if !ok {
		return nil, false
	}
	e := el.Value.(*entry[T])
	if !c.now().Before(e.until) {
		c.order.Remove(el)
		delete(c.entries, key)
		return nil, false
	}
	c.order.MoveToFront(el)
	return e, true
}

func (c *cache[T]) store(e *entry[T]) {
	if old, ok := c.entries[e.key]; ok {
		c.order.Remove(old)
	}
	c.entries[e.key] = c.order.PushFront(e)
	for c.order.Len() > c.size {
		last := c.order.Back()
		c.order.Remove(last)
		delete(c.entries, last.Value.(*entry[T]).key)
	}
}

// peek returns a kept answer without asking.
func (c *cache[T]) peek(key string) (T, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.live(key); ok && e.err == nil {
		return e.value, true
	}
	var zero T
	return zero, false
}

// purge forgets an answer, also one that is being fetched.
func (c *cache[T]) purge(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.entries[key]; ok {
		c.order.Remove(el)
		delete(c.entries, key)
	}
	delete(c.flights, key)
}

// claim reports true for the first caller of a key within life, false for the others.
func (c *cache[T]) claim(key string, life time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.live(key); ok {
		return false
	}
	c.store(&entry[T]{key: key, until: c.now().Add(life)})
	return true
}
