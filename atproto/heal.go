package atproto

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"
)

// healTimeout bounds one comparison of a repo.
const healTimeout = 5 * time.Minute

// healer compares repos of which something was missed. While a repo is stale its commits are not worked on: what they did
// is found by the comparison. Staleness is durable, so a comparison that a restart cut short begins again.
type healer struct {
	r     *Reader
	mu    sync.Mutex
	open  map[syntax.DID]string // being compared, with the highest rev seen meanwhile
	slots chan struct{}
	wg    sync.WaitGroup
}

func newHealer(r *Reader) *healer {
	return &healer{r: r, open: map[syntax.DID]string{}, slots: make(chan struct{}, 2)}
}

func (h *healer) wait() { h.wg.Wait() }

// startStale starts comparing all repos marked stale.
func (h *healer) startStale(ctx context.Context) {
	after := syntax.DID("")
	for {
		var page []RemoteHead
		err := h.r.o.Store.View(ctx, func(tx Tx) (err error) { page, err = tx.StaleRemoteHeads(after, 500); return err })
		if err != nil {
			h.r.o.Log.Error("listing stale repos", "error", err)
			return
		}
		if len(page) == 0 {
			return
		}
		for _, head := range page {
			h.start(ctx, head.DID, "")
			after = head.DID
		}
	}
}

// start notes that a rev was seen and begins a comparison unless one is under way.
func (h *healer) start(ctx context.Context, did syntax.DID, rev string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen, running := h.open[did]
	h.open[did] = max(seen, rev)
	if !running {
		h.wg.Go(func() { h.run(ctx, did) })
	}
}

// run compares until the repo is level, pausing between failures.
func (h *healer) run(ctx context.Context, did syntax.DID) {
	for n := 1; ; n++ {
		select {
		case h.slots <- struct{}{}:
		case <-ctx.Done():
			h.close(did)
			return
		}
		var done bool
		err := guarded(func() (err error) { done, err = h.once(ctx, did); return err })
		<-h.slots
		if done {
			return
		}
		if err != nil {
			h.r.o.Log.Warn("comparing a repo", "attempt", n, "error", err)
		}
		if !pause(ctx, min(h.r.o.Backoff(n)<<min(max(n-8, 0), 8), time.Hour)) {
			h.close(did)
			return
		}
	}
}

// close says that nobody compares the repo any more.
func (h *healer) close(did syntax.DID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, did)
}

// inLane runs f in the DID's lane, so that no commit is judged while f changes what it is judged by. If f says done, the
// comparison is closed there too.
func (h *healer) inLane(ctx context.Context, did syntax.DID, f func() (bool, error)) (done bool, err error) {
	wait := make(chan struct{})
	addErr := h.r.lanes.add(ctx, string(did), func() {
		defer close(wait)
		if done, err = f(); done {
			h.close(did)
		}
	})
	if addErr != nil {
		return false, addErr
	}
	<-wait
	return done, err
}

// once makes one comparison; done means that the repo is level or no longer of concern.
func (h *healer) once(ctx context.Context, did syntax.DID) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, healTimeout)
	defer cancel()
	head, err := h.r.head(ctx, did)
	if err != nil {
		return false, err
	}
	if head == nil || !head.Stale {
		return h.settle(ctx, did)
	}
	if !h.r.o.Interest.Author(string(did)) {
		return h.drop(ctx, did)
	}
	// The whole repo, not what is new since: only a whole tree proves that a record is gone.
	s, err := h.r.client.GetRepo(ctx, did, "")
	if errors.Is(err, ErrNotFound) || accountInactive(err) {
		return h.drop(ctx, did)
	}
	if err != nil {
		return false, err
	}
	if err := h.deliver(ctx, head, s); err != nil {
		return false, err
	}
	return h.finish(ctx, s)
}

// accountInactive says that the host does not serve the repo at present; once active again, a new chain begins.
func accountInactive(err error) bool {
	var x *XRPCError
	if !errors.As(err, &x) {
		return false
	}
	switch x.Name {
	case "RepoDeactivated", "RepoTakendown", "RepoSuspended":
		return true
	}
	return false
}

// settle ends a comparison that was not needed, unless it became needed meanwhile.
func (h *healer) settle(ctx context.Context, did syntax.DID) (bool, error) {
	return h.inLane(ctx, did, func() (bool, error) {
		head, err := h.r.head(ctx, did)
		return err == nil && (head == nil || !head.Stale), err
	})
}

// drop forgets the chain; the next commit seen begins a new one.
func (h *healer) drop(ctx context.Context, did syntax.DID) (bool, error) {
	return h.inLane(ctx, did, func() (bool, error) {
		err := h.r.o.Store.Update(ctx, func(tx Tx) error { return tx.DropRemoteHead(did) })
		return err == nil, err
	})
}

// deliver hands the difference to the sink as one commit.
func (h *healer) deliver(ctx context.Context, head *RemoteHead, s *Snapshot) error {
	known := map[string]string{}
	if m, ok := h.r.o.Sink.(Rememberer); ok {
		var err error
		if known, err = m.Known(ctx, string(s.DID)); err != nil {
			return fmt.Errorf("asking what is known of a repo: %w", err)
		}
	}
	ops, err := difference(s, head.Rev, known)
	if err != nil || len(ops) == 0 {
		return err
	}
	paths := make([]string, len(ops))
	for i, op := range ops {
		paths[i] = string(op.Collection) + "/" + string(op.RKey)
	}
	c := Commit{DID: s.DID, Rev: s.Rev, CID: s.car.Root.String(), Time: h.r.now(), Ops: ops, Evidence: s.evidence(paths), Healed: true}
	err = h.r.o.Sink.Commit(ctx, "heal", c)
	if errors.Is(err, ErrSkip) {
		return nil
	}
	return err
}

// finish marks the repo level unless later commits were announced meanwhile.
func (h *healer) finish(ctx context.Context, s *Snapshot) (bool, error) {
	return h.inLane(ctx, s.DID, func() (bool, error) {
		h.mu.Lock()
		ahead := h.open[s.DID] > s.Rev
		h.mu.Unlock()
		if ahead {
			return false, errors.New("the host serves an older state than was announced")
		}
		err := h.r.o.Store.Update(ctx, func(tx Tx) error {
			return tx.PutRemoteHead(RemoteHead{DID: s.DID, Rev: s.Rev, Data: s.Data})
		})
		if err != nil {
			return false, err
		}
		h.r.stats.Healed.Add(1)
		return true, nil
	})
}

// difference says what changed: what is known and gone or other, and what came after rev, as its key, a TID, tells. Keys
// that are no TIDs (a profile, say) are always of interest.
func difference(s *Snapshot, rev string, known map[string]string) ([]Op, error) {
	if s.tree.IsPartial() {
		return nil, fmt.Errorf("%w: the host served only a part of the repo", ErrForged)
	}
	var ops []Op
	seen := map[string]bool{}
	err := s.Walk(func(path string, id cid.Cid) error {
		seen[path] = true
		was, isKnown := known[path]
		if was == id.String() || (!isKnown && rkeyOf(path) < rev) {
			return nil
		}
		record, err := recordJSON(s.car.Block(id))
		if err != nil {
			return nil //nolint:nilerr // not valid data: nothing to bridge
		}
		op := newOp("create", path)
		if isKnown {
			op.Action, op.Prev = "update", was
		}
		op.CID, op.Record = id.String(), record
		ops = append(ops, op)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return append(goneOps(known, seen), ops...), nil
}

// goneOps lists deletes of what is known and absent.
func goneOps(known map[string]string, seen map[string]bool) []Op {
	var ops []Op
	for _, path := range slices.Sorted(maps.Keys(known)) {
		if seen[path] {
			continue
		}
		op := newOp("delete", path)
		op.Prev = known[path]
		ops = append(ops, op)
	}
	return ops
}

// rkeyOf returns the record key if it is a TID, else one after all TIDs: such records are always compared.
func rkeyOf(path string) string {
	_, rkey, _ := strings.Cut(path, "/")
	if _, err := syntax.ParseTID(rkey); err != nil {
		return "~"
	}
	return rkey
}
