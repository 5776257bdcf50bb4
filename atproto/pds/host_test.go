package pds_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"footbridge/atproto/pds"
	"footbridge/identity/consent"

	"github.com/bluesky-social/indigo/atproto/repo/mst"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"
)

func TestCreateRepoAnnouncesItself(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle, pds.Write{Collection: "app.bsky.actor.profile", RKey: "self", Record: map[string]any{"displayName": "Alice"}})
	log := r.log(0)
	if kinds(log) != "#identity #account #commit" {
		t.Fatalf("got %s", kinds(log))
	}
	if *log[0].identity.Handle != handle.String() || !log[1].account.Active || len(log[2].commit.Ops) != 1 {
		t.Errorf("got %+v %+v %+v", log[0].identity, log[1].account, log[2].commit)
	}
	r.chain(aliceDID).take(t, log[2].commit)
}

func TestEmptyFirstCommitHasARoot(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	r.chain(aliceDID).take(t, r.log(0)[2].commit)
}

// TestFuzzedCommits makes batches over one repo, checks every event strictly, and the state against a model; the first
// batches empty the repo again and again, which is where the library's tree goes wrong.
func TestFuzzedCommits(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	g := rand.New(rand.NewPCG(seed, 3))
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	c := r.chain(aliceDID)
	c.take(t, r.log(0)[2].commit)
	last := r.log(0)[2].seq
	model := map[string]string{}
	for n := range 250 {
		writes := fuzzWrites(g, model, n)
		commit, results, err := r.apply(writes...)
		if err != nil {
			t.Fatal(err)
		}
		changed := slices.ContainsFunc(results, func(x pds.Result) bool { return x.Changed })
		log := r.log(last)
		if changed != (len(log) == 1) {
			t.Fatalf("step %d: changed %v, %d events", n, changed, len(log))
		}
		if changed {
			c.take(t, log[0].commit)
			last = log[0].seq
			if commit.Rev != c.rev || commit.Seq != last {
				t.Fatalf("step %d: %+v, event %d %s", n, commit, last, c.rev)
			}
		}
		for i, w := range writes {
			if w.Record != nil {
				model[w.Path()] = results[i].CID
			} else {
				delete(model, w.Path())
			}
		}
		r.checkState(aliceDID, model)
		r.clock.pass(time.Millisecond)
	}
}

func fuzzWrites(g *rand.Rand, model map[string]string, n int) []pds.Write {
	if n%25 == 24 {
		var all []pds.Write
		for _, path := range slices.Sorted(maps.Keys(model)) {
			coll, rkey, _ := strings.Cut(path, "/")
			all = append(all, pds.Write{Collection: syntax.NSID(coll), RKey: syntax.RecordKey(rkey)})
		}
		return append(all, note("fresh", fmt.Sprint(n)))
	}
	var writes []pds.Write
	used := map[string]bool{}
	for i := range 1 + g.IntN(9) {
		w := note(fmt.Sprintf("k%d", g.IntN(80)), fmt.Sprint(g.IntN(3), n*i))
		if g.IntN(4) == 0 {
			w.Collection = "app.bsky.feed.like"
			w.Record["$type"] = "app.bsky.feed.like"
		}
		if g.IntN(5) < 2 {
			w.Record = nil
		}
		if !used[w.Path()] {
			used[w.Path()] = true
			writes = append(writes, w)
		}
	}
	return writes
}

// checkState compares records, nodes and root with a tree that is built whole from the model.
func (r *rig) checkState(did syntax.DID, model map[string]string) {
	r.Helper()
	repo := r.repo(did)
	values := map[string]cid.Cid{}
	for path, c := range model {
		id, err := cid.Decode(c)
		r.ok(err)
		values[path] = id
	}
	tree, err := mst.LoadTreeFromMap(values)
	r.ok(err)
	root, err := tree.RootCID()
	r.ok(err)
	if root.String() != repo.Data {
		r.Fatalf("root %s, the model's is %s", repo.Data, root)
	}
	records, nodes := 0, 0
	r.ok(r.room.View(context.Background(), func(tx pds.Tx) error {
		err := tx.RepoRecords(repo.ID, "", func(rec pds.StoredRecord) error {
			if records++; model[rec.Path] != rec.CID.String() {
				r.Fatalf("%s is %s", rec.Path, rec.CID)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return tx.RepoNodes(repo.ID, "", func(cid.Cid, []byte) error { nodes++; return nil })
	}))
	if records != len(model) || int64(records) != repo.Records {
		r.Fatalf("%d records, the model has %d, the row says %d", records, len(model), repo.Records)
	}
	if want := nodesOf(tree.Root); nodes != want {
		r.Fatalf("%d nodes kept, the tree has %d", nodes, want)
	}
}

func nodesOf(n *mst.Node) int {
	total := 1
	for _, e := range n.Entries {
		if e.Child != nil {
			total += nodesOf(e.Child)
		}
	}
	return total
}

func TestUnchangedWritesMakeNoCommit(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	first, _, err := r.apply(note("a", "hello"))
	r.ok(err)
	before := len(r.log(0))
	again, results, err := r.apply(note("a", "hello"), gone("never"))
	r.ok(err)
	if again.CID != first.CID || again.Seq != 0 || len(r.log(0)) != before || results[0].Changed || results[1].Changed || results[0].CID == "" {
		t.Errorf("got %+v, %+v", again, results)
	}
}

func TestSamePathTwiceLastCounts(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	_, results, err := r.apply(note("a", "one"), note("a", "two"), note("b", "x"), gone("b"))
	r.ok(err)
	if results[0] != results[1] || !results[0].Changed || results[2].Changed {
		t.Errorf("got %+v", results)
	}
	c := r.chain(aliceDID)
	for _, e := range r.log(0)[2:] {
		c.take(t, e.commit)
	}
}

func TestLargeBatchesAreSplit(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	var many, big []pds.Write
	for i := range 450 {
		many = append(many, note(fmt.Sprintf("m%03d", i), "x"))
	}
	for i := range 5 {
		big = append(big, note(fmt.Sprintf("b%d", i), strings.Repeat("y", 900_000)))
	}
	_, _, err := r.apply(many...)
	r.ok(err)
	_, _, err = r.apply(big...)
	r.ok(err)
	c := r.chain(aliceDID)
	ops := 0
	for _, e := range r.log(0)[2:] {
		c.take(t, e.commit)
		ops += len(e.commit.Ops)
	}
	if ops != 455 {
		t.Errorf("%d ops", ops)
	}
}

func TestRevsNeverGoBackNorAhead(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	start := r.clock.now()
	r.clock.pass(-time.Minute)
	for i := range 3 {
		_, _, err := r.apply(note(fmt.Sprint(i), "x"))
		r.ok(err)
	}
	rev := syntax.TID(r.repo(aliceDID).Rev)
	if at := rev.Time(); at.Before(start) || at.After(start.Add(time.Second)) {
		t.Errorf("rev of %s after a clock of %s", at, start)
	}
	r.clock.pass(-time.Hour)
	if _, _, err := r.apply(note("late", "x")); err == nil {
		t.Error("a rev an hour ahead of the clock was made")
	}
}

func TestInvalidRecords(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	head := r.repo(aliceDID).Head
	deep := map[string]any{}
	for range 100 {
		deep = map[string]any{"d": deep}
	}
	for name, w := range map[string]pds.Write{
		"float":       {Collection: post, RKey: "a", Record: map[string]any{"n": 1.5}},
		"type":        {Collection: post, RKey: "a", Record: map[string]any{"$type": "app.bsky.feed.like"}},
		"utf-8":       {Collection: post, RKey: "a", Record: map[string]any{"text": "\xff"}},
		"size":        note("a", strings.Repeat("x", 1_000_001)),
		"collection":  {Collection: "nonsense", RKey: "a", Record: map[string]any{}},
		"rkey":        {Collection: post, RKey: "a/b", Record: map[string]any{}},
		"rkey dots":   {Collection: post, RKey: "..", Record: map[string]any{}},
		"depth":       {Collection: post, RKey: "a", Record: deep},
		"struct":      {Collection: post, RKey: "a", Record: map[string]any{"s": struct{ A int }{1}}},
		"broken link": {Collection: post, RKey: "a", Record: map[string]any{"l": map[string]any{"$link": "nonsense"}}},
	} {
		if _, _, err := r.apply(note("ok", "x"), w); !errors.Is(err, pds.ErrInvalidRecord) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if r.repo(aliceDID).Head != head {
		t.Error("a refused batch left something")
	}
}

func TestRecordsKeepEverything(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	w := note("a", "x")
	w.Record["bridgyOriginalText"] = "<p>x</p>"
	w.Record["langs"] = []string{"en"}
	w.Record["n"] = 7
	w.Record["reply"] = map[string]any{"link": map[string]any{"$link": "bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454"}}
	_, _, err := r.apply(w)
	r.ok(err)
	status, body, _ := r.get("/xrpc/com.atproto.repo.getRecord?repo=" + handle.String() + "&collection=app.bsky.feed.post&rkey=a")
	v, _ := body["value"].(map[string]any)
	if status != 200 || v["bridgyOriginalText"] != "<p>x</p>" || fmt.Sprint(v["langs"], v["n"]) != "[en] 7" || !strings.Contains(fmt.Sprint(v["reply"]), "$link") {
		t.Errorf("%d %v", status, v)
	}
}

func TestPermits(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	r.join("https://social.example/users/bob", "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb", "bob.social.example.bridge.test")
	try := func(p consent.Permit, w pds.Write) error {
		return r.update(func(tx both) error {
			_, _, err := r.host.Apply(context.Background(), tx, p, aliceDID, w)
			return err
		})
	}
	if err := try(consent.Permit{}, note("a", "x")); !errors.Is(err, consent.ErrNoPermit) {
		t.Errorf("the zero permit: %v", err)
	}
	if _, _, err := r.applyAs("https://social.example/users/bob", aliceDID, note("a", "x")); !errors.Is(err, consent.ErrNoPermit) {
		t.Errorf("bob's permit on alice's repo: %v", err)
	}
	var service, erase consent.Permit
	r.ok(r.update(func(tx both) (err error) {
		if service, err = r.gate.Service(context.Background(), tx, alice, consent.PurposeInstance); err != nil {
			return err
		}
		erase, err = r.gate.Erase(context.Background(), tx, alice)
		return err
	}))
	if err := try(service, note("a", "x")); !errors.Is(err, consent.ErrNoPermit) {
		t.Errorf("a service permit on a person's repo: %v", err)
	}
	if err := try(erase, note("a", "x")); !errors.Is(err, consent.ErrNoPermit) {
		t.Errorf("an erase permit that writes: %v", err)
	}
	_, _, err := r.apply(note("a", "x"))
	r.ok(err)
	r.ok(try(erase, gone("a")))
	r.clock.pass(2 * time.Minute)
	if err := try(erase, gone("a")); !errors.Is(err, consent.ErrNoPermit) {
		t.Errorf("an expired permit: %v", err)
	}
}

func TestHideAndShow(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	_, _, err := r.apply(note("a", "x"), note("b", "x"))
	r.ok(err)
	last := r.log(0)[len(r.log(0))-1].seq
	r.ok(r.erasing(func(tx both, p consent.Permit) error { return r.host.SetStatus(tx, p, aliceDID, pds.StatusDeactivated) }))
	if _, _, err := r.apply(note("c", "x")); !errors.Is(err, pds.ErrInactive) {
		t.Errorf("writing to a hidden repo: %v", err)
	}
	r.ok(r.erasing(func(tx both, p consent.Permit) error {
		_, _, err := r.host.Apply(context.Background(), tx, p, aliceDID, gone("a"))
		return err
	}))
	for _, path := range []string{"sync.getRepo?did=", "sync.getLatestCommit?did=", "sync.listBlobs?did=", "repo.describeRepo?repo="} {
		if status, body, _ := r.get("/xrpc/com.atproto." + path + aliceDID.String()); status != 400 || body["error"] != "RepoDeactivated" {
			t.Errorf("%s: %d %v", path, status, body)
		}
	}
	if _, body, _ := r.get("/xrpc/com.atproto.sync.getRepoStatus?did=" + aliceDID.String()); body["active"] != false || body["status"] != "deactivated" {
		t.Errorf("got %v", body)
	}
	r.ok(r.update(func(tx both) error {
		p, err := r.gate.Publish(context.Background(), tx, alice, consent.ScopeProfile)
		if err != nil {
			return err
		}
		return r.host.SetStatus(tx, p, aliceDID, pds.StatusActive)
	}))
	log := r.log(last)
	if kinds(log) != "#account #account #identity #sync" || log[3].sync.Rev != r.repo(aliceDID).Rev {
		t.Errorf("got %s", kinds(log))
	}
}

func TestDeletedRepoLeavesNothing(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	_, _, err := r.apply(note("a", "the secret of alice"))
	r.ok(err)
	r.ok(r.erasing(func(tx both, p consent.Permit) error { return r.host.DeleteRepo(tx, p, aliceDID) }))
	log := r.log(0)
	if kinds(log) != "#account" || log[0].account.Active || *log[0].account.Status != "deleted" {
		t.Errorf("got %s", kinds(log))
	}
	if status, body, _ := r.get("/xrpc/com.atproto.sync.getRepo?did=" + aliceDID.String()); status != 400 || body["error"] != "RepoNotFound" {
		t.Errorf("%d %v", status, body)
	}
	if _, body, _ := r.get("/xrpc/com.atproto.sync.getRepoStatus?did=" + aliceDID.String()); body["status"] != "deleted" {
		t.Errorf("got %v", body)
	}
	if status, _, _ := r.get("/.well-known/atproto-did", "Host", handle.String()); status != 404 {
		t.Errorf("the handle still answers: %d", status)
	}
	r.ok(r.room.Update(context.Background(), func(tx pds.Tx) error { return r.host.RepeatStatus(tx, aliceDID) }))
	if kinds(r.log(0)) != "#account #account" {
		t.Errorf("the deletion is not said again: %s", kinds(r.log(0)))
	}
}

// TestRolledBackCommitLeavesNothing: what fails behind the commit in the same transaction takes the commit with it, and
// the number of its event is given to the next one.
func TestRolledBackCommitLeavesNothing(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	before := r.repo(aliceDID)
	crash := errors.New("crash")
	err := r.update(func(tx both) error {
		p, err := r.gate.Publish(context.Background(), tx, alice, consent.ScopePosts)
		if err != nil {
			return err
		}
		if _, _, err := r.host.Apply(context.Background(), tx, p, aliceDID, note("a", "x")); err != nil {
			return err
		}
		return crash
	})
	if !errors.Is(err, crash) || r.repo(aliceDID).Head != before.Head || len(r.log(0)) != 3 {
		t.Fatalf("got %v", err)
	}
	_, _, err = r.apply(note("b", "x"))
	r.ok(err)
	log := r.log(0)
	if log[3].seq != log[2].seq+1 {
		t.Errorf("a gap: %d after %d", log[3].seq, log[2].seq)
	}
	r.checkState(aliceDID, map[string]string{"app.bsky.feed.post/b": log[3].commit.Ops[0].Cid.String()})
}
