package redislane_test

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"footbridge/queue"
	"footbridge/queue/queuetest"
	"footbridge/queue/redislane"
)

// service returns what scripts/services.sh started.
func service(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set: run make test, or eval \"$(scripts/services.sh env DIR)\" after scripts/services.sh start DIR", name)
	}
	return v
}

// dial connects to a Redis.
func dial(t *testing.T, url string) redis.UniversalClient {
	t.Helper()
	c, err := redislane.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// kinds are the servers that the driver must work on.
func kinds(t *testing.T) map[string]redis.UniversalClient {
	return map[string]redis.UniversalClient{
		"miniredis": dial(t, "redis://"+miniredis.RunT(t).Addr()),
		"redis":     dial(t, "redis://"+service(t, "FOOTBRIDGE_TEST_REDIS")),
		"cluster":   dial(t, "redis+cluster://"+service(t, "FOOTBRIDGE_TEST_REDIS_CLUSTER")),
	}
}

// open makes lanes of an outbox of their own.
func open(t *testing.T, c redis.UniversalClient, o redislane.Options) *redislane.Lanes {
	t.Helper()
	return join(t, c, rand.Text(), o)
}

// join makes lanes of an outbox that others may work on.
func join(t *testing.T, c redis.UniversalClient, generation string, o redislane.Options) *redislane.Lanes {
	t.Helper()
	l, err := redislane.New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Open(t.Context(), generation); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := redislane.Purge(context.Background(), c, generation); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestConformance(t *testing.T) {
	for name, c := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			queuetest.Run(t, func(t *testing.T) queue.Scheduler { return open(t, c, redislane.Options{Partitions: 1}) })
		})
	}
}

func TestSameAsTheModel(t *testing.T) {
	for name, c := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			ops := 0
			for seed := range uint64(15) {
				n, err := queuetest.Differ(t.Context(), seed, 300, queuetest.NewModel(""), open(t, c, redislane.Options{Partitions: 1}))
				if err != nil {
					t.Fatal(err)
				}
				ops += n
			}
			t.Logf("%d operations, the same answers", ops)
		})
	}
}

// The checks that do not depend on one order over all lanes hold over many partitions, too.
func TestPartitions(t *testing.T) {
	for name, c := range kinds(t) {
		for _, check := range queuetest.Checks() {
			switch check.Name {
			case "order within a lane", "cursor, gaps and repetition", "putting off", "stale tokens", "no more than asked for", "length",
				"random work keeps its order and loses nothing":
			default:
				continue
			}
			if name == "miniredis" && strings.HasPrefix(check.Name, "random") {
				continue // it makes a Lua machine for each call, and would take half a minute
			}
			t.Run(name+"/"+check.Name, func(t *testing.T) {
				if err := check.Run(t.Context(), open(t, c, redislane.Options{Partitions: 8})); err != nil {
					t.Error(err)
				}
			})
		}
		t.Run(name+"/wakes", func(t *testing.T) {
			if err := queuetest.Wakes(t.Context(), open(t, c, redislane.Options{Partitions: 8})); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDeadWorkersTokensAreTakenOver(t *testing.T) {
	for name, c := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			generation := rand.Text()
			o := redislane.Options{Partitions: 1, Lease: 200 * time.Millisecond}
			dead, alive := join(t, c, generation, o), join(t, c, generation, o)
			refs := []queue.Ref{queue.NewRef(1, "a", "s", 1), queue.NewRef(2, "b", "s", 1), queue.NewRef(3, "a", "s", 1)}
			if err := dead.Enqueue(t.Context(), 0, 3, refs); err != nil {
				t.Fatal(err)
			}
			held, err := dead.Claim(t.Context(), 8, queue.Backfill, 0)
			if err != nil || len(held) != 2 {
				t.Fatalf("claimed %v (%v)", held, err)
			}
			// one is kept alive, the other is let lie
			var got []queue.Token
			for end := time.Now().Add(5 * time.Second); len(got) == 0 && time.Now().Before(end); {
				if lost, err := dead.Keep(t.Context(), held[:1]); len(lost) != 0 || err != nil {
					t.Fatalf("lost %v (%v)", lost, err)
				}
				if got, err = alive.Claim(t.Context(), 8, queue.Backfill, 20*time.Millisecond); err != nil {
					t.Fatal(err)
				}
			}
			if len(got) != 1 || got[0].ID != 2 {
				t.Fatalf("taken over: %v, want job 2", got)
			}
			if lost, err := dead.Keep(t.Context(), held); len(lost) != 1 || lost[0].ID != 2 || err != nil {
				t.Errorf("the first holder lost %v (%v), want job 2", lost, err)
			}
			if stale, err := dead.Settle(t.Context(), []queue.Settlement{{Token: held[1]}}); stale != 1 || err != nil {
				t.Errorf("the first holder settled what it lost: %d stale, %v", stale, err)
			}
			if stale, err := alive.Settle(t.Context(), []queue.Settlement{{Token: got[0]}}); stale != 0 || err != nil {
				t.Errorf("the second holder could not settle: %d stale, %v", stale, err)
			}
		})
	}
}

// miniredis has no quiet time worth waiting for in a unit test of the cursor: the real ones are flushed in fault_test.go.
func TestFlushIsSeenAndRefilled(t *testing.T) {
	m := miniredis.RunT(t)
	l := open(t, dial(t, "redis://"+m.Addr()), redislane.Options{Lease: time.Second})
	refs := []queue.Ref{queue.NewRef(1, "a", "", 1), queue.NewRef(2, "a", "", 1)}
	if err := l.Enqueue(t.Context(), 0, 2, refs); err != nil {
		t.Fatal(err)
	}
	before, err := l.Claim(t.Context(), 1, queue.Backfill, 0)
	if err != nil || len(before) != 1 {
		t.Fatal(before, err)
	}
	m.FlushAll()
	if stale, err := l.Settle(t.Context(), []queue.Settlement{{Token: before[0]}}); stale != 1 || err != nil {
		t.Errorf("settling after a flush: %d stale, %v", stale, err)
	}
	if c, err := l.Cursor(t.Context()); c != 0 || err != nil {
		t.Fatalf("cursor %d (%v) after a flush, want 0", c, err)
	}
	if err := l.Enqueue(t.Context(), 0, 2, refs); err != nil {
		t.Fatal(err)
	}
	if tokens, err := l.Claim(t.Context(), 1, queue.Backfill, 0); len(tokens) != 0 || err != nil {
		t.Errorf("a Redis that forgot gave out %v (%v) at once", tokens, err)
	}
	m.FastForward(time.Second)
	if tokens, err := l.Claim(t.Context(), 1, queue.Backfill, 0); len(tokens) != 1 || tokens[0].ID != 1 || err != nil {
		t.Errorf("claimed %v (%v), want job 1", tokens, err)
	}
}
