// Package queuetest is what every queue.Scheduler must pass: a list of checks, a plain model to compare with, and the
// seeded faults that show that the checks can fail.
package queuetest

import (
	"context"
	"slices"
	"strconv"
	"time"

	"footbridge/queue"
)

// Fault is a mistake that the model makes on purpose.
type Fault string

// The seeded faults; every one must be caught by some check.
const (
	LosesRef        Fault = "loses a reference now and then"
	DoublesRef      Fault = "takes a repeated batch twice"
	IgnoresGap      Fault = "takes a batch beyond its cursor"
	TwoTokens       Fault = "hands out a lane twice"
	ReordersLane    Fault = "puts urgent jobs first within a lane"
	ForgetsHead     Fault = "drops a job that was put off"
	EarlyPromote    Fault = "wakes lanes before their time"
	NeverPromote    Fault = "never wakes lanes"
	TakesStale      Fault = "believes a stale token"
	IgnoresPriority Fault = "does not know priorities"
	Starves         Fault = "lets the lower classes starve"
	Unfair          Fault = "lets one subject crowd out the others"
	Overclaims      Fault = "gives more tokens than asked for"
	LosesNext       Fault = "forgets a lane after its first job"
	WrongLen        Fault = "miscounts"
	CursorBack      Fault = "lets its cursor go back"
	HoldsOthers     Fault = "holds the other lanes while one is put off"
	MixesLanes      Fault = "gives a token the wrong lane"
	Unreserved      Fault = "gives lower classes to those who asked for urgent work"
)

// Faults lists all seeded faults.
func Faults() []Fault {
	return []Fault{
		LosesRef, DoublesRef, IgnoresGap, TwoTokens, ReordersLane, ForgetsHead, EarlyPromote, NeverPromote, TakesStale,
		IgnoresPriority, Starves, Unfair, Overclaims, LosesNext, WrongLen, CursorBack, HoldsOthers, MixesLanes, Unreserved,
	}
}

// Model is the plainest Scheduler: slow, in memory, for one goroutine. It is what the drivers are compared with.
type Model struct {
	fault  Fault
	cursor int64
	lanes  map[uint64][]queue.Ref
	ready  [3][]uint64
	turns  [3]map[uint64][]uint64
	out    map[uint64]string // lane -> mark of its token
	parked []parked
	shares queue.Shares
	claims int
	took   int
}

type parked struct {
	lane uint64
	due  time.Time
}

var _ queue.Scheduler = (*Model)(nil)

// NewModel returns a model that makes one kind of mistake, or none.
func NewModel(f Fault) *Model {
	m := &Model{fault: f, lanes: map[uint64][]queue.Ref{}, out: map[uint64]string{}}
	for p := range m.turns {
		m.turns[p] = map[uint64][]uint64{}
	}
	return m
}

// Open implements queue.Scheduler.
func (m *Model) Open(context.Context, string) error { return nil }

// Cursor implements queue.Scheduler.
func (m *Model) Cursor(context.Context) (int64, error) { return m.cursor, nil }

// Len implements queue.Scheduler.
func (m *Model) Len(context.Context) (int64, error) {
	n := 0
	for _, l := range m.lanes {
		n += len(l)
	}
	if m.fault == WrongLen {
		n = len(m.lanes)
	}
	return int64(n), nil
}

// Enqueue implements queue.Scheduler.
func (m *Model) Enqueue(_ context.Context, from, through int64, refs []queue.Ref) error {
	if m.cursor < from && m.fault != IgnoresGap {
		return queue.ErrGap
	}
	for _, r := range refs {
		if r.ID <= m.cursor && m.fault != DoublesRef {
			continue
		}
		if m.took++; m.fault == LosesRef && m.took%5 == 0 {
			continue
		}
		m.append(r)
	}
	if m.fault != CursorBack {
		through = max(m.cursor, through)
	}
	m.cursor = through
	return nil
}

func (m *Model) append(r queue.Ref) {
	l := append(m.lanes[r.Lane], r)
	if m.fault == ReordersLane && len(l) > 2 {
		slices.SortStableFunc(l[1:], func(a, b queue.Ref) int { return int(a.Priority) - int(b.Priority) })
	}
	m.lanes[r.Lane] = l
	if len(l) == 1 {
		m.push(r.Lane)
	}
}

func (m *Model) class(lane uint64) (queue.Priority, uint64) {
	head := m.lanes[lane][0]
	p, s := head.Priority, head.Subject
	if m.fault == IgnoresPriority {
		p = queue.Normal
	}
	if m.fault == Unfair {
		s = 0
	}
	return p, s
}

func (m *Model) push(lane uint64) {
	p, s := m.class(lane)
	if waiting, ok := m.turns[p][s]; ok && s != 0 {
		m.turns[p][s] = append(waiting, lane)
		return
	}
	if s != 0 {
		m.turns[p][s] = nil
	}
	m.ready[p] = append(m.ready[p], lane)
}

func (m *Model) pop(from queue.Priority) uint64 {
	lane := m.ready[from][0]
	m.ready[from] = m.ready[from][1:]
	p, s := m.class(lane)
	if s == 0 {
		return lane
	}
	if waiting := m.turns[p][s]; len(waiting) > 0 {
		m.ready[p] = append(m.ready[p], waiting[0])
		m.turns[p][s] = waiting[1:]
	} else {
		delete(m.turns[p], s)
	}
	return lane
}

// Claim implements queue.Scheduler; it never waits.
func (m *Model) Claim(_ context.Context, n int, lowest queue.Priority, _ time.Duration) (tokens []queue.Token, err error) {
	if m.fault == HoldsOthers && len(m.parked) > 0 {
		return nil, nil
	}
	most := n
	if m.fault == Overclaims {
		most++
	}
	if m.fault == Unreserved {
		lowest = queue.Backfill
	}
	steps := m.shares.Next(n, lowest)
	if m.fault == Starves {
		steps = []queue.Step{{Priority: queue.Urgent, Max: most}, {Priority: queue.Normal, Max: most}, {Priority: queue.Backfill, Max: most}}
	}
	for _, s := range steps {
		for k := 0; (k < s.Max || m.fault == Overclaims) && len(tokens) < most && len(m.ready[s.Priority]) > 0; k++ {
			tokens = append(tokens, m.token(m.pop(s.Priority)))
		}
	}
	return tokens, nil
}

func (m *Model) token(lane uint64) queue.Token {
	m.claims++
	mark := strconv.Itoa(m.claims)
	m.out[lane] = mark
	if m.fault == TwoTokens && m.claims%3 == 0 {
		m.push(lane)
	}
	t := queue.Token{Ref: m.lanes[lane][0], Mark: mark}
	if m.fault == MixesLanes && m.claims%4 == 0 {
		t.Lane++
	}
	return t
}

// Settle implements queue.Scheduler.
func (m *Model) Settle(_ context.Context, list []queue.Settlement) (stale int, err error) {
	for _, s := range list {
		lane := s.Token.Lane
		mark, ok := m.out[lane]
		if len(m.lanes[lane]) == 0 || (m.fault != TakesStale && (!ok || mark != s.Token.Mark)) {
			stale++
			continue
		}
		delete(m.out, lane)
		if !s.Due.IsZero() && m.fault != ForgetsHead {
			m.parked = append(m.parked, parked{lane, s.Due})
			continue
		}
		m.shift(lane)
	}
	return stale, nil
}

func (m *Model) shift(lane uint64) {
	m.lanes[lane] = m.lanes[lane][1:]
	if len(m.lanes[lane]) == 0 {
		delete(m.lanes, lane)
		return
	}
	if m.fault != LosesNext {
		m.push(lane)
	}
}

// Promote implements queue.Scheduler.
func (m *Model) Promote(_ context.Context, now time.Time, n int) (did int, err error) {
	slices.SortStableFunc(m.parked, func(a, b parked) int { return a.due.Compare(b.due) })
	for did < n && len(m.parked) > 0 && m.fault != NeverPromote {
		if m.parked[0].due.After(now) && m.fault != EarlyPromote {
			break
		}
		m.push(m.parked[0].lane)
		m.parked = m.parked[1:]
		did++
	}
	return did, nil
}
