package queue_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"footbridge/bridge/store"
	"footbridge/queue"
	"footbridge/queue/memlane"
	"footbridge/queue/redislane"
)

// The benchmarks here report ratios and bounds, each measured in one run; the time per iteration means nothing.

// cpu is the processor time of this process so far.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// backlog makes a database with n pending jobs, each in a lane of its own.
func backlog(b *testing.B, path string, n int) *store.DB {
	b.Helper()
	db, err := store.Open(b.Context(), store.Options{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	for done := 0; done < n; done += 5000 {
		fill(b, db, done, min(5000, n-done), queue.Backfill)
	}
	return db
}

// fill enqueues n jobs.
func fill(b *testing.B, db *store.DB, from, n int, p queue.Priority) {
	b.Helper()
	jobs := make([]queue.Job, n)
	for i := range jobs {
		jobs[i] = queue.Job{Kind: "work", Key: fmt.Sprintf("https://social.example/users/u%d", from+i), Subject: fmt.Sprintf("did:plc:%d", (from+i)%1000), Priority: p,
			Payload: []byte(`{"ref":"https://social.example/users/u/statuses/112233445566"}`)}
	}
	if err := db.Update(b.Context(), func(tx *store.Tx) error { return tx.Enqueue(jobs...) }); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCostAtBacklog is the processor time of a job, from the enqueueing to the settling, behind backlogs of 10^3, 10^5
// and 10^6 (goal: flat within 20 %).
func BenchmarkCostAtBacklog(b *testing.B) {
	const batch, rounds = 2000, 5
	var gauges []*gauge
	for _, n := range []int{1e3, 1e5, 1e6} {
		gauges = append(gauges, newGauge(b, n))
	}
	costs := make([][]time.Duration, len(gauges))
	for range rounds { // interleaved, so that a noisy neighbour harms all alike
		for i, g := range gauges {
			costs[i] = append(costs[i], g.measure(b, batch))
		}
	}
	var medians []float64
	for i, list := range costs {
		slices.Sort(list)
		medians = append(medians, float64(list[rounds/2].Microseconds()))
		b.ReportMetric(medians[i], fmt.Sprintf("us-cpu/job@1e%d", []int{3, 5, 6}[i]))
	}
	b.ReportMetric(medians[1]/medians[0], "x@1e5/1e3")
	b.ReportMetric(medians[2]/medians[0], "x@1e6/1e3")
}

// gauge is a runner behind a backlog; it works only while it measures.
type gauge struct {
	db    *store.DB
	n     int
	allow chan struct{}
	done  atomic.Int64
}

func newGauge(b *testing.B, n int) *gauge {
	b.Helper()
	g := &gauge{db: backlog(b, filepath.Join(b.TempDir(), "q.db"), n), n: n, allow: make(chan struct{}, 1<<16)}
	lanes := memlane.New()
	r := &queue.Runner{Store: g.db.Queue(), Scheduler: lanes, Workers: 32, Poll: 20 * time.Millisecond, Handlers: map[string]queue.Handler{
		"work": func(ctx context.Context, _ queue.Job) error {
			select {
			case <-g.allow:
				g.done.Add(1)
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}, Drain: time.Millisecond, Policy: queue.Policy{Timeout: time.Hour}}
	ctx, cancel := context.WithCancel(b.Context())
	stopped := make(chan struct{})
	go func() { defer close(stopped); _ = r.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-stopped })
	waitFor(b, "the backlog is loaded", func() bool { held, _ := lanes.Len(ctx); return held == int64(n) })
	return g
}

// measure enqueues and runs some jobs, and returns the processor time of one.
func (g *gauge) measure(b *testing.B, batch int) time.Duration {
	want := g.done.Load() + int64(batch)
	before := cpu(b)
	fill(b, g.db, g.n, batch, queue.Backfill)
	g.n += batch
	for range batch {
		g.allow <- struct{}{}
	}
	waitFor(b, "the batch is done", func() bool { return g.done.Load() >= want })
	return (cpu(b) - before) / time.Duration(batch)
}

func waitFor(b *testing.B, what string, ok func() bool) {
	b.Helper()
	for end := time.Now().Add(3 * time.Minute); !ok(); {
		if time.Now().After(end) {
			b.Fatalf("waited in vain until %s", what)
		}
		t := time.NewTimer(time.Millisecond)
		<-t.C
	}
}

// BenchmarkMillionPending starts a worker on 10^6 pending jobs, kills it, and starts it again (goals: the first effect
// within 5 s, 256 MiB at most).
func BenchmarkMillionPending(b *testing.B) {
	const n = 1_000_000
	path := filepath.Join(b.TempDir(), "q.db")
	backlog(b, path, n)
	for round := range 2 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), envPath+"="+path, envPatience+"=1")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		first, loaded := time.Duration(0), time.Duration(0)
		for s := bufio.NewScanner(out); loaded == 0 && s.Scan(); {
			switch s.Text() {
			case "first":
				first = time.Since(began)
			case "loaded":
				loaded = time.Since(began)
			}
		}
		peak := memory(b, cmd.Process.Pid)
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed, so not nil
		if round == 1 {
			b.ReportMetric(first.Seconds(), "s-to-first-effect")
			b.ReportMetric(loaded.Seconds(), "s-to-all-queued")
			b.ReportMetric(peak, "MiB-peak")
		}
	}
}

// memory is the largest resident size of a process so far, in MiB.
func memory(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err != nil {
				b.Fatal(err)
			}
			return float64(kb) / 1024
		}
	}
	b.Fatal("the system does not tell the memory of a process")
	return 0
}

// BenchmarkFanOut is G3: one post to 10,000 inboxes, beside the bare inserts of the same rows (goal: at least 0.5 of it).
func BenchmarkFanOut(b *testing.B) {
	const n = 10_000
	db := backlog(b, filepath.Join(b.TempDir(), "q.db"), 0)
	bare := make([]time.Duration, 5)
	ours := make([]time.Duration, 5)
	for i := range ours {
		before := cpu(b)
		if err := db.Update(b.Context(), func(tx *store.Tx) error {
			for k := range n {
				if _, err := tx.Seen(fmt.Sprintf("https://social.example/users/u%d/%d/%s", k, i, "112233445566")); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		bare[i] = cpu(b) - before
		before = cpu(b)
		fill(b, db, i*n, n, queue.Normal)
		ours[i] = cpu(b) - before
	}
	slices.Sort(bare)
	slices.Sort(ours)
	b.ReportMetric(float64(ours[2].Microseconds())/n, "us-cpu/job")
	b.ReportMetric(float64(bare[2])/float64(ours[2]), "x-of-bare-insert")
}

// BenchmarkUrgentBehindBackfill is G16: how long an urgent job waits behind 100,000 of backfill, beside an idle queue (goal:
// p99 at most twice).
func BenchmarkUrgentBehindBackfill(b *testing.B) {
	idle := latency(b, 0)
	busy := latency(b, 100_000)
	b.ReportMetric(float64(idle.Microseconds())/1000, "ms-p99-idle")
	b.ReportMetric(float64(busy.Microseconds())/1000, "ms-p99-busy")
	b.ReportMetric(float64(busy)/float64(idle), "x-busy/idle")
}

// latency is the 99th percentile from the enqueueing of an urgent job to its run.
func latency(b *testing.B, n int) time.Duration {
	b.Helper()
	db := backlog(b, filepath.Join(b.TempDir(), "q.db"), n)
	ran := make(chan time.Time, 1)
	lanes := memlane.New()
	r := &queue.Runner{Store: db.Queue(), Scheduler: lanes, Workers: 16, Handlers: map[string]queue.Handler{
		"work": func(ctx context.Context, _ queue.Job) error { // a backfill job takes 10 ms of waiting for somebody
			t := time.NewTimer(10 * time.Millisecond)
			<-t.C
			return nil
		},
		"reply": func(context.Context, queue.Job) error { ran <- time.Now(); return nil },
	}}
	ctx, cancel := context.WithCancel(b.Context())
	var group sync.WaitGroup
	group.Go(func() { _ = r.Run(ctx) })
	defer group.Wait()
	defer cancel()
	waitFor(b, "the backlog is loaded", func() bool { held, _ := lanes.Len(ctx); return held >= int64(n)*9/10 })
	var list []time.Duration
	for i := range 200 {
		began := time.Now()
		if err := db.Update(ctx, func(tx *store.Tx) error {
			return tx.Enqueue(queue.Job{Kind: "reply", Key: fmt.Sprint("r", i)})
		}); err != nil {
			b.Fatal(err)
		}
		list = append(list, (<-ran).Sub(began))
	}
	slices.Sort(list)
	return list[len(list)*99/100]
}

// BenchmarkSchedulerCost is G20: the processor time of this process and Redis for one item through the lanes, beside the bare
// XADD, XREADGROUP, XACK and XDEL (goal: at most 1.0; in memory at most 3 us).
func BenchmarkSchedulerCost(b *testing.B) {
	const n = 20_000
	address := os.Getenv("FOOTBRIDGE_TEST_REDIS")
	if address == "" {
		b.Fatal("FOOTBRIDGE_TEST_REDIS is not set: eval \"$(scripts/services.sh env DIR)\" after scripts/services.sh start DIR")
	}
	client, err := redislane.Dial("redis://" + address)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	lanes, err := redislane.New(client, redislane.Options{})
	if err != nil {
		b.Fatal(err)
	}
	generation := rand.Text()
	if err := lanes.Open(b.Context(), generation); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = redislane.Purge(context.Background(), client, generation) }()
	inMemory := drain(b, memlane.New(), n, nil)
	ours := drain(b, lanes, n, client)
	plain := bare(b, client, n)
	b.ReportMetric(float64(inMemory.Nanoseconds())/n/1000, "us-cpu/item-memlane")
	b.ReportMetric(float64(ours.Nanoseconds())/n/1000, "us-cpu/item-redislane")
	b.ReportMetric(float64(plain.Nanoseconds())/n/1000, "us-cpu/item-bare")
	b.ReportMetric(float64(ours)/float64(plain), "x-redislane/bare")
}

// serverCPU is the processor time of the Redis server so far.
func serverCPU(b *testing.B, c redis.UniversalClient) (sum time.Duration) {
	b.Helper()
	if c == nil {
		return 0
	}
	info, err := c.Info(b.Context(), "cpu").Result()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(info) {
		name, v, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			s, err := strconv.ParseFloat(v, 64)
			if err != nil {
				b.Fatal(err)
			}
			sum += time.Duration(s * float64(time.Second))
		}
	}
	return sum
}

// drain ships n items over 500 lanes and lets 16 workers settle them.
func drain(b *testing.B, s queue.Scheduler, n int, c redis.UniversalClient) time.Duration {
	b.Helper()
	refs := make([]queue.Ref, n)
	for i := range refs {
		refs[i] = queue.NewRef(int64(i+1), fmt.Sprint("k", i%500), "", queue.Normal)
	}
	runtime.GC()
	before := cpu(b) + serverCPU(b, c)
	for i := 0; i < n; i += 500 {
		if err := s.Enqueue(b.Context(), int64(i), int64(i+500), refs[i:i+500]); err != nil {
			b.Fatal(err)
		}
	}
	var left atomic.Int64
	left.Store(int64(n))
	var group sync.WaitGroup
	for range 4 { // each claims for four, as the Runner does
		group.Go(func() {
			for left.Load() > 0 {
				tokens, err := s.Claim(b.Context(), 16, queue.Backfill, 10*time.Millisecond)
				if err != nil {
					b.Error(err)
					return
				}
				list := make([]queue.Settlement, len(tokens))
				for i, t := range tokens {
					list[i].Token = t
				}
				if _, err := s.Settle(b.Context(), list); err != nil {
					b.Error(err)
				}
				left.Add(-int64(len(tokens)))
			}
		})
	}
	group.Wait()
	return cpu(b) + serverCPU(b, c) - before
}

// bare is what a plain stream costs, one command after the other.
func bare(b *testing.B, c redis.UniversalClient, n int) time.Duration {
	b.Helper()
	ctx, key := b.Context(), "bare"+rand.Text()
	defer c.Del(context.Background(), key)
	if err := c.XGroupCreateMkStream(ctx, key, "w", "0").Err(); err != nil {
		b.Fatal(err)
	}
	before := cpu(b) + serverCPU(b, c)
	var group sync.WaitGroup
	for w := range 16 {
		group.Go(func() {
			for range n / 16 {
				if err := c.XAdd(ctx, &redis.XAddArgs{Stream: key, Values: []any{"l", "lane", "e", "1:1:"}}).Err(); err != nil {
					b.Error(err)
					return
				}
				r, err := c.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "w", Consumer: strconv.Itoa(w), Streams: []string{key, ">"}, Count: 1, Block: time.Second}).Result()
				if err != nil {
					b.Error(err)
					return
				}
				id := r[0].Messages[0].ID
				if err := c.XAck(ctx, key, "w", id).Err(); err != nil {
					b.Error(err)
				}
				if err := c.XDel(ctx, key, id).Err(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	return cpu(b) + serverCPU(b, c) - before
}
