package queue_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"footbridge/queue"
)

func TestDeadHostIsProbedOncePerInterval(t *testing.T) {
	now := time.Unix(1e9, 0)
	b := queue.NewBreaker(queue.BreakerOptions{Failures: 3, First: time.Minute, Longest: 4 * time.Minute, Now: func() time.Time { return now }})
	dialled := 0
	for range 4 * 60 * 60 / 10 { // four hours, 50 callers every ten seconds
		for range 50 {
			if b.Allow("dead.example") == 0 {
				dialled++
				b.Report("dead.example", false)
			}
		}
		now = now.Add(10 * time.Second)
	}
	// 3 failures, then probes after 1, 2 and then every 4 minutes
	if dialled < 50 || dialled > 3+2+60+1 {
		t.Errorf("a dead host was dialled %d times in four hours", dialled)
	}
	if _, half, open := b.Count(); half+open != 1 {
		t.Errorf("half open %d, open %d, want one in all", half, open)
	}
	b.Reset("dead.example")
	if b.Allow("dead.example") != 0 {
		t.Error("a host that was heard from is still kept away from")
	}
	b.Report("dead.example", true)
	if closed, _, _ := b.Count(); closed != 1 {
		t.Error("an answer does not close the circuit")
	}
}

func TestHalfOpenLetsOneThrough(t *testing.T) {
	now := time.Unix(1e9, 0)
	b := queue.NewBreaker(queue.BreakerOptions{Failures: 1, Slots: 8, Now: func() time.Time { return now }})
	b.Allow("h")
	b.Report("h", false)
	now = now.Add(2 * time.Minute)
	through := 0
	for range 20 {
		if b.Allow("h") == 0 {
			through++
		}
	}
	if through != 1 {
		t.Errorf("%d probes at once, want 1", through)
	}
	b.Report("h", true)
	through = 0
	for range 20 {
		if b.Allow("h") == 0 {
			through++
		}
	}
	if through != 8 {
		t.Errorf("%d at once after recovery, want all 8 slots", through)
	}
}

func TestBusyHostSpreadsThoseWhoWait(t *testing.T) {
	now := time.Unix(1e9, 0)
	b := queue.NewBreaker(queue.BreakerOptions{Slots: 2, Now: func() time.Time { return now }})
	for range 40 { // the host takes a second
		b.Allow("slow")
		now = now.Add(time.Second)
		b.Report("slow", true)
	}
	b.Allow("slow")
	b.Allow("slow")
	seen := map[time.Duration]int{}
	for range 100 {
		w := b.Allow("slow")
		if w <= 0 || w > 11*time.Minute {
			t.Fatalf("told to wait %v", w)
		}
		seen[w.Round(time.Second)]++
	}
	for w, n := range seen {
		if n > 5 {
			t.Errorf("%d of 100 were told to come in %v", n, w)
		}
	}
}

func TestLostSlotsComeBack(t *testing.T) {
	now := time.Unix(1e9, 0)
	b := queue.NewBreaker(queue.BreakerOptions{Slots: 1, Now: func() time.Time { return now }})
	if b.Allow("h") != 0 {
		t.Fatal("the first was turned away")
	}
	if b.Allow("h") == 0 {
		t.Fatal("two at once")
	}
	now = now.Add(4 * time.Minute)
	if b.Allow("h") != 0 {
		t.Error("a slot that was never reported stays lost")
	}
}

func TestBreakerStateIsBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	b := queue.NewBreaker(queue.BreakerOptions{Now: func() time.Time { return now }})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 100_000 {
		h := fmt.Sprintf("host-%d.example", i)
		b.Allow(h)
		b.Report(h, false)
		now = now.Add(10 * time.Millisecond)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if closed, half, open := b.Count(); closed+half+open > 20_000 {
		t.Errorf("%d hosts are remembered", closed+half+open)
	}
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > 50<<20 {
		t.Errorf("%d bytes for 100,000 hosts", used)
	}
	runtime.KeepAlive(b)
}
