// Package redislane is the Scheduler for many processes: lanes in Redis 7.0 or later, Valkey, or a cluster of either. Of
// each lane at most one token is in a stream with a consumer group. Redis holds hashes and numbers only, and may lose its
// tail, be flushed or be away: the pump's cursor is written in the same script as the work, so what was lost is shipped
// again; and a server that restarted is filled anew. It may not know the database.
package redislane

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"footbridge/queue"
)

// group is the consumer group of all workers.
const group = "w"

// advanceAfter is how far the cursor of a partition that gets no work may lag before it is moved on its own.
const advanceAfter = 10_000

// Options tune Lanes. Zero fields have the values named.
type Options struct {
	// Partitions is how many hash slots the lanes are spread over; 1, or 16 on a cluster. All processes must agree.
	Partitions int
	// Lease is after how long without a sign of life a token may be taken over; 15 s.
	Lease time.Duration
	// Consumer names this process among the workers; random.
	Consumer string
}

// Lanes is a queue.Scheduler and a queue.Leaser. Create it with New; call Open first.
type Lanes struct {
	client  redis.UniversalClient
	o       Options
	scripts *scripts

	mu     sync.Mutex
	parts  []*part
	shares queue.Shares
	turn   int // the partition to claim from first
	swept  time.Time
}

var (
	_ queue.Scheduler = (*Lanes)(nil)
	_ queue.Leaser    = (*Lanes)(nil)
)

// part is one partition in one era. Its cursor in Redis moves only with work; upto says how far beyond it nothing is for
// it.
type part struct {
	n        int
	tag      string // what all keys of the partition begin with, in every era
	meta     string
	hwm      int64 // as last seen in Redis
	upto     int64 // >= hwm
	reviewed time.Time
	asked    time.Time // when the server was last asked who it is
}

// askEvery is how often servers are asked who they are.
const askEvery = 100 * time.Millisecond

// New returns lanes over a client; see Dial.
func New(client redis.UniversalClient, o Options) (*Lanes, error) {
	s, err := loadScripts()
	if err != nil {
		return nil, err
	}
	if o.Partitions <= 0 {
		o.Partitions = 1
		if _, ok := client.(*redis.ClusterClient); ok {
			o.Partitions = 16
		}
	}
	if o.Lease <= 0 {
		o.Lease = 15 * time.Second
	}
	if o.Consumer == "" {
		o.Consumer = rand.Text()
	}
	return &Lanes{client: client, o: o, scripts: s}, nil
}

// Lease implements queue.Leaser.
func (l *Lanes) Lease() time.Duration { return l.o.Lease }

// Open implements queue.Scheduler. Keys carry the generation, so that a restored database meets no old cursors.
func (l *Lanes) Open(ctx context.Context, generation string) error {
	if err := check(ctx, l.client); err != nil {
		return err
	}
	parts := make([]*part, l.o.Partitions)
	for i := range parts {
		tag := fmt.Sprintf("{fb:%s:%d}", generation, i)
		meta, err := l.era(ctx, tag)
		if err != nil {
			return err
		}
		parts[i] = &part{n: i, tag: tag, meta: meta, asked: time.Now()}
		if _, err := l.init(ctx, parts[i], 0); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts = parts
	return nil
}

// era names the meta key of a partition for the run of the server that has it now. A server that started anew begins
// anew: Redis 7.0 may execute the first half of a transaction that a crash cut in its log of writes when it loads the log
// for the second time, so what it loads is not trusted.
func (l *Lanes) era(ctx context.Context, tag string) (string, error) {
	run, err := l.scripts.who.Run(ctx, l.client, []string{tag + "?"}).Text()
	if err != nil {
		return "", fmt.Errorf("asking Redis who it is: %w", err)
	}
	return tag + run[:min(len(run), 10)] + ":m", nil
}

// renew puts a new part in the place of one whose server started anew, or was replaced.
func (l *Lanes) renew(ctx context.Context, i int) error {
	p := l.parts[i]
	if time.Since(p.asked) < askEvery {
		return nil
	}
	meta, err := l.era(ctx, p.tag)
	if err != nil {
		return err
	}
	if p.asked = time.Now(); meta == p.meta {
		return nil
	}
	fresh := &part{n: p.n, tag: p.tag, meta: meta, asked: p.asked}
	if _, err := l.init(ctx, fresh, l.quiet()); err != nil {
		return err
	}
	// Others may be reading the old slice.
	parts := slices.Clone(l.parts)
	parts[i] = fresh
	l.parts, l.swept = parts, time.Time{}
	return nil
}

// init makes what a partition lacks and returns its cursor.
func (l *Lanes) init(ctx context.Context, p *part, quiet time.Duration) (int64, error) {
	text, err := l.scripts.init.Run(ctx, l.client, []string{p.meta}, group, quiet.Milliseconds()).Text()
	if err != nil {
		return 0, fmt.Errorf("making the lanes of partition %d: %w", p.n, err)
	}
	return strconv.ParseInt(text, 10, 64)
}

// quiet is how long a Redis that forgot hands out nothing: long enough for others to notice that their tokens are gone.
func (l *Lanes) quiet() time.Duration { return l.o.Lease / 2 }

// Cursor implements queue.Scheduler.
func (l *Lanes) Cursor(ctx context.Context) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.parts {
		if err := l.renew(ctx, i); err != nil {
			return 0, err
		}
	}
	pipe := l.client.Pipeline()
	answers := make([]*redis.StringCmd, len(l.parts))
	for i, p := range l.parts {
		answers[i] = pipe.HGet(ctx, p.meta, "hwm")
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("reading the cursor: %w", err)
	}
	least := int64(-1)
	for i, p := range l.parts {
		hwm, err := answers[i].Int64()
		if errors.Is(err, redis.Nil) {
			hwm, err = l.init(ctx, p, l.quiet())
		}
		if err != nil {
			return 0, fmt.Errorf("reading the cursor of partition %d: %w", i, err)
		}
		p.seen(hwm)
		if err := l.advance(ctx, p); err != nil {
			return 0, err
		}
		if least < 0 || p.upto < least {
			least = p.upto
		}
	}
	return max(least, 0), nil
}

// seen notes what Redis says its cursor is; if that went back, the tail was lost.
func (p *part) seen(hwm int64) {
	if hwm < p.hwm {
		p.upto = hwm
	}
	p.hwm, p.upto = hwm, max(p.upto, hwm)
}

// advance moves the cursor of a partition that has had no work for long.
func (l *Lanes) advance(ctx context.Context, p *part) error {
	if p.upto-p.hwm < advanceAfter {
		return nil
	}
	_, err := l.ship(ctx, p, p.hwm, p.upto, nil)
	return err
}

// Enqueue implements queue.Scheduler.
func (l *Lanes) Enqueue(ctx context.Context, from, through int64, refs []queue.Ref) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	split := make([][]queue.Ref, len(l.parts))
	for _, r := range refs {
		n := l.partOf(r.Lane)
		split[n] = append(split[n], r)
	}
	for i, p := range l.parts {
		if p.upto < from {
			return queue.ErrGap
		}
		if len(split[i]) == 0 {
			p.upto = max(p.upto, through)
			continue
		}
		ok, err := l.ship(ctx, p, p.hwm, through, split[i])
		if err != nil {
			return err
		}
		if !ok {
			return queue.ErrGap
		}
	}
	return nil
}

func (l *Lanes) partOf(lane uint64) int { return int(lane % uint64(len(l.parts))) }

// ship appends references if the cursor of the partition is not before from; it reports false if it is.
func (l *Lanes) ship(ctx context.Context, p *part, from, through int64, refs []queue.Ref) (bool, error) {
	args := make([]any, 2, 2+3*len(refs))
	args[0], args[1] = from, through
	for _, r := range refs {
		args = append(args, laneName(r.Lane), entry(r), r.ID)
	}
	res, err := l.scripts.enqueue.Run(ctx, l.client, []string{p.meta}, args...).Slice()
	if err != nil {
		return false, fmt.Errorf("enqueueing in partition %d: %w", p.n, err)
	}
	if len(res) != 2 {
		return false, fmt.Errorf("enqueueing in partition %d: an answer of %d parts", p.n, len(res))
	}
	text, _ := res[1].(string)
	hwm, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return false, fmt.Errorf("enqueueing in partition %d: %w", p.n, err)
	}
	p.seen(hwm)
	return res[0] == int64(1), nil
}

// Len implements queue.Scheduler.
func (l *Lanes) Len(ctx context.Context) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	pipe := l.client.Pipeline()
	answers := make([]*redis.StringCmd, len(l.parts))
	for i, p := range l.parts {
		answers[i] = pipe.HGet(ctx, p.meta, "n")
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("measuring the lanes: %w", err)
	}
	var sum int64
	for _, a := range answers {
		n, err := a.Int64()
		if err != nil && !errors.Is(err, redis.Nil) {
			return 0, fmt.Errorf("measuring the lanes: %w", err)
		}
		sum += n
	}
	return sum, nil
}

func laneName(lane uint64) string { return strconv.FormatUint(lane, 36) }

// entry is a reference as it lies in a lane.
func entry(r queue.Ref) string {
	var b strings.Builder
	b.WriteByte('0' + byte(r.Priority))
	b.WriteByte(':')
	b.WriteString(strconv.FormatInt(r.ID, 10))
	b.WriteByte(':')
	if r.Subject != 0 {
		b.WriteString(strconv.FormatUint(r.Subject, 36))
	}
	return b.String()
}

// parse is the reverse of laneName and entry.
func parse(lane, e string) (r queue.Ref, err error) {
	f := strings.Split(e, ":")
	if len(f) != 3 || len(f[0]) != 1 {
		return r, fmt.Errorf("an entry of another shape in the lanes")
	}
	r.Priority = queue.Priority(f[0][0] - '0')
	if r.ID, err = strconv.ParseInt(f[1], 10, 64); err != nil {
		return r, fmt.Errorf("reading an entry: %w", err)
	}
	if f[2] != "" {
		if r.Subject, err = strconv.ParseUint(f[2], 36, 64); err != nil {
			return r, fmt.Errorf("reading an entry: %w", err)
		}
	}
	if r.Lane, err = strconv.ParseUint(lane, 36, 64); err != nil {
		return r, fmt.Errorf("reading a lane's name: %w", err)
	}
	return r, nil
}
