package pds_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"footbridge/atproto/pds"
	"footbridge/identity/consent"
)

// freshPostgres makes a database for one test.
func freshPostgres(t *testing.T) string {
	t.Helper()
	base := os.Getenv("FOOTBRIDGE_TEST_POSTGRES")
	if base == "" {
		t.Fatal("FOOTBRIDGE_TEST_POSTGRES does not say where PostgreSQL is (scripts/services.sh)")
	}
	admin, err := sql.Open("pgx", base)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("pds_%d", time.Now().UnixNano())
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := admin.Exec("DROP DATABASE " + name + " WITH (FORCE)")
		if err != nil {
			t.Error(err)
		}
		_ = admin.Close()
	})
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// TestOnPostgres takes every statement of the room to the other engine.
func TestOnPostgres(t *testing.T) {
	r := newRigOn(t, freshPostgres(t))
	ctx := context.Background()
	r.join(alice, aliceDID, handle)
	c := r.chain(aliceDID)
	c.take(t, r.log(0)[2].commit)
	last := r.log(0)[2].seq
	model := map[string]string{}
	g := rand.New(rand.NewPCG(5, 6))
	for n := range 60 {
		writes := fuzzWrites(g, model, n)
		_, results, err := r.apply(writes...)
		r.ok(err)
		for _, e := range r.log(last) {
			c.take(t, e.commit)
			last = e.seq
		}
		for i, w := range writes {
			delete(model, w.Path())
			if w.Record != nil {
				model[w.Path()] = results[i].CID
			}
		}
		r.checkState(aliceDID, model)
	}
	b, err := r.host.StageBlob(ctx, pds.Blob{Bytes: []byte("x"), MimeType: "image/png"})
	r.ok(err)
	ref, err := b.Ref()
	r.ok(err)
	w := note("pic", "x")
	w.Record["image"] = ref
	r.ok(r.update(func(tx both) error {
		p, err := r.gate.Publish(ctx, tx, alice, consent.ScopePosts)
		if err != nil {
			return err
		}
		if err := r.host.PutBlob(tx, p, aliceDID, b); err != nil {
			return err
		}
		_, _, err = r.host.Apply(ctx, tx, p, aliceDID, w)
		return err
	}))
	did := aliceDID.String()
	for path, want := range map[string]string{
		"/xrpc/com.atproto.sync.listBlobs?did=" + did:                                       b.CID,
		"/xrpc/com.atproto.sync.listBlobs?did=" + did + "&since=" + r.repo(aliceDID).Rev:    `"cids":[]`,
		"/xrpc/com.atproto.sync.getBlob?did=" + did + "&cid=" + b.CID:                       "x",
		"/xrpc/com.atproto.sync.listReposByCollection?collection=app.bsky.feed.post":        did,
		"/xrpc/com.atproto.repo.describeRepo?repo=" + handle.String():                       "app.bsky.feed.post",
		"/xrpc/com.atproto.repo.listRecords?repo=" + did + "&collection=app.bsky.feed.post": "/pic",
		"/xrpc/com.atproto.sync.getBlocks?did=" + did + "&cids=" + r.repo(aliceDID).Data:    "roots",
		"/xrpc/com.atproto.sync.getRepo?did=" + did + "&since=" + r.repo(aliceDID).Rev:      "roots",
		"/xrpc/com.atproto.sync.getRecord?did=" + did + "&collection=a.b.c&rkey=none":       "roots",
		"/xrpc/com.atproto.sync.listRepos":                                                  did,
	} {
		_, body, _ := r.get(path)
		if !strings.Contains(string(body["raw"].([]byte)), want) {
			t.Errorf("%s: got %.200s", path, body["raw"])
		}
	}
	r.ok(r.room.View(ctx, func(tx pds.Tx) error {
		repo, err := tx.Repo(aliceDID)
		if err != nil {
			return err
		}
		missing, err := tx.BlobMissing(repo.ID, "", 10)
		if err != nil || len(missing) != 0 {
			return fmt.Errorf("%v %w", missing, err)
		}
		referred, there, err := tx.BlobCounts(repo.ID)
		if referred != 1 || there != 1 {
			t.Errorf("%d of %d blobs", there, referred)
		}
		return err
	}))
	r.ok(r.host.Restored(ctx))
	r.ok(r.erasing(func(tx both, p consent.Permit) error { return r.host.DeleteRepo(tx, p, aliceDID) }))
	if n, err := r.host.CollectBlobs(ctx); n != 1 || err != nil {
		t.Errorf("collected %d, %v", n, err)
	}
	r.clock.pass(200 * time.Hour)
	r.ok(r.host.Trim(ctx))
	if e := r.next(r.dial("?cursor=0")); e.kind != "#info" {
		t.Errorf("got %+v", e)
	}
}
