package redislane_test

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"footbridge/bridge/store"
	"footbridge/queue"
	"footbridge/queue/redislane"
)

// fleet is some workers over one database and one Redis, with a ledger of effects.
type fleet struct {
	t       *testing.T
	db      *store.DB
	runners []*queue.Runner

	mu     sync.Mutex
	next   int
	order  map[string][]int64 // key -> ids in the order of their effects
	busy   map[string]int
	random *mathrand.Rand
}

func newFleet(t *testing.T, c redis.UniversalClient, n int) *fleet {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "q.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	t.Logf("seed %x", b)
	g := &fleet{t: t, db: db, order: map[string][]int64{}, busy: map[string]int{}, random: mathrand.New(mathrand.NewChaCha8(b))}
	for range n {
		lanes, err := redislane.New(c, redislane.Options{Lease: 600 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		g.runners = append(g.runners, &queue.Runner{
			Store: db.Queue(), Scheduler: lanes, Workers: 8, Poll: 20 * time.Millisecond,
			Handlers: map[string]queue.Handler{"work": g.work},
			Policy:   queue.Policy{Jitter: func() float64 { return 0 }},
		})
	}
	return g
}

// work has an effect and finishes its job in one transaction; one in twenty runs fails.
func (g *fleet) work(ctx context.Context, j queue.Job) error {
	g.mu.Lock()
	fail, wait := g.random.IntN(20) == 0, time.Duration(g.random.IntN(3))*time.Millisecond
	g.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return ctx.Err()
	}
	if fail {
		return queue.Snooze("luck", 30*time.Millisecond)
	}
	return g.db.Update(ctx, func(tx *store.Tx) error {
		ok, err := tx.FinishJob(j.ID, queue.Done, "")
		if err != nil {
			return err
		}
		if !ok {
			return queue.ErrFinished
		}
		tx.AfterCommit(func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.order[j.Key] = append(g.order[j.Key], j.ID)
		})
		return nil
	})
}

// feed enqueues n jobs over thirty keys.
func (g *fleet) feed(n int) {
	g.t.Helper()
	err := g.db.Update(context.Background(), func(tx *store.Tx) error {
		for range n {
			g.next++
			j := queue.Job{Kind: "work", Key: fmt.Sprint("k", g.next%30), Subject: fmt.Sprint("s", g.next%5), Priority: queue.Priority(g.next % 3)}
			if err := tx.Enqueue(j); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		g.t.Fatal(err)
	}
}

// run lets the workers work while do happens, until nothing is pending, and then judges.
func (g *fleet) run(limit time.Duration, do func()) {
	g.t.Helper()
	ctx, cancel := context.WithCancel(g.t.Context())
	var group sync.WaitGroup
	for _, r := range g.runners {
		group.Go(func() {
			if err := r.Run(ctx); err != nil {
				g.t.Error(err)
			}
		})
	}
	do()
	began := time.Now()
	for g.pending() > 0 && time.Since(began) < limit {
		<-time.After(10 * time.Millisecond)
	}
	g.t.Logf("settled %v after the last fault", time.Since(began).Round(10*time.Millisecond))
	cancel()
	group.Wait()
	g.judge()
}

func (g *fleet) pending() (n int64) {
	depths, err := g.db.Queue().Depths(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	for _, d := range depths {
		n += d.Pending
	}
	return n
}

// judge demands that every job had its effect once, and in its key's order.
func (g *fleet) judge() {
	g.t.Helper()
	lost, double, misordered := g.next, 0, 0
	seen := map[int64]bool{}
	for _, list := range g.order {
		for i, id := range list {
			if seen[id] {
				double++
			}
			seen[id] = true
			if i > 0 && id <= list[i-1] {
				misordered++
			}
		}
	}
	lost -= len(seen)
	if lost != 0 || double != 0 || misordered != 0 {
		g.t.Errorf("of %d jobs: lost %d, doubled %d, misordered %d", g.next, lost, double, misordered)
	}
}

func TestTwoWorkersShareABacklog(t *testing.T) {
	for name, url := range map[string]string{
		"redis":   "redis://" + service(t, "FOOTBRIDGE_TEST_REDIS"),
		"cluster": "redis+cluster://" + service(t, "FOOTBRIDGE_TEST_REDIS_CLUSTER"),
	} {
		t.Run(name, func(t *testing.T) {
			g := newFleet(t, dial(t, url), 2)
			g.run(60*time.Second, func() { g.feed(600) })
		})
	}
}

func TestFlushedAgainAndAgain(t *testing.T) {
	s := newServer(t)
	s.start()
	g := newFleet(t, s.client, 2)
	g.run(60*time.Second, func() {
		for range 6 {
			g.feed(100)
			<-time.After(time.Duration(50+g.random.IntN(200)) * time.Millisecond)
			if err := s.client.FlushAll(context.Background()).Err(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestKilledWithItsTailCut is a power cut: the process dies, and the last writes are not on its disk.
func TestKilledWithItsTailCut(t *testing.T) {
	s := newServer(t)
	s.start()
	g := newFleet(t, s.client, 2)
	cut := int64(0)
	g.run(60*time.Second, func() {
		for range 5 {
			g.feed(100)
			<-time.After(time.Duration(50+g.random.IntN(200)) * time.Millisecond)
			s.kill()
			cut += s.cut(int64(g.random.IntN(40_000)))
			g.feed(20)
			s.start()
		}
	})
	t.Logf("%d bytes cut", cut)
	// What is left of the servers before must go: it would fill the memory, one backlog for each restart.
	keys, err := s.client.Keys(context.Background(), "*").Result()
	if err != nil || len(keys) > 20 {
		t.Errorf("%d keys are left when all is done (%v)", len(keys), err)
	}
}

// TestFailoverToAStaleReplica puts the data of a while ago in place.
func TestFailoverToAStaleReplica(t *testing.T) {
	s := newServer(t)
	s.start()
	g := newFleet(t, s.client, 2)
	g.run(60*time.Second, func() {
		for range 3 {
			g.feed(80)
			<-time.After(100 * time.Millisecond)
			old := s.save()
			g.feed(80)
			<-time.After(time.Second)
			s.kill()
			s.load(old)
			s.start()
		}
	})
}

func TestPartitioned(t *testing.T) {
	s := newServer(t)
	s.start()
	g := newFleet(t, s.client, 2)
	g.run(60*time.Second, func() {
		for range 2 {
			g.feed(100)
			<-time.After(50 * time.Millisecond)
			s.pause(1500 * time.Millisecond) // more than two leases
		}
	})
}

func TestAbsentAtStart(t *testing.T) {
	s := newServer(t)
	g := newFleet(t, s.client, 2)
	g.run(60*time.Second, func() {
		g.feed(100)
		<-time.After(300 * time.Millisecond)
		s.start()
		g.feed(100)
	})
}

// TestFullMemory lets Redis refuse all that needs room, for a while.
func TestFullMemory(t *testing.T) {
	s := newServer(t)
	s.start()
	g := newFleet(t, s.client, 2)
	g.run(60*time.Second, func() {
		g.feed(200)
		<-time.After(50 * time.Millisecond)
		set := func(v string) {
			if err := s.client.(*redis.Client).ConfigSet(context.Background(), "maxmemory", v).Err(); err != nil {
				t.Error(err)
			}
		}
		set("1mb")
		g.feed(200)
		<-time.After(500 * time.Millisecond)
		set("0")
	})
}
