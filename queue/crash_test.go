package queue_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"footbridge/bridge/store"
	"footbridge/queue"
	"footbridge/queue/memlane"
	"footbridge/queue/redislane"
)

// The tests here kill worker processes. The test binary is the worker if these are set.
const (
	envPath  = "FOOTBRIDGE_CRASH_PATH"
	envURL   = "FOOTBRIDGE_CRASH_URL"
	envRedis = "FOOTBRIDGE_CRASH_REDIS"
	// envPatience makes the worker say when its first job has run, and when all that was pending is loaded.
	envPatience = "FOOTBRIDGE_CRASH_PATIENCE"
)

func TestMain(m *testing.M) {
	if os.Getenv(envPath) != "" || os.Getenv(envURL) != "" {
		if err := crashWorker(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// crashWorker works until it is killed. It says "ready" when its first job has run, and what it should never see.
func crashWorker() error {
	ctx := context.Background()
	db, err := store.Open(ctx, store.Options{Path: os.Getenv(envPath), URL: os.Getenv(envURL)})
	if err != nil {
		return err
	}
	var lanes queue.Scheduler = memlane.New()
	if address := os.Getenv(envRedis); address != "" {
		client, err := redislane.Dial(address)
		if err != nil {
			return err
		}
		if lanes, err = redislane.New(client, redislane.Options{Lease: 500 * time.Millisecond}); err != nil {
			return err
		}
	}
	r := &queue.Runner{Store: db.Queue(), Scheduler: lanes, Workers: 8, Poll: 10 * time.Millisecond,
		Handlers: map[string]queue.Handler{"work": func(ctx context.Context, j queue.Job) error { return effect(ctx, db, j) }}}
	if os.Getenv(envPatience) != "" {
		if err := tellLoading(ctx, db, lanes, r); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	return r.Run(ctx)
}

// tellLoading makes the worker say when the first job ran and when all that was pending is in the lanes.
func tellLoading(ctx context.Context, db *store.DB, lanes queue.Scheduler, r *queue.Runner) error {
	depths, err := db.Queue().Depths(ctx)
	if err != nil {
		return err
	}
	pending := depths[0].Pending + depths[1].Pending + depths[2].Pending
	var once sync.Once
	var ran atomic.Int64
	r.Handlers["work"] = func(ctx context.Context, j queue.Job) error {
		err := effect(ctx, db, j)
		once.Do(func() { fmt.Println("first") })
		ran.Add(1)
		return err
	}
	go func() {
		for {
			tick := time.NewTimer(5 * time.Millisecond)
			<-tick.C
			if held, err := lanes.Len(ctx); err == nil && held+ran.Load() >= pending {
				fmt.Println("loaded")
				return
			}
		}
	}()
	return nil
}

// effect marks the job as done once, and in order, in the transaction that finishes it.
func effect(ctx context.Context, db *store.DB, j queue.Job) error {
	select {
	case <-time.After(time.Duration(mathrand.IntN(3000)) * time.Microsecond):
	case <-ctx.Done():
		return ctx.Err()
	}
	if mathrand.IntN(25) == 0 {
		return queue.Snooze("luck", 20*time.Millisecond)
	}
	return db.Update(ctx, func(tx *store.Tx) error {
		ok, err := tx.FinishJob(j.ID, queue.Done, "")
		if err != nil {
			return err
		}
		if !ok {
			return queue.ErrFinished
		}
		fresh, err := tx.Seen(fmt.Sprint("effect:", j.ID))
		if err != nil {
			return err
		}
		last, err := tx.FirehoseCursor("lane:" + j.Key)
		if err != nil {
			return err
		}
		if !fresh || last >= j.ID {
			fmt.Printf("violation: job %d ran after %d, for the first time: %v\n", j.ID, last, fresh)
		}
		return tx.SetFirehoseCursor("lane:"+j.Key, j.ID)
	})
}

// worker is a process that can be killed.
type worker struct {
	cmd  *exec.Cmd
	said chan string // violations
}

func startWorker(t *testing.T, env ...string) *worker {
	t.Helper()
	w := &worker{cmd: exec.Command(os.Args[0]), said: make(chan string, 1)}
	w.cmd.Env = append(os.Environ(), env...)
	w.cmd.Stderr = t.Output()
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan bool)
	go func() {
		var bad []string
		for s := bufio.NewScanner(out); s.Scan(); {
			if s.Text() == "ready" {
				close(ready)
			} else {
				bad = append(bad, s.Text())
			}
		}
		w.said <- strings.Join(bad, "; ")
	}()
	select {
	case <-ready:
	case <-time.After(30 * time.Second):
		t.Fatal("a worker did not start within 30 s")
	}
	return w
}

// kill is kill -9; it returns what the worker complained about.
func (w *worker) kill() string {
	_ = w.cmd.Process.Kill()
	said := <-w.said
	_ = w.cmd.Wait() // killed, so not nil
	return said
}

// crash feeds jobs while workers are killed and started again, and judges what they left.
func crash(t *testing.T, db *store.DB, jobs, kills, workers int, env ...string) {
	t.Helper()
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	random := mathrand.New(mathrand.NewPCG(seed, 0))
	fed := 0
	feed := func(n int) {
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			for range n {
				fed++
				if err := tx.Enqueue(queue.Job{Kind: "work", Key: fmt.Sprint("k", fed%12), Subject: fmt.Sprint("s", fed%3), Priority: queue.Priority(fed % 3)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	pool := make([]*worker, workers)
	for i := range pool {
		pool[i] = startWorker(t, env...)
	}
	for k := range kills {
		feed(jobs / kills)
		timer := time.NewTimer(time.Duration(random.IntN(60)) * time.Millisecond)
		<-timer.C
		if said := pool[k%workers].kill(); said != "" {
			t.Error(said)
		}
		pool[k%workers] = startWorker(t, env...)
	}
	began := time.Now()
	left := func() (n int64) {
		depths, err := db.Queue().Depths(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return depths[0].Pending + depths[1].Pending + depths[2].Pending
	}
	for left() > 0 && time.Since(began) < 60*time.Second {
		tick := time.NewTimer(10 * time.Millisecond)
		<-tick.C
	}
	t.Logf("%d jobs, %d kills; settled %v after the last", fed, kills, time.Since(began).Round(time.Millisecond))
	for _, w := range pool {
		if said := w.kill(); said != "" {
			t.Error(said)
		}
	}
	lost := 0
	undo := errors.New("only looking")
	err := db.Update(t.Context(), func(tx *store.Tx) error {
		for id := 1; id <= fed; id++ {
			if fresh, err := tx.Seen(fmt.Sprint("effect:", id)); err != nil {
				return err
			} else if fresh {
				lost++
			}
		}
		return undo
	})
	if !errors.Is(err, undo) {
		t.Fatal(err)
	}
	if lost != 0 {
		t.Errorf("%d of %d jobs have no effect", lost, fed)
	}
}

func TestKilledWorkerLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q.db")
	db, err := store.Open(t.Context(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	crash(t, db, 480, 12, 1, envPath+"="+path)
}

// TestKilledWorkersOfSeveral has two workers share PostgreSQL and Redis, and kills one or the other.
func TestKilledWorkersOfSeveral(t *testing.T) {
	server, address := os.Getenv("FOOTBRIDGE_TEST_POSTGRES"), os.Getenv("FOOTBRIDGE_TEST_REDIS")
	if server == "" || address == "" {
		t.Fatal("FOOTBRIDGE_TEST_POSTGRES and FOOTBRIDGE_TEST_REDIS are not set: run make test, or eval \"$(scripts/services.sh env DIR)\" after scripts/services.sh start DIR")
	}
	admin, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	name := "t_" + strings.ToLower(rand.Text())
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = admin.Exec("DROP DATABASE " + name + " WITH (FORCE)") }()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	db, err := store.Open(t.Context(), store.Options{URL: u.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	crash(t, db, 480, 12, 2, envURL+"="+u.String(), envRedis+"=redis://"+address)
}
