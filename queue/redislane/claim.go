package redislane

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"footbridge/queue"
)

// sweepEvery is how often consumers of dead processes are looked for, consumerIdle how long one must have been silent.
const (
	sweepEvery   = 10 * time.Minute
	consumerIdle = time.Hour
)

// Claim implements queue.Scheduler.
func (l *Lanes) Claim(ctx context.Context, n int, lowest queue.Priority, block time.Duration) ([]queue.Token, error) {
	if lowest == queue.Backfill {
		if tokens, err := l.Reclaim(ctx, n); err != nil || len(tokens) > 0 {
			return tokens, err
		}
	}
	tokens, last, err := l.round(ctx, n, lowest)
	if err != nil || len(tokens) > 0 || block <= 0 {
		return tokens, err
	}
	if len(l.snapshot()) > 1 {
		return l.poll(ctx, n, lowest, block)
	}
	if err := l.await(ctx, lowest, block, last); err != nil {
		return nil, err
	}
	tokens, _, err = l.round(ctx, n, lowest)
	return tokens, err
}

// poll looks at many partitions again and again: no command can wait for several slots of a cluster.
func (l *Lanes) poll(ctx context.Context, n int, lowest queue.Priority, block time.Duration) ([]queue.Token, error) {
	wait := 2 * time.Millisecond
	for end := time.Now().Add(block); time.Now().Before(end); wait = min(2*wait, 32*time.Millisecond) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if tokens, _, err := l.round(ctx, n, lowest); err != nil || len(tokens) > 0 {
			return tokens, err
		}
	}
	return nil, nil
}

// await waits until the streams of the only partition grow beyond last; it takes nothing.
func (l *Lanes) await(ctx context.Context, lowest queue.Priority, block time.Duration, last []string) error {
	p := l.snapshot()[0]
	pre := strings.TrimSuffix(p.meta, "m")
	streams := []string{pre + "r0", pre + "r1", pre + "r2"}[:lowest+1]
	err := l.client.XRead(ctx, &redis.XReadArgs{Streams: append(streams, last[:lowest+1]...), Count: 1, Block: max(block, time.Millisecond)}).Err()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("waiting for work: %w", err)
	}
	return nil
}

// round asks the partitions in turn. If there was nothing, it also returns the last ids of the last one asked.
func (l *Lanes) round(ctx context.Context, n int, lowest queue.Priority) ([]queue.Token, []string, error) {
	parts, first, steps := l.plan(n, lowest)
	var tokens []queue.Token
	var last []string
	for i := range parts {
		p := parts[(first+i)%len(parts)]
		args := []any{group, l.o.Consumer, n - len(tokens)}
		for _, s := range steps {
			args = append(args, int(s.Priority), s.Max)
		}
		list, err := l.scripts.claim.Run(ctx, l.client, []string{p.meta}, args...).StringSlice()
		if err != nil {
			if list, err = nil, l.forgotten(ctx, p, err); err != nil {
				return tokens, nil, fmt.Errorf("claiming from partition %d: %w", p.n, err)
			}
			last = []string{"0-0", "0-0", "0-0"}
			continue
		}
		if len(list) == 3 {
			last = list
			continue
		}
		got, err := readTokens(p, list)
		if err != nil {
			return tokens, nil, err
		}
		if tokens = append(tokens, got...); len(tokens) >= n {
			break
		}
	}
	return tokens, last, nil
}

// forgotten handles the error of a Redis that was flushed: the partition is made anew, and there is nothing to claim.
func (l *Lanes) forgotten(ctx context.Context, p *part, err error) error {
	if !strings.Contains(err.Error(), "NOGROUP") {
		return err
	}
	_, err = l.init(ctx, p, l.quiet())
	return err
}

// plan shares n out among the priorities and rotates the partitions.
func (l *Lanes) plan(n int, lowest queue.Priority) ([]*part, int, []queue.Step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn++
	return l.parts, l.turn % len(l.parts), l.shares.Next(n, lowest)
}

func (l *Lanes) snapshot() []*part {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parts
}

// readTokens reads a script's flat list of priority, id, lane, entry.
func readTokens(p *part, list []string) ([]queue.Token, error) {
	if len(list)%4 != 0 {
		return nil, fmt.Errorf("claiming from partition %d: an answer of %d parts", p.n, len(list))
	}
	tokens := make([]queue.Token, 0, len(list)/4)
	for ; len(list) > 0; list = list[4:] {
		ref, err := parse(list[2], list[3])
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, queue.Token{Ref: ref, Mark: list[0] + "/" + list[1], Entry: list[3]})
	}
	return tokens, nil
}

// Reclaim takes over, a few times in each lease, tokens whose holders gave no sign of life. Claim calls it.
func (l *Lanes) Reclaim(ctx context.Context, n int) ([]queue.Token, error) {
	due, sweep := l.dueParts(time.Now())
	var tokens []queue.Token
	for _, p := range due {
		if len(tokens) >= n {
			break
		}
		list, err := l.scripts.reclaim.Run(ctx, l.client, []string{p.meta}, group, l.o.Consumer, l.o.Lease.Milliseconds(), n-len(tokens)).StringSlice()
		if err != nil {
			if err := l.forgotten(ctx, p, err); err != nil {
				return tokens, fmt.Errorf("reclaiming from partition %d: %w", p.n, err)
			}
			continue
		}
		got, err := readTokens(p, list)
		if err != nil {
			return tokens, err
		}
		tokens = append(tokens, got...)
		if sweep {
			if err := l.sweep(ctx, p); err != nil {
				return tokens, fmt.Errorf("sweeping partition %d: %w", p.n, err)
			}
		}
	}
	return tokens, nil
}

// sweep removes consumers of dead processes, and what is left of earlier eras.
func (l *Lanes) sweep(ctx context.Context, p *part) error {
	if err := l.scripts.sweep.Run(ctx, l.client, []string{p.meta}, group, l.o.Consumer, consumerIdle.Milliseconds()).Err(); err != nil {
		return err
	}
	node := redis.Cmdable(l.client)
	if c, ok := l.client.(*redis.ClusterClient); ok {
		master, err := c.MasterForKey(ctx, p.meta)
		if err != nil {
			return err
		}
		node = master
	}
	for cursor := uint64(0); ; {
		keys, next, err := node.Scan(ctx, cursor, p.tag+"*", 1000).Result()
		if err != nil {
			return err
		}
		if err := l.drop(ctx, p, keys); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// drop removes those keys that are of an earlier era.
func (l *Lanes) drop(ctx context.Context, p *part, keys []string) error {
	args := []any{p.tag}
	for _, k := range keys {
		if !strings.HasPrefix(k, strings.TrimSuffix(p.meta, "m")) {
			args = append(args, k)
		}
	}
	if len(args) == 1 {
		return nil
	}
	return l.scripts.drop.Run(ctx, l.client, []string{p.meta}, args...).Err()
}

// dueParts are the partitions not looked through for a quarter of the lease; sweep is true now and then.
func (l *Lanes) dueParts(now time.Time) (due []*part, sweep bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.parts {
		if now.Sub(p.reviewed) >= l.o.Lease/4 {
			p.reviewed = now
			due = append(due, p)
		}
	}
	if len(due) > 0 && now.Sub(l.swept) >= sweepEvery {
		l.swept, sweep = now, true
	}
	return due, sweep
}
