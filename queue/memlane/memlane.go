// Package memlane is the embedded Scheduler: lanes in the memory of one process, filled from the outbox at start. It
// holds numbers only, in slabs without pointers: about a hundred bytes for each job. It may not serve two processes.
package memlane

import (
	"context"
	"strconv"
	"sync"
	"time"

	"footbridge/queue"
)

// Lanes is a queue.Scheduler. Create it with New.
type Lanes struct {
	mu      sync.Mutex
	cursor  int64
	held    int64
	lanes   map[uint64]uint32 // lane hash -> index in slab
	slab    slab[lane]
	jobs    slab[entry]
	ready   [3]list
	turns   [3]map[uint64]list // subject -> lanes that wait for their subject's turn
	waiting heap
	shares  queue.Shares
	bell    chan struct{} // closed, and replaced, when lanes became ready
}

var _ queue.Scheduler = (*Lanes)(nil)

type state uint8

const (
	idle    state = iota // free for reuse
	queued               // in ready or turns
	claimed              // a token is out
	parked               // in waiting
)

// lane is one key's jobs in order; the head is what a token is for.
type lane struct {
	hash       uint64
	head, tail uint32 // in jobs
	next       uint32 // in the list that the lane is in
	gen        uint32 // counts claims, so that a stale token is known
	state      state
}

// entry is one job.
type entry struct {
	id       int64
	subject  uint64
	next     uint32
	priority queue.Priority
}

// New returns empty lanes.
func New() *Lanes {
	l := &Lanes{lanes: map[uint64]uint32{}, bell: make(chan struct{})}
	for p := range l.turns {
		l.turns[p] = map[uint64]list{}
	}
	return l
}

// Open implements queue.Scheduler.
func (l *Lanes) Open(context.Context, string) error { return nil }

// Cursor implements queue.Scheduler.
func (l *Lanes) Cursor(context.Context) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cursor, nil
}

// Len implements queue.Scheduler.
func (l *Lanes) Len(context.Context) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held, nil
}

// Enqueue implements queue.Scheduler.
func (l *Lanes) Enqueue(_ context.Context, from, through int64, refs []queue.Ref) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cursor < from {
		return queue.ErrGap
	}
	for _, r := range refs {
		if r.ID > l.cursor {
			l.append(r)
		}
	}
	l.cursor = max(l.cursor, through)
	l.ring()
	return nil
}

func (l *Lanes) append(r queue.Ref) {
	l.held++
	e := l.jobs.take(entry{id: r.ID, subject: r.Subject, priority: r.Priority})
	if at, ok := l.lanes[r.Lane]; ok {
		ln := l.slab.at(at)
		l.jobs.at(ln.tail).next = e
		ln.tail = e
		return
	}
	at := l.slab.take(lane{hash: r.Lane, head: e, tail: e})
	l.lanes[r.Lane] = at
	l.push(at)
}

// push makes a lane ready, or lets it wait while another lane of its subject is.
func (l *Lanes) push(at uint32) {
	ln := l.slab.at(at)
	ln.state = queued
	head := l.jobs.at(ln.head)
	if head.subject != 0 {
		turns := l.turns[head.priority]
		if waiting, ok := turns[head.subject]; ok {
			waiting.push(&l.slab, at)
			turns[head.subject] = waiting
			return
		}
		turns[head.subject] = list{}
	}
	l.ready[head.priority].push(&l.slab, at)
}

// pop takes a ready lane and passes its subject's turn on.
func (l *Lanes) pop(p queue.Priority) uint32 {
	at := l.ready[p].pop(&l.slab)
	subject := l.jobs.at(l.slab.at(at).head).subject
	if subject == 0 {
		return at
	}
	turns := l.turns[p]
	waiting := turns[subject]
	if waiting.empty() {
		delete(turns, subject)
		return at
	}
	l.ready[p].push(&l.slab, waiting.pop(&l.slab))
	turns[subject] = waiting
	return at
}

// Claim implements queue.Scheduler.
func (l *Lanes) Claim(ctx context.Context, n int, lowest queue.Priority, block time.Duration) ([]queue.Token, error) {
	tokens, bell := l.take(n, lowest)
	if len(tokens) > 0 || block <= 0 {
		return tokens, nil
	}
	t := time.NewTimer(block)
	defer t.Stop()
	for {
		select {
		case <-bell:
			if tokens, bell = l.take(n, lowest); len(tokens) > 0 {
				return tokens, nil
			}
		case <-t.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take claims without waiting, and returns what to wait for.
func (l *Lanes) take(n int, lowest queue.Priority) ([]queue.Token, chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var tokens []queue.Token
	for _, step := range l.shares.Next(n, lowest) {
		for k := 0; k < step.Max && len(tokens) < n && !l.ready[step.Priority].empty(); k++ {
			tokens = append(tokens, l.token(l.pop(step.Priority)))
		}
	}
	return tokens, l.bell
}

func (l *Lanes) token(at uint32) queue.Token {
	ln := l.slab.at(at)
	ln.state = claimed
	ln.gen++
	e := l.jobs.at(ln.head)
	return queue.Token{
		Ref:  queue.Ref{ID: e.id, Lane: ln.hash, Subject: e.subject, Priority: e.priority},
		Mark: strconv.FormatUint(uint64(ln.gen), 36),
	}
}

// Settle implements queue.Scheduler.
func (l *Lanes) Settle(_ context.Context, list []queue.Settlement) (stale int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range list {
		at, ok := l.mine(s.Token)
		switch {
		case !ok:
			stale++
		case s.Due.IsZero():
			l.shift(at)
		default:
			l.slab.at(at).state = parked
			l.waiting.push(s.Due.UnixMilli(), at)
		}
	}
	l.ring()
	return stale, nil
}

// mine finds the lane that a token was given for, if it still is out.
func (l *Lanes) mine(t queue.Token) (uint32, bool) {
	at, ok := l.lanes[t.Lane]
	if !ok {
		return 0, false
	}
	ln := l.slab.at(at)
	ok = ln.state == claimed && l.jobs.at(ln.head).id == t.ID && strconv.FormatUint(uint64(ln.gen), 36) == t.Mark
	return at, ok
}

// shift drops the head of a lane, and the lane if it was the last.
func (l *Lanes) shift(at uint32) {
	l.held--
	ln := l.slab.at(at)
	head := ln.head
	ln.head = l.jobs.at(head).next
	l.jobs.free(head)
	if ln.head != 0 {
		l.push(at)
		return
	}
	delete(l.lanes, ln.hash)
	l.slab.free(at)
}

// Promote implements queue.Scheduler.
func (l *Lanes) Promote(_ context.Context, now time.Time, n int) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	did := 0
	for ; did < n && l.waiting.due(now.UnixMilli()); did++ {
		l.push(l.waiting.pop())
	}
	if did > 0 {
		l.ring()
	}
	return did, nil
}

// ring wakes all who wait.
func (l *Lanes) ring() {
	close(l.bell)
	l.bell = make(chan struct{})
}
