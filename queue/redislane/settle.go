package redislane

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"footbridge/queue"
)

// Settle implements queue.Scheduler.
func (l *Lanes) Settle(ctx context.Context, list []queue.Settlement) (stale int, err error) {
	parts := l.snapshot()
	calls := make([][]any, len(parts))
	for _, s := range list {
		n := l.partOf(s.Token.Lane)
		if calls[n] == nil {
			calls[n] = []any{group, l.o.Consumer}
		}
		prio, id, _ := strings.Cut(s.Token.Mark, "/")
		var due int64
		if !s.Due.IsZero() {
			due = max(1, s.Due.UnixMilli())
		}
		calls[n] = append(calls[n], prio, id, laneName(s.Token.Lane), s.Token.Entry, due)
	}
	mine := 0
	for n, args := range calls {
		if args == nil {
			continue
		}
		k, err := l.scripts.settle.Run(ctx, l.client, []string{parts[n].meta}, args...).Int()
		if err != nil {
			return 0, fmt.Errorf("settling in partition %d: %w", n, err)
		}
		mine += k
	}
	return len(list) - mine, nil
}

// Promote implements queue.Scheduler.
func (l *Lanes) Promote(ctx context.Context, now time.Time, n int) (int, error) {
	did := 0
	for _, p := range l.snapshot() {
		if did >= n {
			break
		}
		k, err := l.scripts.promote.Run(ctx, l.client, []string{p.meta}, now.UnixMilli(), n-did).Int()
		if err != nil {
			return did, fmt.Errorf("waking lanes of partition %d: %w", p.n, err)
		}
		did += k
	}
	return did, nil
}

// Keep implements queue.Leaser.
func (l *Lanes) Keep(ctx context.Context, tokens []queue.Token) (lost []queue.Token, err error) {
	parts := l.snapshot()
	calls, whose := make([][]any, len(parts)), make([][]queue.Token, len(parts))
	for _, t := range tokens {
		n := l.partOf(t.Lane)
		if calls[n] == nil {
			calls[n] = []any{group, l.o.Consumer}
		}
		prio, id, _ := strings.Cut(t.Mark, "/")
		calls[n] = append(calls[n], prio, id)
		whose[n] = append(whose[n], t)
	}
	for n, args := range calls {
		if args == nil {
			continue
		}
		gone, err := l.scripts.keep.Run(ctx, l.client, []string{parts[n].meta}, args...).Int64Slice()
		if err != nil && err != redis.Nil {
			return lost, fmt.Errorf("keeping leases in partition %d: %w", n, err)
		}
		for _, i := range gone {
			lost = append(lost, whose[n][i-1])
		}
	}
	return lost, nil
}

// Purge removes all keys of an outbox that is no more, such as one from before a restore.
func Purge(ctx context.Context, client redis.UniversalClient, generation string) error {
	purge := func(ctx context.Context, c *redis.Client) error {
		it := c.Scan(ctx, 0, "{fb:"+generation+":*", 1000).Iterator()
		for it.Next(ctx) {
			if err := c.Unlink(ctx, it.Val()).Err(); err != nil {
				return err
			}
		}
		return it.Err()
	}
	var err error
	switch c := client.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, purge)
	case *redis.Client:
		err = purge(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("purging old lanes: %w", err)
	}
	return nil
}

// Ping says in one sentence what is wrong with a Redis, for the operator's doctor.
func Ping(ctx context.Context, client redis.UniversalClient) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return check(ctx, client)
}
