package pds_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"footbridge/atproto/pds"
	"footbridge/identity/consent"

	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"
)

var errDisk = errors.New("the disk is on fire")

// failing is a transaction in which the n-th call of the room fails.
type failing struct {
	pds.Tx
	left *int
}

func (f failing) fail() error {
	if *f.left--; *f.left == 0 {
		return errDisk
	}
	return nil
}

func (f failing) Repo(did syntax.DID) (*pds.Repo, error) {
	if err := f.fail(); err != nil {
		return nil, err
	}
	return f.Tx.Repo(did)
}

func (f failing) RepoPut(r *pds.Repo, head string) error {
	if err := f.fail(); err != nil {
		return err
	}
	return f.Tx.RepoPut(r, head)
}

func (f failing) RepoNode(repo int64, c cid.Cid) ([]byte, error) {
	if err := f.fail(); err != nil {
		return nil, err
	}
	return f.Tx.RepoNode(repo, c)
}

func (f failing) RepoPutNodes(repo int64, nodes []pds.Block, rev string) error {
	if err := f.fail(); err != nil {
		return err
	}
	return f.Tx.RepoPutNodes(repo, nodes, rev)
}

func (f failing) RepoDeleteNodes(repo int64, cids []cid.Cid) error {
	if err := f.fail(); err != nil {
		return err
	}
	return f.Tx.RepoDeleteNodes(repo, cids)
}

func (f failing) RepoRecord(repo int64, path string) (*pds.StoredRecord, error) {
	if err := f.fail(); err != nil {
		return nil, err
	}
	return f.Tx.RepoRecord(repo, path)
}

func (f failing) RepoPutRecord(repo int64, r pds.StoredRecord, created bool) error {
	if err := f.fail(); err != nil {
		return err
	}
	return f.Tx.RepoPutRecord(repo, r, created)
}

func (f failing) RepoDeleteRecord(repo int64, path string) error {
	if err := f.fail(); err != nil {
		return err
	}
	return f.Tx.RepoDeleteRecord(repo, path)
}

func (f failing) EventAppend(repo int64, kind string, frame func(int64) ([]byte, error)) (int64, error) {
	if err := f.fail(); err != nil {
		return 0, err
	}
	return f.Tx.EventAppend(repo, kind, frame)
}

// TestEveryStepMayFail lets each call of a commit fail in turn. Nothing may be left of it: no record, node, head, event or
// hole in the sequence; and what the host keeps in memory must not mislead the next try.
func TestEveryStepMayFail(t *testing.T) {
	r := newRig(t)
	r.join(alice, aliceDID, handle)
	model := map[string]string{}
	for i := range 40 {
		w := note(fmt.Sprint(i), "x")
		_, results, err := r.apply(w)
		r.ok(err)
		model[w.Path()] = results[0].CID
	}
	before, last := r.repo(aliceDID).Head, r.log(0)[len(r.log(0))-1].seq
	writes := []pds.Write{note("new", "x"), note("3", "changed"), gone("7"), gone("8")}
	tries := 0
	for n := 1; ; n++ {
		// A fresh host has nothing in memory, every second time.
		if n%2 == 0 {
			var err error
			r.host, err = pds.New(r.opts)
			r.ok(err)
		}
		left := n
		var results []pds.Result
		err := r.update(func(tx both) error {
			p, err := r.gate.Publish(context.Background(), tx, alice, consent.ScopePosts)
			if err != nil {
				return err
			}
			_, results, err = r.host.Apply(context.Background(), failing{tx, &left}, p, aliceDID, writes...)
			return err
		})
		if err == nil {
			for i, w := range writes {
				delete(model, w.Path())
				if w.Record != nil {
					model[w.Path()] = results[i].CID
				}
			}
			break
		}
		if tries++; !errors.Is(err, errDisk) {
			t.Fatalf("call %d: %v", n, err)
		}
		if r.repo(aliceDID).Head != before || len(r.log(last)) != 0 {
			t.Fatalf("call %d failed and left something", n)
		}
		r.checkState(aliceDID, model)
	}
	if tries < 10 {
		t.Errorf("only %d calls could fail", tries)
	}
	r.checkState(aliceDID, model)
	log := r.log(last)
	if len(log) != 1 || log[0].seq != last+1 {
		t.Fatalf("%d events, %+v", len(log), log)
	}
	c := r.chain(aliceDID)
	for _, e := range r.log(0)[2:] {
		c.take(t, e.commit)
	}
}
