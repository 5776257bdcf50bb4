package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Policy decides what an error of a handler means. It is the only place where retries are decided. The zero value is
// ready to use.
type Policy struct {
	// Limits are the patience with each kind of job; kinds that are not listed have Default.
	Limits map[string]Limit
	// Default is the patience with all other kinds; zero fields mean 5 days and no bound on tries.
	Default Limit
	// Cap bounds the wait between two tries; 0 means 12 hours.
	Cap time.Duration
	// Timeout bounds one run of a handler; 0 means 2 minutes.
	Timeout time.Duration
	// Jitter returns a number in [0, 1); nil means math/rand.
	Jitter func() float64
}

// Limit is how long and how often a job is tried. Age counts from when the job was enqueued or should first have run.
type Limit struct {
	Tries int
	Age   time.Duration
}

// poisonTries is how often a job that panics is run.
const poisonTries = 5

// errPanic marks a handler's panic.
var errPanic = errors.New("the handler panicked")

// Decision is what becomes of a job after a run.
type Decision struct {
	Outcome Outcome
	Delay   Delay
	// Held: the job waits, and the database need not know.
	Held bool
}

// Decide judges one run. err is what the handler returned.
func (p Policy) Decide(job Job, err error, now time.Time) Decision {
	d := Decision{Outcome: Done, Delay: Delay{Attempt: job.Attempt + 1, Deferred: job.Deferred}}
	var v *Verdict
	switch {
	case err == nil:
		return d
	case errors.As(err, &v):
		d.Outcome, d.Held = v.Outcome, v.held
		d.Delay.Reason, d.Delay.Detail = v.Reason, detail(v)
		d.Delay.Due = now.Add(v.After)
	default:
		d.Outcome = Retried
		d.Delay.Reason, d.Delay.Detail = class(err), err.Error()
	}
	return p.patience(job, d, v, err, now)
}

// patience computes when to try again, and gives up what has been tried for long enough.
func (p Policy) patience(job Job, d Decision, v *Verdict, err error, now time.Time) Decision {
	switch d.Outcome {
	case Retried:
		wait := p.backoff(d.Delay.Attempt)
		if v != nil {
			wait = max(min(v.After, p.cap()), min(wait, time.Second)) // no host may name a year
		}
		d.Delay.Due = now.Add(wait)
	case Snoozed:
		d.Delay.Attempt--
		if !d.Held {
			d.Delay.Deferred++
		}
		d.Delay.Due = now.Add(max(time.Duration(0), d.Delay.Due.Sub(now)))
	default:
		return d
	}
	limit := p.limit(job.Kind)
	old := d.Delay.Due.After(start(job).Add(limit.Age))
	tired := d.Outcome == Retried && limit.Tries > 0 && d.Delay.Attempt >= limit.Tries
	poison := errors.Is(err, errPanic) && d.Delay.Attempt >= poisonTries
	if old || tired || poison {
		d.Outcome, d.Held = DeadJob, false
	}
	return d
}

// backoff is attempt^4 seconds, as sidekiq made usual, with a tenth of jitter: about 50 hours for 16 tries.
func (p Policy) backoff(attempt int) time.Duration {
	n := min(attempt, 30)
	wait := min(time.Duration(n*n*n*n)*time.Second, p.cap())
	jitter := rand.Float64
	if p.Jitter != nil {
		jitter = p.Jitter
	}
	return wait + time.Duration(jitter()*float64(wait)/10)
}

func (p Policy) cap() time.Duration {
	if p.Cap <= 0 {
		return 12 * time.Hour
	}
	return p.Cap
}

func (p Policy) limit(kind string) Limit {
	l, ok := p.Limits[kind]
	if !ok {
		l = p.Default
	}
	if l.Age <= 0 {
		l.Age = 5 * 24 * time.Hour
	}
	return l
}

func (p Policy) timeout() time.Duration {
	if p.Timeout <= 0 {
		return 2 * time.Minute
	}
	return p.Timeout
}

// start is when the job's patience begins to run.
func start(job Job) time.Time {
	if job.After.After(job.Created) {
		return job.After
	}
	return job.Created
}

// class names the retry class of an error in one word.
func class(err error) string {
	switch {
	case errors.Is(err, errPanic):
		return "panic"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	default:
		return "error"
	}
}

func detail(v *Verdict) string {
	if v.Err == nil {
		return ""
	}
	return v.Err.Error()
}
