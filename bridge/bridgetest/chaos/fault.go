package chaos

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"footbridge/bridge/bridgetest/oracle"
)

// Plan is what to run a fault with.
type Plan struct {
	Backend Backend
	Seed    uint64
	// Dose scales the workload and the faults; 1 is the table's.
	Dose float64
	// Output takes the log of bridges that run apart.
	Output io.Writer
}

// n is a number of the table at this dose, at least as many as given.
func (p Plan) n(full, least int) int { return max(int(float64(full)*p.Dose), least) }

func (p Plan) rand() *rand.Rand { return rand.New(rand.NewPCG(p.Seed, 0xFA17)) }

func (p Plan) setup() Setup {
	return Setup{Backend: p.Backend, Seed: p.Seed, Size: oracle.Scaled(p.Dose), Servers: p.n(50, 2), Output: p.Output}
}

// Report is what came of one fault.
type Report struct {
	Fault   string
	Backend Backend
	Seed    uint64
	Events  int
	// Dose says in words what was done.
	Dose    []string
	Verdict oracle.Verdict
	// Failed are the fault's own pass lines that did not hold.
	Failed []string
	Took   time.Duration
}

// Good reports whether everything held.
func (r Report) Good() bool { return r.Verdict.Good() && len(r.Failed) == 0 }

func (r *Report) did(format string, args ...any) {
	r.Dose = append(r.Dose, fmt.Sprintf(format, args...))
}
func (r *Report) fail(format string, args ...any) {
	r.Failed = append(r.Failed, fmt.Sprintf(format, args...))
}

// Write prints the report.
func (r Report) Write(w io.Writer) {
	state := "ok  "
	if !r.Good() {
		state = "FAIL"
	}
	fmt.Fprintf(w, "%s %-4s %-20s seed %d: %d events; %s; %v (%.0f s)\n", state, r.Fault, r.Backend, r.Seed, r.Events, strings.Join(r.Dose, ", "), r.Verdict, r.Took.Seconds())
	for _, s := range append(r.Verdict.Details(8), r.Failed...) {
		fmt.Fprintln(w, "       ", s)
	}
}

// Fault is one row of the table.
type Fault struct {
	Name, What string
	run        func(context.Context, Plan, *Report) error
}

// Run plays it.
func (f Fault) Run(ctx context.Context, p Plan) (Report, error) {
	r := Report{Fault: f.Name, Backend: p.Backend, Seed: p.Seed}
	start := time.Now()
	err := f.run(ctx, p, &r)
	r.Took = time.Since(start)
	if err != nil {
		err = fmt.Errorf("%s on %v, seed %d: %w", f.Name, p.Backend, p.Seed, err)
	}
	return r, err
}

// Faults are the rows that can be played, in the order of the table; F0 is no fault at all.
func Faults() []Fault {
	return []Fault{
		{"F0", "no fault", f0},
		{"F1", "kill -9 of the bridge at random moments", f1},
		{"F4", "Redis flushed, killed, frozen, full, absent at the start", f4},
		{"F7", "bad inboxes: hanging, slow, failing, busy, broken", f7},
		{"F9", "each activity delivered again and again, at once, to several inboxes; events of the relay repeated", f9},
		{"F10", "all orders of create, edit, delete, like and undo", f10},
		{"F11", "a storm of edits of one post", f11},
		{"F12", "withdrawal at a random moment, with items in flight", f12},
		{"F15", "a backup is restored after withdrawals and deletes", f15},
		{"F17", "the PLC directory is down", f17},
		{"F18", "the relay's limit of accounts is reached", f18},
		{"F19", "a second process on the same data", f19},
	}
}

// Absent are the rows of the table that this harness does not play, and why.
func Absent() []string {
	return []string{
		"F2 named crash points: the bridge has none; F1 kills at random moments instead",
		"F3 power loss: needs a file system that forgets what was not synced",
		"F5 cuts of the firehose, F6 poison, F8 clocks, F13 panic switch, F14 disk full, F21 flood, F22 two bridges: not in this harness",
		"F16 upgrade and downgrade: nothing is released", "F20 soak: 72 hours",
	}
}

// Find gives the faults of these names.
func Find(names []string) ([]Fault, error) {
	var out []Fault
	for _, name := range names {
		i := slices.IndexFunc(Faults(), func(f Fault) bool { return strings.EqualFold(f.Name, name) })
		if i < 0 {
			return nil, fmt.Errorf("no fault is called %q", name)
		}
		out = append(out, Faults()[i])
	}
	return out, nil
}

// within starts a rig, and closes it after the play.
func within(ctx context.Context, s Setup, play func(*Rig) error) (err error) {
	r, err := New(ctx, s)
	if err != nil {
		return err
	}
	defer func() {
		if closing := r.Close(); err == nil {
			err = closing
		}
	}()
	return play(r)
}

// patience is how long a backlog may take before what is missing counts as lost.
const patience = 60 * time.Second

// judge settles and fills the report.
func (r *Rig) judge(ctx context.Context, rep *Report) error {
	v, drained, err := r.Settle(ctx, patience)
	rep.Verdict = v
	rep.Events = len(r.acts)
	rep.did("drained in %.1f s", drained.Seconds())
	if v.Missing() > 0 {
		rep.fail("the backlog was not drained within %v", patience)
	}
	for i, x := range r.World.AT.Relay.Rejected() {
		if i < 3 {
			rep.fail("the relay refused: %s", x.Reason)
		}
	}
	for i, x := range r.World.AT.AppView.Faults() {
		if i < 3 {
			rep.fail("the AppView found: %s", x.Reason)
		}
	}
	return err
}

// spread is the pause between acts that lets the workload last about a time.
func spread(acts []oracle.Act, over time.Duration) time.Duration {
	most, count := 1, map[string]int{}
	for _, a := range acts {
		if a.Burst {
			continue
		}
		count[a.Author]++
		most = max(most, count[a.Author])
	}
	return over / time.Duration(most)
}

func f0(ctx context.Context, p Plan, rep *Report) error {
	return within(ctx, p.setup(), func(r *Rig) error {
		if err := r.Drive(ctx, oracle.Generate(p.Seed, r.Size), 0); err != nil {
			return err
		}
		return r.judge(ctx, rep)
	})
}

func quantile(list []time.Duration, q float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(int(q*float64(len(list))), len(list)-1)]
}

// Add sums reports up.
func (r *Report) Add(o Report) {
	r.Events += o.Events
	r.Verdict.Lost = append(r.Verdict.Lost, o.Verdict.Lost...)
	r.Verdict.Duplicate = append(r.Verdict.Duplicate, o.Verdict.Duplicate...)
	r.Verdict.Resurrected = append(r.Verdict.Resurrected, o.Verdict.Resurrected...)
	r.Verdict.Leaked = append(r.Verdict.Leaked, o.Verdict.Leaked...)
	r.Verdict.Misordered = append(r.Verdict.Misordered, o.Verdict.Misordered...)
}
