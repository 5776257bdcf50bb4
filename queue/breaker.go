package queue

import (
	"math/rand/v2"
	"sync"
	"time"
)

// BreakerOptions tune a Breaker; zero fields have the values named.
type BreakerOptions struct {
	// Failures in a row open the circuit; 5.
	Failures int
	// First and Longest bound the time between two probes of a dead host, doubled each time; 1 minute and 1 hour.
	First, Longest time.Duration
	// Slots is how many runs a healthy host may have at once; 4. A host that failed last has 1.
	Slots int
	// Hosts bounds how many hosts are remembered; 20,000.
	Hosts int
	// Forget is how long an idle host is remembered; 24 hours.
	Forget time.Duration
	// SlotLife is when a slot that nobody reported is taken back; 3 minutes.
	SlotLife time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Breaker keeps work away from hosts that are down or busy: a few slots for each host, and for a dead one a single
// probe per interval, whatever waits. Its memory is bounded and expires; forgetting costs one probe. Safe for concurrent
// use.
type Breaker struct {
	o BreakerOptions

	mu    sync.Mutex
	hosts map[string]*host
}

// host is what is remembered of one host.
type host struct {
	failures int
	probes   int         // failed probes in a row
	until    time.Time   // open until then
	out      []time.Time // when the slots in use were given
	queued   time.Time   // the time that the next one to be turned away is told
	pace     time.Duration
	touched  time.Time
}

// NewBreaker returns a breaker.
func NewBreaker(o BreakerOptions) *Breaker {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	count := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	count(&o.Failures, 5)
	count(&o.Slots, 4)
	count(&o.Hosts, 20_000)
	def(&o.First, time.Minute)
	def(&o.Longest, time.Hour)
	def(&o.Forget, 24*time.Hour)
	def(&o.SlotLife, 3*time.Minute)
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Breaker{o: o, hosts: map[string]*host{}}
}

// Allow asks for a slot of the host. With 0 the caller has it and must Report how it went; otherwise the caller has
// none and should try again after the time returned (see Hold). Those who wait are told different times, so that a long
// queue for one host does not spin.
func (b *Breaker) Allow(name string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.o.Now()
	h := b.host(name, now)
	h.reclaim(now.Add(-b.o.SlotLife))
	if now.Before(h.until) {
		return h.until.Sub(now) + spread(h.until.Sub(now))
	}
	slots := b.o.Slots
	if h.failures > 0 {
		slots = 1
	}
	if len(h.out) < slots {
		h.out = append(h.out, now)
		return 0
	}
	return h.turn(now, slots)
}

// turn tells somebody who is turned away from a busy host when to come again: one after the other, at the pace of the
// host, but no later than ten minutes.
func (h *host) turn(now time.Time, slots int) time.Duration {
	if h.queued.Before(now) {
		h.queued = now
	}
	if h.queued.Sub(now) > 10*time.Minute {
		h.queued = now.Add(5 * time.Minute)
	}
	h.queued = h.queued.Add(max(h.pace/time.Duration(slots), 10*time.Millisecond))
	return max(h.queued.Sub(now), 50*time.Millisecond)
}

// Report gives a slot back. ok says that the host answered like a living one, whatever it thought of the request.
func (b *Breaker) Report(name string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.o.Now()
	h := b.host(name, now)
	if len(h.out) > 0 {
		took := now.Sub(h.out[0])
		h.pace = (3*h.pace + took) / 4
		h.out = h.out[1:]
	}
	if ok {
		h.failures, h.probes, h.until = 0, 0, time.Time{}
		return
	}
	h.failures++
	if h.failures < b.o.Failures || now.Before(h.until) {
		return
	}
	h.until = now.Add(min(b.o.First<<min(h.probes, 20), b.o.Longest))
	h.probes++
}

// Reset closes the circuit, as when the host itself was heard from.
func (b *Breaker) Reset(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.hosts[name]; h != nil {
		h.failures, h.probes, h.until = 0, 0, time.Time{}
	}
}

// Count is how many hosts are in each state: open ones are not to be dialled now, half-open ones wait for a probe.
func (b *Breaker) Count() (closed, halfOpen, open int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.o.Now()
	for _, h := range b.hosts {
		switch {
		case now.Before(h.until):
			open++
		case h.probes > 0:
			halfOpen++
		default:
			closed++
		}
	}
	return closed, halfOpen, open
}

// host finds or makes the state of a host.
func (b *Breaker) host(name string, now time.Time) *host {
	h := b.hosts[name]
	if h == nil {
		if len(b.hosts) >= b.o.Hosts {
			b.evict(now)
		}
		h = &host{}
		b.hosts[name] = h
	}
	h.touched = now
	return h
}

// evict forgets what is expired, and if nothing is, about one host in eight: the longest idle of those looked at.
func (b *Breaker) evict(now time.Time) {
	var oldest time.Time
	for _, h := range b.hosts {
		if oldest.IsZero() || h.touched.Before(oldest) {
			oldest = h.touched
		}
	}
	edge := oldest.Add(now.Sub(oldest) / 8)
	if expired := now.Add(-b.o.Forget); expired.After(edge) {
		edge = expired
	}
	for name, h := range b.hosts {
		if !h.touched.After(edge) {
			delete(b.hosts, name)
		}
	}
}

// reclaim takes back slots given before edge, and not reported.
func (h *host) reclaim(edge time.Time) {
	for len(h.out) > 0 && h.out[0].Before(edge) {
		h.out = h.out[1:]
	}
}

// spread adds up to an eighth, so that not all who wait come at once.
func spread(d time.Duration) time.Duration {
	return time.Duration(rand.Float64() * float64(d) / 8)
}
