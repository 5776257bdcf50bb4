package pds_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"footbridge/atproto/pds"
	"footbridge/identity"
	"footbridge/identity/consent"

	"github.com/bluesky-social/indigo/atproto/repo"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/gorilla/websocket"
	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car"
)

func TestSubscribeFromTheStart(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	ws := r.dial("?cursor=0")
	var got []event
	for range 3 {
		got = append(got, r.next(ws))
	}
	if kinds(got) != "#identity #account #commit" {
		t.Fatalf("got %s", kinds(got))
	}
	_, _, err := r.apply(note("live", "x"))
	r.ok(err)
	e := r.next(ws)
	if e.kind != "#commit" || e.seq != got[2].seq+1 || e.commit.Ops[0].Path != "app.bsky.feed.post/live" {
		t.Errorf("got %+v", e)
	}
	c := r.chain(aliceDID)
	c.take(t, got[2].commit)
	c.take(t, e.commit)
}

func TestSubscribeLiveSeesOnlyWhatComes(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	ws := r.dial("")
	// The subscription stands once the server has read the cursor; a second one at the newest number proves nothing about
	// the first, so writes go on until the first event arrives.
	done := make(chan event, 1)
	go func() { done <- r.next(ws) }()
	for i := 0; ; i++ {
		_, _, err := r.apply(note(fmt.Sprint(i), "x"))
		r.ok(err)
		select {
		case e := <-done:
			if e.kind != "#commit" {
				t.Errorf("got %s", e.kind)
			}
			return
		default:
		}
	}
}

func TestSubscribeCursors(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	if e := r.next(r.dial("?cursor=4")); e.kind != "error" || e.errName != "FutureCursor" {
		t.Errorf("a future cursor: %+v", e)
	}
	r.clock.pass(100 * time.Hour)
	_, _, err := r.apply(note("young", "x"))
	r.ok(err)
	r.ok(r.host.Trim(context.Background()))
	ws := r.dial("?cursor=1")
	if e := r.next(ws); e.kind != "#info" || e.info.Name != "OutdatedCursor" {
		t.Errorf("an outdated cursor: %+v", e)
	}
	if e := r.next(ws); e.kind != "#commit" || e.seq != 4 {
		t.Errorf("behind an outdated cursor: %+v", e)
	}
	if status, body, _ := r.get("/xrpc/com.atproto.sync.subscribeRepos?cursor=x"); status != 400 || body["error"] != "InvalidRequest" {
		t.Errorf("a cursor that is none: %d %v", status, body)
	}
}

func TestSlowConsumerIsCut(t *testing.T) {
	r := newRig(t, func(o *pds.Options) { o.SlowConsumer = 50 * time.Millisecond })
	r.join(alice, aliceDID, handle)
	ws := r.dial("?cursor=0")
	for i := range 40 { // more than the sockets' buffers hold
		_, _, err := r.apply(note(fmt.Sprint(i), strings.Repeat("x", 900_000)))
		r.ok(err)
	}
	// It reads nothing until it is cut; then what was buffered ends in an error, not in the newest event.
	r.ok(ws.SetReadDeadline(time.Now().Add(20 * time.Second)))
	for n := 0; ; n++ {
		if n == 1 {
			waitFor(t, func() bool { return r.host.Subscribers() == 0 })
		}
		if _, _, err := ws.ReadMessage(); err != nil {
			if n > 42 {
				t.Errorf("all %d events came", n)
			}
			return
		}
	}
}

// waitFor waits for a condition of another goroutine.
func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	waitLong(t, 20*time.Second, ok)
}

func waitLong(t testing.TB, limit time.Duration, ok func() bool) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it did not happen")
		}
	}
}

// readCAR reads a CAR whole; the reader checks every block's hash.
func readCAR(t testing.TB, b []byte) (cid.Cid, map[cid.Cid][]byte) {
	t.Helper()
	cr, err := car.NewCarReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	m := map[cid.Cid][]byte{}
	for {
		blk, err := cr.Next()
		if err == io.EOF {
			return cr.Header.Roots[0], m
		}
		if err != nil {
			t.Fatal(err)
		}
		m[blk.Cid()] = blk.RawData()
	}
}

func TestGetRepo(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	for i := range 120 {
		_, _, err := r.apply(note(fmt.Sprint(i), fmt.Sprint("post ", i)))
		r.ok(err)
		r.clock.pass(time.Millisecond)
	}
	url := "/xrpc/com.atproto.sync.getRepo?did=" + aliceDID.String()
	_, body, res := r.get(url)
	whole := body["raw"].([]byte)
	if res.Header.Get("Content-Type") != "application/vnd.ipld.car" {
		t.Errorf("content type %q", res.Header.Get("Content-Type"))
	}
	commit, loaded, err := repo.LoadRepoFromCAR(context.Background(), bytes.NewReader(whole))
	r.ok(err)
	records := map[string]cid.Cid{}
	r.ok(loaded.MST.WriteToMap(records))
	r.ok(loaded.MST.Verify())
	if len(records) != 120 || commit.Rev != r.repo(aliceDID).Rev || loaded.MST.IsPartial() {
		t.Errorf("%d records", len(records))
	}
	if status, _, _ := r.get(url, "If-None-Match", res.Header.Get("ETag")); status != http.StatusNotModified {
		t.Errorf("the same again: %d", status)
	}
	since := commit.Rev
	_, before := readCAR(t, whole)
	_, _, err = r.apply(note("later", "x"), gone("5"))
	r.ok(err)
	_, body, _ = r.get(url + "&since=" + since)
	root, diff := readCAR(t, body["raw"].([]byte))
	if len(diff) > 20 || len(diff) < 3 {
		t.Errorf("%d blocks since", len(diff))
	}
	// The old export and the difference make the new repo.
	_, body, _ = r.get(url)
	newRoot, after := readCAR(t, body["raw"].([]byte))
	for c := range after {
		if _, ok := before[c]; !ok && diff[c] == nil {
			t.Errorf("the difference lacks %s", c)
		}
	}
	if root != newRoot {
		t.Errorf("root %s, want %s", root, newRoot)
	}
	_, body, _ = r.get(url + "&since=" + r.repo(aliceDID).Rev)
	if _, nothing := readCAR(t, body["raw"].([]byte)); len(nothing) != 1 {
		t.Errorf("%d blocks since the head", len(nothing))
	}
}

func TestSyncGetRecordProves(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	for i := range 50 {
		_, _, err := r.apply(note(fmt.Sprint(i), "x"))
		r.ok(err)
	}
	url := "/xrpc/com.atproto.sync.getRecord?did=" + aliceDID.String() + "&collection=app.bsky.feed.post&rkey="
	for rkey, there := range map[string]bool{"7": true, "missing": false} {
		_, body, _ := r.get(url + rkey)
		_, loaded, err := repo.LoadRepoFromCAR(context.Background(), bytes.NewReader(body["raw"].([]byte)))
		r.ok(err)
		_, _, err = loaded.GetRecordBytes(context.Background(), post, syntax.RecordKey(rkey))
		if there != (err == nil) || (!there && err != repo.ErrNotFound) {
			t.Errorf("%s: %v", rkey, err)
		}
	}
}

func TestReadingCalls(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle, pds.Write{Collection: "app.bsky.actor.profile", RKey: "self", Record: map[string]any{}})
	for i := range 7 {
		_, _, err := r.apply(note(fmt.Sprint("k", i), "x"))
		r.ok(err)
	}
	did := aliceDID.String()
	repoRow := r.repo(aliceDID)
	for _, c := range []struct{ path, host, want string }{
		{"/xrpc/com.atproto.sync.getLatestCommit?did=" + did, "", `{"cid":"` + repoRow.Head + `","rev":"` + repoRow.Rev + `"}`},
		{"/xrpc/com.atproto.sync.getRepoStatus?did=" + did, "", `{"did":"` + did + `","rev":"` + repoRow.Rev + `","active":true}`},
		{"/xrpc/com.atproto.sync.listRepos", "", `"repos":[{"did":"` + did + `","head":"` + repoRow.Head + `"`},
		{"/xrpc/com.atproto.sync.listReposByCollection?collection=app.bsky.feed.post", "", `{"repos":[{"did":"` + did + `"}]}`},
		{"/xrpc/com.atproto.sync.listReposByCollection?collection=app.bsky.feed.like", "", `{"repos":[]}`},
		{"/xrpc/com.atproto.repo.describeRepo?repo=" + did, "", `"collections":["app.bsky.actor.profile","app.bsky.feed.post"]`},
		{"/xrpc/com.atproto.repo.listRecords?repo=" + did + "&collection=app.bsky.feed.post&limit=2", "", `{"cursor":"k5","records":[{"uri":"at://` + did + `/app.bsky.feed.post/k6"`},
		{"/xrpc/com.atproto.repo.listRecords?repo=" + did + "&collection=app.bsky.feed.post&limit=2&cursor=k1", "", `{"cursor":"k0","records":[{"uri":"at://` + did + `/app.bsky.feed.post/k0"`},
		{"/xrpc/com.atproto.repo.listRecords?repo=" + did + "&collection=app.bsky.feed.post&limit=2&cursor=k1&reverse=true", "", `{"cursor":"k3","records":[{"uri":"at://` + did + `/app.bsky.feed.post/k2"`},
		{"/xrpc/com.atproto.repo.listRecords?repo=" + did + "&collection=app.bsky.feed.like", "", `{"records":[]}`},
		{"/xrpc/com.atproto.repo.getRecord?repo=" + did + "&collection=app.bsky.feed.post&rkey=none", "", `"RecordNotFound"`},
		{"/xrpc/com.atproto.repo.getRecord?repo=nonsense&collection=app.bsky.feed.post&rkey=none", "", `"InvalidRequest"`},
		{"/xrpc/com.atproto.identity.resolveHandle?handle=" + handle.String(), "", `{"did":"` + did + `"}`},
		{"/xrpc/com.atproto.identity.resolveHandle?handle=nobody.bridge.test", "", `"HandleNotFound"`},
		{"/xrpc/com.atproto.sync.getRepo?did=did:plc:zzzzzzzzzzzzzzzzzzzzzzzz", "", `"RepoNotFound"`},
		{"/xrpc/com.atproto.sync.getRepo", "", `"InvalidRequest"`},
		{"/xrpc/com.atproto.sync.getRepo?did=" + did + "&since=now", "", `"InvalidRequest"`},
		{"/xrpc/com.atproto.sync.listRepos?limit=0", "", `"InvalidRequest"`},
		{"/xrpc/com.atproto.sync.listRepos?cursor=x", "", `"InvalidRequest"`},
		{"/xrpc/com.example.nothing", "", `"MethodNotImplemented"`},
		{"/xrpc/com.atproto.server.describeServer", "", `"did":"did:web:bridge.test"`},
		{"/xrpc/_health", "", `{"version":""}`},
		{"/.well-known/atproto-did", handle.String(), did},
		{"/.well-known/atproto-did", strings.ToUpper(handle.String()) + ":8080", did},
		{"/.well-known/atproto-did", "nobody.bridge.test", "User not found"},
	} {
		_, body, res := r.get(c.path, "Host", c.host)
		if !strings.Contains(string(body["raw"].([]byte)), c.want) {
			t.Errorf("%s: got %s, want %s", c.path, body["raw"], c.want)
		}
		if res.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: a page cannot read it", c.path)
		}
	}
}

func TestGetBlocks(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	_, results, err := r.apply(note("a", "x"))
	r.ok(err)
	row := r.repo(aliceDID)
	url := "/xrpc/com.atproto.sync.getBlocks?did=" + aliceDID.String() + "&cids="
	_, body, _ := r.get(url + row.Head + "&cids=" + row.Data + "&cids=" + results[0].CID)
	if _, m := readCAR(t, body["raw"].([]byte)); len(m) != 3 {
		t.Errorf("%d blocks", len(m))
	}
	other, err := cid.Decode("bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454")
	r.ok(err)
	if _, body, _ := r.get(url + other.String()); body["error"] != "BlockNotFound" {
		t.Errorf("got %v", body)
	}
}

func TestBlobs(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	ctx := context.Background()
	b, err := r.host.StageBlob(ctx, pds.Blob{Bytes: []byte("<script>alert(1)</script>"), MimeType: "text/html"})
	r.ok(err)
	ref, err := b.Ref()
	r.ok(err)
	w := note("pic", "x")
	w.Record["embed"] = map[string]any{"$type": "app.bsky.embed.images", "images": []any{map[string]any{"alt": "", "image": ref}}}
	if _, _, err := r.apply(w); err != pds.ErrNoBlob {
		t.Fatalf("a blob that the repo does not have: %v", err)
	}
	put := func() error {
		return r.update(func(tx both) error {
			p, err := r.gate.Publish(ctx, tx, alice, consent.ScopePosts)
			if err != nil {
				return err
			}
			return r.host.PutBlob(tx, p, aliceDID, b)
		})
	}
	r.ok(put())
	url := "/xrpc/com.atproto.sync.getBlob?did=" + aliceDID.String() + "&cid=" + b.CID
	if status, body, _ := r.get(url); status != 400 || body["error"] != "BlobNotFound" {
		t.Errorf("a blob without a record is served: %d", status)
	}
	_, _, err = r.apply(w)
	r.ok(err)
	status, body, res := r.get(url)
	if status != 200 || string(body["raw"].([]byte)) != "<script>alert(1)</script>" || res.Header.Get("X-Content-Type-Options") != "nosniff" ||
		!strings.Contains(res.Header.Get("Content-Security-Policy"), "sandbox") || res.Header.Get("Content-Type") != "text/html" {
		t.Errorf("%d %v", status, res.Header)
	}
	if _, body, _ := r.get("/xrpc/com.atproto.sync.listBlobs?did=" + aliceDID.String()); fmt.Sprint(body["cids"]) != "["+b.CID+"]" {
		t.Errorf("listBlobs: %v", body)
	}
	r.clock.pass(2 * time.Hour)
	if n, err := r.host.CollectBlobs(ctx); n != 0 || err != nil {
		t.Errorf("a blob in use was collected: %d %v", n, err)
	}
	_, _, err = r.apply(gone("pic"))
	r.ok(err)
	if status, _, _ := r.get(url); status != 400 {
		t.Errorf("the blob of a deleted post is served: %d", status)
	}
	if n, err := r.host.CollectBlobs(ctx); n != 1 || err != nil {
		t.Errorf("collected %d, %v", n, err)
	}
	if _, err := r.opts.Blobs.Open(ctx, b.CID); err != pds.ErrNotFound {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestStagedBlobsWait(t *testing.T) {
	r := newRig(t)
	ctx := context.Background()
	b, err := r.host.StageBlob(ctx, pds.Blob{Bytes: []byte("x"), MimeType: "image/png"})
	r.ok(err)
	r.clock.pass(50 * time.Minute)
	if n, err := r.host.CollectBlobs(ctx); n != 0 || err != nil {
		t.Errorf("collected too early: %d %v", n, err)
	}
	_, err = r.host.StageBlob(ctx, pds.Blob{Bytes: []byte("x"), MimeType: "image/png"})
	r.ok(err)
	r.clock.pass(50 * time.Minute)
	if n, err := r.host.CollectBlobs(ctx); n != 0 || err != nil {
		t.Errorf("staged anew and collected: %d %v", n, err)
	}
	r.clock.pass(2 * time.Hour)
	if n, err := r.host.CollectBlobs(ctx); n != 1 || err != nil {
		t.Errorf("collected %d %v", n, err)
	}
	if _, err := r.opts.Blobs.Open(ctx, b.CID); err != pds.ErrNotFound {
		t.Errorf("got %v", err)
	}
	if _, err := r.host.StageBlobFrom(ctx, strings.NewReader("four"), "image/png", 3); err == nil {
		t.Error("a blob over its limit was kept")
	}
}

// TestRestored (R85): a backup comes back. No number is used twice, and relays see revs above those they know.
func TestRestored(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	_, _, err := r.apply(note("a", "x"))
	r.ok(err)
	r.ok(r.db.Close()) // then the file is whole
	saved, err := os.ReadFile(r.path + "/pds.db")
	r.ok(err)
	r.ok(os.WriteFile(r.path+"/backup.db", saved, 0o600))
	r.open("pds.db")
	for i := range 20 {
		_, _, err := r.apply(note(fmt.Sprint(i), "lost"))
		r.ok(err)
		r.clock.pass(time.Second)
	}
	log := r.log(0)
	newest, lastRev := log[len(log)-1].seq, r.repo(aliceDID).Rev
	r.open("backup.db")
	r.clock.pass(time.Minute)
	r.ok(r.host.Restored(context.Background()))
	after := r.log(4)
	if kinds(after) != "#sync" || after[0].seq < newest+10_000 || after[0].sync.Rev <= lastRev {
		t.Fatalf("got %s %+v", kinds(after), after[0].sync)
	}
	if e := r.next(r.dial(fmt.Sprintf("?cursor=%d", newest))); e.kind != "#sync" {
		t.Errorf("a relay that was ahead of the backup gets %+v", e)
	}
	_, _, err = r.apply(note("b", "x"))
	r.ok(err)
	next := r.log(after[0].seq)
	c := r.chain(aliceDID)
	commit, _, err := repo.LoadCommitFromCAR(context.Background(), bytes.NewReader(after[0].sync.Blocks))
	r.ok(err)
	c.rev, c.data = commit.Rev, commit.Data.String()
	c.take(t, next[0].commit)
}

func TestRateLimit(t *testing.T) {
	r := newRig(t, func(o *pds.Options) { o.RateLimit = 3 })
	var last *http.Response
	for range 4 {
		_, _, last = r.get("/xrpc/com.atproto.server.describeServer")
	}
	if last.StatusCode != http.StatusTooManyRequests || last.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", last.StatusCode, last.Header)
	}
	r.clock.pass(6 * time.Minute)
	if status, _, _ := r.get("/xrpc/com.atproto.server.describeServer"); status != 200 {
		t.Errorf("after the window: %d", status)
	}
}

func TestKeysAreSealed(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	r.ok(r.room.View(context.Background(), func(tx pds.Tx) error {
		key, err := r.keys.Key(tx, aliceDID.String(), identity.KeyRepo)
		if err != nil {
			return err
		}
		sealed, err := tx.SealedKey(aliceDID.String(), identity.KeyRepo)
		if err == nil && bytes.Contains(sealed, key.Bytes()) {
			t.Error("the key lies open")
		}
		return err
	}))
}

// TestPongsWaitForSlowFrames: a relay that holds us back pings, reads slowly, and must get its answer behind the frames.
func TestPongsWaitForSlowFrames(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	for i := range 24 { // more than the sockets' buffers hold, so that the writer stands still
		_, _, err := r.apply(note(fmt.Sprint(i), strings.Repeat("x", 900_000)))
		r.ok(err)
	}
	ws := r.dial("?cursor=0")
	ponged := false
	ws.SetPongHandler(func(string) error { ponged = true; return nil })
	<-time.After(time.Second) // until the writer stands still
	r.ok(ws.WriteControl(websocket.PingMessage, []byte("there?"), time.Now().Add(time.Second)))
	<-time.After(1200 * time.Millisecond) // longer than the library's own handler waits
	for n := 0; !ponged && n < 27; n++ {
		r.next(ws)
	}
	_, _, err := r.apply(note("last", "x"))
	r.ok(err)
	if !ponged {
		r.next(ws)
	}
	if !ponged {
		t.Error("all frames came, and no pong")
	}
}
