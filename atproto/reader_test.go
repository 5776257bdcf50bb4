package atproto_test

import (
	"context"
	"errors"
	"footbridge/atproto"
	"footbridge/atproto/atprototest"
	"footbridge/bridge/store"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// rig is a network, a database and a reader over them.
type rig struct {
	*testing.T
	net      *atprototest.Network
	db       *store.DB
	resolver *atproto.Resolver
	set      *atproto.DIDSet
	sink     *sink
	reader   *atproto.Reader
	stop     func()
}

func newRig(t *testing.T, o atprototest.Options) *rig {
	t.Helper()
	n, err := atprototest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	r := &rig{T: t, net: n, db: db, set: atproto.NewDIDSet()}
	r.resolver = atproto.NewResolver(atproto.ResolverOptions{
		Client: &http.Client{Timeout: 10 * time.Second}, PLC: n.PLC.URL(), HandleURL: n.HandleURL, Insecure: true,
	})
	r.sink = &sink{db: store.Room[atproto.Tx]{DB: db}, wake: make(chan struct{}), known: map[string]string{}}
	return r
}

// run starts a reader on the relay; stopping it waits for it.
func (r *rig) run() {
	r.Helper()
	r.runOn(atproto.Source{Name: "relay", URL: r.net.Relay.URL()})
}

func (r *rig) runOn(src atproto.Source) {
	r.Helper()
	ctx, cancel := context.WithCancel(r.Context())
	r.reader = atproto.NewReader(atproto.ReaderOptions{
		Resolver: r.resolver, Store: r.sink.db, Interest: r.set, Sink: r.sink, Dialer: &websocket.Dialer{},
		Log: slog.New(slog.NewTextHandler(r.Output(), nil)), SaveEvery: 5 * time.Millisecond,
		Backoff: func(int) time.Duration { return 5 * time.Millisecond },
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.reader.Run(ctx, src) // ends with ctx
	}()
	r.stop = func() { cancel(); <-done }
	r.Cleanup(r.stop)
}

// runLive runs and waits until the reader sees events: one without a cursor sees nothing of before.
func (r *rig) runLive() {
	r.Helper()
	r.ok(r.net.Settle(r.Context()))
	r.run()
	probe := r.account("probe")
	r.set.AddAuthor(probe.DID)
	r.sink.await(r.T, "the reader to be live", func(s *sink) bool {
		if _, err := r.net.Post(probe, "probe", nil); err != nil {
			r.Fatal(err)
		}
		return slices.ContainsFunc(s.commits, func(c atproto.Commit) bool { return string(c.DID) == probe.DID })
	})
}

func (r *rig) account(name string) *atprototest.Account {
	r.Helper()
	a, err := r.net.CreateAccount(name)
	if err != nil {
		r.Fatal(err)
	}
	return a
}

func (r *rig) ref(ref atprototest.Ref, err error) atprototest.Ref {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
	return ref
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// sink keeps what it is given, in the database where it says so, and remembers records as a bridge does.
type sink struct {
	db store.Room[atproto.Tx]

	mu       sync.Mutex
	commits  []atproto.Commit
	accounts []atproto.AccountEvent
	known    map[string]string
	seen     map[string]bool
	fail     func() error
	wake     chan struct{}
}

func (s *sink) changed() {
	close(s.wake)
	s.wake = make(chan struct{})
}

func (s *sink) Commit(_ context.Context, _ string, c atproto.Commit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(); err != nil {
			return err
		}
	}
	defer s.changed()
	key := string(c.DID) + c.Rev
	if s.seen[key] {
		return nil
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	s.seen[key] = true
	s.commits = append(s.commits, c)
	for _, op := range c.Ops {
		uri := string(c.DID) + "/" + string(op.Collection) + "/" + string(op.RKey)
		if op.Action == "delete" {
			delete(s.known, uri)
		} else {
			s.known[uri] = op.CID
		}
	}
	return nil
}

func (s *sink) Known(_ context.Context, did string) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]string{}
	for uri, cid := range s.known {
		if path, ok := strings.CutPrefix(uri, did+"/"); ok {
			out[path] = cid
		}
	}
	return out, nil
}

func (s *sink) Account(_ context.Context, _ string, e atproto.AccountEvent) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.changed()
	s.accounts = append(s.accounts, e)
	return nil
}

func (s *sink) SaveCursor(ctx context.Context, source string, seq int64) error {
	return s.db.Update(ctx, func(tx atproto.Tx) error { return tx.SetFirehoseCursor(source, seq) })
}

func (s *sink) Cursor(ctx context.Context, source string) (seq int64, err error) {
	err = s.db.View(ctx, func(tx atproto.Tx) error { seq, err = tx.FirehoseCursor(source); return err })
	return seq, err
}

// await waits until cond holds; cond is called with the lock released between calls.
func (s *sink) await(t *testing.T, what string, cond func(*sink) bool) {
	t.Helper()
	limit := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		wake := s.wake
		view := &sink{commits: slices.Clone(s.commits), accounts: slices.Clone(s.accounts), known: maps.Clone(s.known)}
		s.mu.Unlock()
		if cond(view) {
			return
		}
		select {
		case <-wake:
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain for %s; %d commits, %d account events", what, len(view.commits), len(view.accounts))
		}
	}
}

// has reports whether a commit with an operation on the record came.
func (s *sink) has(action string, ref atprototest.Ref) bool {
	return slices.ContainsFunc(s.commits, func(c atproto.Commit) bool {
		return slices.ContainsFunc(c.Ops, func(op atproto.Op) bool {
			return op.Action == action && ref.URI == "at://"+string(c.DID)+"/"+string(op.Collection)+"/"+string(op.RKey)
		})
	})
}

// Posts of members, and interactions of strangers with copies, arrive; all else is dropped unseen.
func TestReaderDeliversWhatConcernsUs(t *testing.T) {
	r := newRig(t, atprototest.Options{})
	member, stranger, other := r.account("member"), r.account("stranger"), r.account("other")
	r.set.AddAuthor(member.DID)
	r.set.AddMention(other.DID) // as if other were a copy
	r.runLive()

	post := r.ref(r.net.Post(member, "hello <b> & all", nil))
	noise := r.ref(r.net.Post(stranger, "noise", nil))
	follow := r.ref(r.net.Follow(stranger, other.DID))
	r.set.Watch(stranger.DID)
	r.sink.await(t, "the follow", func(s *sink) bool { return s.has("create", follow) && s.has("create", post) })
	r.ok(r.net.Delete(follow))
	r.sink.await(t, "the unfollow", func(s *sink) bool { return s.has("delete", follow) })
	r.sink.mu.Lock()
	if r.sink.has("create", noise) {
		t.Error("what concerns nobody was delivered")
	}
	r.sink.mu.Unlock()

	r.sink.await(t, "the text as written", func(s *sink) bool {
		return slices.ContainsFunc(s.commits, func(c atproto.Commit) bool {
			return len(c.Ops) == 1 && strings.Contains(string(c.Ops[0].Record), `"hello <b> & all"`) && len(c.Evidence) > 0
		})
	})
	if n := r.reader.Stats().Forged.Load(); n != 0 {
		t.Errorf("%d events were called forged", n)
	}
}

// Handle changes and hosting states arrive; the handle is the one that resolves both ways.
func TestReaderReportsAccounts(t *testing.T) {
	r := newRig(t, atprototest.Options{})
	a := r.account("anna")
	r.set.AddAuthor(a.DID)
	r.runLive()
	r.ok(a.PDS().SetHandle(a, "anna-new.pds.test"))
	r.sink.await(t, "the new handle", func(s *sink) bool {
		return slices.ContainsFunc(s.accounts, func(e atproto.AccountEvent) bool { return e.Kind == "identity" && e.Handle == "anna-new.pds.test" })
	})
	a.PDS().SetStatus(a, "deactivated")
	r.sink.await(t, "the deactivation", func(s *sink) bool {
		return slices.ContainsFunc(s.accounts, func(e atproto.AccountEvent) bool {
			return e.Kind == "account" && !e.Active && e.Status == "deactivated"
		})
	})
}

// What happened while nobody read is read after the restart, once.
func TestReaderResumesFromItsCursor(t *testing.T) {
	r := newRig(t, atprototest.Options{})
	a := r.account("anna")
	r.set.AddAuthor(a.DID)
	r.runLive()
	first := r.ref(r.net.Post(a, "first", nil))
	r.sink.await(t, "the first", func(s *sink) bool { return s.has("create", first) })
	r.stop()
	second := r.ref(r.net.Post(a, "second", nil))
	r.run()
	r.sink.await(t, "the second", func(s *sink) bool { return s.has("create", second) })
	if gaps := r.reader.Stats().Gaps.Load(); gaps != 0 {
		t.Errorf("%d gaps", gaps)
	}
}

// Events that a host lost are found by comparing the repo: what is new, edited and deleted, but not what is old.
func TestReaderHealsAGap(t *testing.T) {
	for _, noSince := range []bool{false, true} {
		r := newRig(t, atprototest.Options{})
		a := r.account("anna")
		a.PDS().NoSince = noSince
		old := r.ref(r.net.Post(a, "from before joining", nil))
		r.set.AddAuthor(a.DID)
		r.runLive()
		edited := r.ref(r.net.Post(a, "to be edited", nil))
		deleted := r.ref(r.net.Post(a, "to be deleted", nil))
		kept := r.ref(r.net.Post(a, "kept", nil))
		r.sink.await(t, "the posts", func(s *sink) bool {
			return s.has("create", edited) && s.has("create", deleted) && s.has("create", kept)
		})

		var missed atprototest.Ref
		r.ok(a.PDS().Quietly(func() error {
			missed = r.ref(r.net.Post(a, "missed", nil))
			r.ref(r.net.Edit(a, edited, "edited"))
			return r.net.Delete(deleted)
		}))
		next := r.ref(r.net.Post(a, "next", nil))
		// The strict relay holds the commit back as its chain is broken; #sync makes it and us look.
		a.PDS().Sync(a)
		r.sink.await(t, "what was missed", func(s *sink) bool {
			return s.has("create", missed) && s.has("update", edited) && s.has("delete", deleted) && s.has("create", next)
		})
		r.sink.mu.Lock()
		if r.sink.has("create", old) || r.sink.has("delete", kept) {
			t.Errorf("noSince %v: created %v, deleted %v", noSince, r.sink.has("create", old), r.sink.has("delete", kept))
		}
		r.sink.mu.Unlock()
		after := r.ref(r.net.Post(a, "after", nil))
		r.sink.await(t, "the chain to go on", func(s *sink) bool { return s.has("create", after) })
		for _, c := range r.sink.commits {
			if c.Healed && len(c.Evidence) == 0 {
				t.Error("healed without evidence")
			}
		}
		r.stop()
	}
}

// A sink that fails now and then loses nothing, and the cursor never passes what is not kept.
func TestReaderKeepsTheCursorBehindFailures(t *testing.T) {
	r := newRig(t, atprototest.Options{})
	a := r.account("anna")
	r.set.AddAuthor(a.DID)
	r.runLive()
	calls := 0
	r.sink.mu.Lock()
	r.sink.fail = func() error {
		if calls++; calls%3 != 0 {
			return errors.New("disk full")
		}
		return nil
	}
	r.sink.mu.Unlock()
	var refs []atprototest.Ref
	for range 20 {
		refs = append(refs, r.ref(r.net.Post(a, "post", nil)))
	}
	r.sink.await(t, "all posts", func(s *sink) bool {
		return !slices.ContainsFunc(refs, func(ref atprototest.Ref) bool { return !s.has("create", ref) })
	})
	r.sink.await(t, "the cursor", func(*sink) bool {
		seq, err := r.sink.Cursor(t.Context(), "relay")
		return err == nil && seq == r.net.Relay.Seq()
	})
	last := map[string]int64{}
	for _, c := range r.sink.commits {
		if c.Seq <= last[string(c.DID)] {
			t.Errorf("out of order: %d after %d", c.Seq, last[string(c.DID)])
		}
		last[string(c.DID)] = c.Seq
	}
}
