package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"footbridge/bridge/bridgetest/oracle"
	"footbridge/cmd/footbridge/app"
)

// f1 kills the bridge at uniform random moments while the workload goes on.
func f1(ctx context.Context, p Plan, rep *Report) error {
	s := p.setup()
	s.Apart = true
	return within(ctx, s, func(r *Rig) error {
		kills := p.n(100, 6)
		acts := oracle.Generate(p.Seed, r.Size)
		var ready []time.Duration
		group, inner := errgroup.WithContext(ctx)
		group.Go(func() error { return r.Drive(inner, acts, spread(acts, time.Duration(kills)*time.Second)) })
		group.Go(func() (err error) {
			ready, err = r.kill(inner, p.rand(), kills)
			return err
		})
		if err := group.Wait(); err != nil {
			return err
		}
		rep.did("%d kills", kills)
		rep.did("ready again p95 %.1f s", quantile(ready, .95).Seconds())
		if quantile(ready, .95) > 5*time.Second {
			rep.fail("ready only %v after a kill (p95)", quantile(ready, .95))
		}
		return r.judge(ctx, rep)
	})
}

// kill kills n times, each at a random moment of 1.5 seconds after the bridge was ready.
func (r *Rig) kill(ctx context.Context, rng *rand.Rand, n int) (ready []time.Duration, err error) {
	for range n {
		select {
		case <-time.After(time.Duration(rng.Int64N(int64(1500 * time.Millisecond)))):
		case <-ctx.Done():
			return ready, ctx.Err()
		}
		r.World.KillBridge()
		start := time.Now()
		if err := r.World.StartBridge(ctx); err != nil {
			return ready, fmt.Errorf("starting the bridge after a kill: %w", err)
		}
		ready = append(ready, time.Since(start))
	}
	return ready, nil
}

// f4 hurts Redis in turn. Without Redis there is nothing to hurt, and the workload must simply pass.
func f4(ctx context.Context, p Plan, rep *Report) error {
	s := p.setup()
	if p.Backend.Redis == "" {
		rep.did("no Redis at all")
		return f0(ctx, p, rep)
	}
	if err := f4absent(ctx, p, rep); err != nil {
		return err
	}
	return within(ctx, s, func(r *Rig) error {
		rounds := p.n(20, 1) * len(redisFaults)
		acts := oracle.Generate(p.Seed, r.Size)
		group, inner := errgroup.WithContext(ctx)
		group.Go(func() error { return r.Drive(inner, acts, spread(acts, time.Duration(rounds)*1500*time.Millisecond)) })
		group.Go(func() error { return r.hurtRedis(inner, p.rand(), rounds) })
		if err := group.Wait(); err != nil {
			return err
		}
		rep.did("%d times each: FLUSHALL, kill -9 and a start from a stale snapshot, frozen for 1-3 s, out of memory, cut connections", rounds/len(redisFaults))
		return r.judge(ctx, rep)
	})
}

// f4absent starts the bridge before Redis is there; what arrives meanwhile is accepted, and nobody joins before.
func f4absent(ctx context.Context, p Plan, rep *Report) error {
	s := p.setup()
	s.RedisLater, s.Size = true, oracle.Size{Authors: 2, Strangers: 1, Events: 30}
	late := make(chan error, 1)
	s.onRedis = func(redis *Redis) {
		go func() {
			select {
			case <-time.After(2 * time.Second):
				late <- redis.Start(ctx)
			case <-ctx.Done():
				late <- ctx.Err()
			}
		}()
	}
	return within(ctx, s, func(r *Rig) error {
		if err := <-late; err != nil {
			return err
		}
		if err := r.Drive(ctx, oracle.Generate(p.Seed, s.Size), 0); err != nil {
			return err
		}
		v, _, err := r.Settle(ctx, patience)
		rep.did("absent for 2 s at the start")
		for _, d := range v.Details(3) {
			rep.fail("absent at the start: %s", d)
		}
		return err
	})
}

var redisFaults = []func(context.Context, *Redis, *rand.Rand) error{
	func(ctx context.Context, s *Redis, _ *rand.Rand) error { return s.Do(ctx, "FLUSHALL") },
	func(ctx context.Context, s *Redis, rng *rand.Rand) error {
		s.Kill()
		if err := pause(ctx, rng, time.Second); err != nil {
			return err
		}
		return s.Start(ctx)
	},
	func(ctx context.Context, s *Redis, rng *rand.Rand) error {
		if err := s.Freeze(); err != nil {
			return err
		}
		return errors.Join(pause(ctx, rng, 3*time.Second), s.Thaw())
	},
	func(ctx context.Context, s *Redis, rng *rand.Rand) error {
		if err := s.Do(ctx, "CONFIG SET maxmemory 1"); err != nil {
			return err
		}
		return errors.Join(pause(ctx, rng, 2*time.Second), s.Do(ctx, "CONFIG SET maxmemory 0"))
	},
	func(ctx context.Context, s *Redis, _ *rand.Rand) error { return s.Do(ctx, "CLIENT KILL TYPE normal") },
}

func pause(ctx context.Context, rng *rand.Rand, most time.Duration) error {
	select {
	case <-time.After(time.Duration(rng.Int64N(int64(most)))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Rig) hurtRedis(ctx context.Context, rng *rand.Rand, rounds int) error {
	for i := range rounds {
		if err := pause(ctx, rng, time.Second); err != nil {
			return err
		}
		if err := redisFaults[i%len(redisFaults)](ctx, r.Redis, rng); err != nil {
			return fmt.Errorf("hurting Redis: %w", err)
		}
	}
	return nil
}

// f19 starts a second process on the data of the first.
func f19(ctx context.Context, p Plan, rep *Report) error {
	s := p.setup()
	s.Apart = true
	return within(ctx, s, func(r *Rig) error {
		tries := p.n(10, 1)
		acts := oracle.Generate(p.Seed, r.Size)
		group, inner := errgroup.WithContext(ctx)
		group.Go(func() error { return r.Drive(inner, acts, spread(acts, time.Duration(tries)*2*time.Second)) })
		group.Go(func() error {
			for range tries {
				if err := r.second(inner, rep); err != nil {
					return err
				}
			}
			return nil
		})
		if err := group.Wait(); err != nil {
			return err
		}
		rep.did("%d second processes", tries)
		return r.judge(ctx, rep)
	})
}

// second starts one and expects that it refuses.
func (r *Rig) second(ctx context.Context, rep *Report) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	proc, err := r.World.Spawn(ctx, r.Output, func(c *app.Config) { c.Listen = addr })
	if err != nil {
		return err
	}
	ended, failed := proc.Ended(15 * time.Second)
	if !ended {
		rep.fail("a second process on the same data runs for 15 s")
		return proc.Stop()
	}
	if failed == nil {
		rep.fail("a second process ended without an error")
	}
	return nil
}
