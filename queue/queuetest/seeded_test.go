package queuetest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"footbridge/queue"
	"footbridge/queue/queuetest"
)

// broken is true if a scheduler fails any check.
func broken(ctx context.Context, fresh func() queue.Scheduler) (name string, found bool) {
	for _, c := range queuetest.Checks() {
		if err := safely(func() error { return c.Run(ctx, fresh()) }); err != nil {
			return c.Name + ": " + err.Error(), true
		}
	}
	return "", false
}

// safely counts a panic as a failure: a model with a fault may well fall over.
func safely(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}

func TestTheModelPasses(t *testing.T) {
	if why, bad := broken(t.Context(), func() queue.Scheduler { return queuetest.NewModel("") }); bad {
		t.Error(why)
	}
}

func TestEverySeededFaultIsCaught(t *testing.T) {
	for _, f := range queuetest.Faults() {
		why, caught := broken(t.Context(), func() queue.Scheduler { return queuetest.NewModel(f) })
		if !caught {
			t.Errorf("no check fails for a scheduler that %s", f)
		}
		t.Logf("%s -> %s", f, why)
	}
}

// differences is how the differential test sees a fault.
func TestEverySeededFaultDiffers(t *testing.T) {
	for _, f := range queuetest.Faults() {
		caught := false
		for seed := uint64(0); seed < 10 && !caught; seed++ {
			caught = safely(func() error {
				_, err := queuetest.Differ(t.Context(), seed, 400, queuetest.NewModel(""), queuetest.NewModel(f))
				return err
			}) != nil
		}
		if !caught {
			t.Errorf("the differential test does not see a scheduler that %s", f)
		}
	}
}

// deaf never wakes whoever waits.
type deaf struct{ queue.Scheduler }

func (d deaf) Claim(ctx context.Context, n int, lowest queue.Priority, block time.Duration) ([]queue.Token, error) {
	tokens, err := d.Scheduler.Claim(ctx, n, lowest, 0)
	if err != nil || len(tokens) > 0 || block == 0 {
		return tokens, err
	}
	return nil, nil
}

func TestDeafnessIsCaught(t *testing.T) {
	if err := queuetest.Wakes(t.Context(), deaf{lock(queuetest.NewModel(""))}); err == nil {
		t.Error("a scheduler that wakes nobody passes")
	}
}
