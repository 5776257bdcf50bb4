package activitypub

import (
	"container/list"
	"sync"
	"time"
)

// recent is a bounded memory: at most size entries, each for at most ttl, the longest unused going first.
type recent[K comparable, V any] struct {
	mu    sync.Mutex
	size  int
	ttl   time.Duration
	now   func() time.Time
	at    map[K]*list.Element
	order list.List // of recentEntry, most recently used first
}

type recentEntry[K comparable, V any] struct {
	key   K
	value V
	until time.Time
}

func newRecent[K comparable, V any](size int, ttl time.Duration, now func() time.Time) *recent[K, V] {
	return &recent[K, V]{size: size, ttl: ttl, now: now, at: map[K]*list.Element{}}
}

func (r *recent[K, V]) get(k K) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.live(k)
	if !ok {
		var zero V
		return zero, false
	}
	r.order.MoveToFront(e)
	return e.Value.(recentEntry[K, V]).value, true
}

// live finds an entry that has not expired; the caller holds the lock.
func (r *recent[K, V]) live(k K) (*list.Element, bool) {
	e, ok := r.at[k]
	if ok && r.now().After(e.Value.(recentEntry[K, V]).until) {
		r.drop(e)
		return nil, false
	}
	return e, ok
}

func (r *recent[K, V]) drop(e *list.Element) {
	r.order.Remove(e)
	delete(r.at, e.Value.(recentEntry[K, V]).key)
}

// add puts a new entry and reports false if there was one.
func (r *recent[K, V]) add(k K, v V) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.live(k); ok {
		return false
	}
	r.insert(k, v)
	return true
}

// put puts an entry, replacing an older one.
func (r *recent[K, V]) put(k K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.at[k]; ok {
		r.drop(e)
	}
	r.insert(k, v)
}

func (r *recent[K, V]) insert(k K, v V) {
	r.at[k] = r.order.PushFront(recentEntry[K, V]{k, v, r.now().Add(r.ttl)})
	if r.order.Len() > r.size {
		r.drop(r.order.Back())
	}
}

func (r *recent[K, V]) forget(k K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.at[k]; ok {
		r.drop(e)
	}
}
