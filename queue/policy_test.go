package queue_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"footbridge/queue"
)

func TestPolicy(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	day := 24 * time.Hour
	p := queue.Policy{
		Jitter: func() float64 { return 0 },
		Limits: map[string]queue.Limit{"erase": {Age: 14 * day}, "once": {Tries: 1}, "few": {Tries: 5}},
	}
	fail := errors.New("no luck")
	for _, c := range []struct {
		name    string
		kind    string
		attempt int
		age     time.Duration
		err     error
		want    queue.Outcome
		wait    time.Duration
	}{
		{"done", "", 0, 0, nil, queue.Done, 0},
		{"dropped", "", 0, 0, queue.Drop("r"), queue.Dropped, 0},
		{"dead", "", 0, 0, queue.Dead(fail), queue.DeadJob, 0},
		{"first retry", "", 0, 0, fail, queue.Retried, time.Second},
		{"third retry", "", 2, time.Minute, fail, queue.Retried, 81 * time.Second},
		{"capped", "", 29, day, fail, queue.Retried, 12 * time.Hour},
		{"never overflows", "", 1 << 30, day, fail, queue.Retried, 12 * time.Hour},
		{"too old", "", 9, 5*day - time.Minute, fail, queue.DeadJob, 0},
		{"erasures are tried for longer", "erase", 9, 13 * day, fail, queue.Retried, 10000 * time.Second},
		{"but not for ever", "erase", 9, 14 * day, fail, queue.DeadJob, 0},
		{"only once", "once", 0, 0, fail, queue.DeadJob, 0},
		{"four of five", "few", 3, time.Hour, fail, queue.Retried, 256 * time.Second},
		{"five of five", "few", 4, time.Hour, fail, queue.DeadJob, 0},
		{"the host says when", "", 0, 0, queue.RetryAfter(time.Hour, fail), queue.Retried, time.Hour},
		{"the host says at once", "", 5, 0, queue.RetryAfter(0, fail), queue.Retried, time.Second},
		{"the host says in a year", "", 0, 0, queue.RetryAfter(365*day, fail), queue.Retried, 12 * time.Hour},
		{"snoozed", "once", 0, 0, queue.Snooze("parent", time.Minute), queue.Snoozed, time.Minute},
		{"snoozed too long", "", 0, 5 * day, queue.Snooze("parent", time.Minute), queue.DeadJob, 0},
		{"held", "once", 0, time.Hour, queue.Hold("host", time.Minute), queue.Snoozed, time.Minute},
		{"held too long", "", 0, 6 * day, queue.Hold("host", time.Minute), queue.DeadJob, 0},
		{"wrapped", "", 0, 0, fmt.Errorf("posting: %w", queue.Drop("gone")), queue.Dropped, 0},
		{"timeout", "", 0, 0, context.DeadlineExceeded, queue.Retried, time.Second},
	} {
		d := p.Decide(queue.Job{Kind: c.kind, Attempt: c.attempt, Created: now.Add(-c.age)}, c.err, now)
		if d.Outcome != c.want {
			t.Errorf("%s: %s, want %s", c.name, d.Outcome, c.want)
		}
		if c.wait > 0 && d.Delay.Due.Sub(now) != c.wait {
			t.Errorf("%s: waits %v, want %v", c.name, d.Delay.Due.Sub(now), c.wait)
		}
		if held := c.name == "held"; d.Held != held {
			t.Errorf("%s: held %v", c.name, d.Held)
		}
	}
	// The patience with what is to run later begins later.
	later := queue.Job{Created: now.Add(-30 * day), After: now.Add(-time.Hour)}
	if d := p.Decide(later, fail, now); d.Outcome != queue.Retried {
		t.Errorf("a job that waited for its time: %s", d.Outcome)
	}
}

// TestDeadHostCostsOneProbe has a thousand lanes for a host that is down, and one for a healthy one.
func TestDeadHostCostsOneProbe(t *testing.T) {
	g := newRig(t)
	b := queue.NewBreaker(queue.BreakerOptions{Failures: 3, First: time.Minute, Now: g.now})
	var dead, healthy atomic.Int64
	down := errors.New("connection refused")
	g.r.Handlers["deliver"] = func(_ context.Context, j queue.Job) error {
		host := string(j.Payload)
		if wait := b.Allow(host); wait > 0 {
			return queue.Hold("host_down", wait)
		}
		if host == "up.example" {
			healthy.Add(1)
			b.Report(host, true)
			return nil
		}
		dead.Add(1)
		b.Report(host, false)
		return down
	}
	var jobs []queue.Job
	for i := range 1000 {
		jobs = append(jobs, queue.Job{Kind: "deliver", Key: fmt.Sprint("down|", i), Subject: "did:a", Priority: queue.Normal, Payload: []byte("down.example")})
	}
	g.enqueue(jobs...)
	stop := g.start()
	defer stop()
	g.until("all were tried or held", func() bool { return len(g.ended()) >= 1000 })
	if n := dead.Load(); n > 8 {
		t.Errorf("a dead host was dialled %d times for 1000 lanes", n)
	}
	for minute := range 5 {
		before := len(g.ended())
		g.enqueue(queue.Job{Kind: "deliver", Key: "up", Subject: "did:b", Priority: queue.Normal, Payload: []byte("up.example")})
		g.until("the healthy host was served", func() bool { return healthy.Load() == int64(minute+1) })
		g.skip(3 * time.Minute)
		g.until("the held came again", func() bool { return len(g.ended()) > before+1 })
	}
	if n := dead.Load(); n > 8+5+3 {
		t.Errorf("a dead host was dialled %d times in fifteen minutes", n)
	}
	g.until("all thousand wait, and nothing else", func() bool { return g.pending() == 1000 })
}
