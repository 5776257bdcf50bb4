package queuetest_test

import (
	"context"
	"sync"
	"time"

	"footbridge/queue"
)

// locked makes a model fit for several goroutines; its Enqueue waits until somebody has asked in vain.
type locked struct {
	queue.Scheduler
	mu    *sync.Mutex
	asked chan bool
}

func lock(s queue.Scheduler) locked { return locked{s, &sync.Mutex{}, make(chan bool, 16)} }

func (l locked) Claim(ctx context.Context, n int, lowest queue.Priority, block time.Duration) ([]queue.Token, error) {
	defer func() { l.asked <- true }()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Scheduler.Claim(ctx, n, lowest, block)
}

func (l locked) Enqueue(ctx context.Context, from, through int64, refs []queue.Ref) error {
	<-l.asked
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Scheduler.Enqueue(ctx, from, through, refs)
}
