package atproto

import (
	"context"
	"sync"
)

// lanes run tasks of one key one after the other and tasks of different keys side by side. What waits is bounded.
type lanes struct {
	mu     sync.Mutex
	queues map[string][]func()
	room   chan struct{} // one token for each task that waits or runs
	slots  chan struct{} // one token for each task that runs
}

func newLanes(workers, waiting int) *lanes {
	return &lanes{queues: map[string][]func(){}, room: make(chan struct{}, waiting), slots: make(chan struct{}, workers)}
}

// add queues a task; it blocks while too many wait.
func (l *lanes) add(ctx context.Context, key string, task func()) error {
	select {
	case l.room <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting, running := l.queues[key]
	l.queues[key] = append(waiting, task)
	if !running {
		go l.drain(key)
	}
	return nil
}

func (l *lanes) drain(key string) {
	for {
		l.mu.Lock()
		waiting := l.queues[key]
		if len(waiting) == 0 {
			delete(l.queues, key)
			l.mu.Unlock()
			return
		}
		l.queues[key] = waiting[1:]
		l.mu.Unlock()
		l.slots <- struct{}{}
		waiting[0]()
		<-l.slots
		<-l.room
	}
}

// watermark knows up to which sequence everything is done.
type watermark struct {
	mu      sync.Mutex
	pending []*mark // in the order they came
	last    int64   // highest sequence seen
}

type mark struct {
	before int64 // the cursor that is safe while this one is pending
	done   bool
}

// saw records a sequence that needs no work.
func (w *watermark) saw(seq int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = max(w.last, seq)
}

// begin records a sequence that needs work; the function returned says that the work is durable.
func (w *watermark) begin(seq int64) (done func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := &mark{before: w.last}
	w.pending = append(w.pending, m)
	w.last = max(w.last, seq)
	return func() { w.finish(m) }
}

func (w *watermark) finish(m *mark) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m.done = true
	for len(w.pending) > 0 && w.pending[0].done {
		w.pending = w.pending[1:]
	}
}

// low is the highest sequence such that it and all before it are done.
func (w *watermark) low() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) > 0 {
		return w.pending[0].before
	}
	return w.last
}

// reset starts anew at a cursor; marks of before no longer count.
func (w *watermark) reset(seq int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending, w.last = nil, seq
}
