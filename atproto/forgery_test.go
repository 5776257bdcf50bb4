package atproto_test

import (
	"bytes"
	"errors"
	"footbridge/atproto"
	"footbridge/atproto/atprototest"
	"slices"
	"strings"
	"testing"
	"time"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/repo"
	"github.com/bluesky-social/indigo/atproto/syntax"
	lexutil "github.com/bluesky-social/indigo/lex/util"
	"github.com/ipfs/go-cid"
)

// forger has one good commit of a member's repo and changes it.
type forger struct {
	*rig
	who  *atprototest.Account
	good comatproto.SyncSubscribeRepos_Commit
}

func newForger(t *testing.T) *forger {
	r := newRig(t, atprototest.Options{})
	f := &forger{rig: r, who: r.account("anna")}
	for range 30 {
		r.ref(r.net.Post(f.who, "filler", nil))
	}
	f.good = f.last()
	return f
}

// last returns the newest commit message of the PDS.
func (f *forger) last() comatproto.SyncSubscribeRepos_Commit {
	f.ref(f.net.Post(f.who, "the last one", nil))
	raw := f.net.PDS.LastFrame()
	fr, err := atproto.PeekFrame(raw)
	f.ok(err)
	var m comatproto.SyncSubscribeRepos_Commit
	f.ok(m.UnmarshalCBOR(bytes.NewReader(fr.Body)))
	return m
}

func (f *forger) verify(m comatproto.SyncSubscribeRepos_Commit) error {
	var buf bytes.Buffer
	f.ok(m.MarshalCBOR(&buf))
	return atproto.VerifyCommit(f.Context(), f.resolver, buf.Bytes(), time.Now())
}

// resign replaces the commit block by one signed with another key, or changed.
func (f *forger) resign(m *comatproto.SyncSubscribeRepos_Commit, key atcrypto.PrivateKey, change func(*repo.Commit)) {
	car, err := atproto.ReadCAR(m.Blocks)
	f.ok(err)
	var c repo.Commit
	f.ok(c.UnmarshalCBOR(bytes.NewReader(car.Block(car.Root))))
	change(&c)
	if key != nil {
		c.Sig = nil
		f.ok(c.Sign(key))
	}
	var buf bytes.Buffer
	f.ok(c.MarshalCBOR(&buf))
	root, err := atproto.RecordCID(buf.Bytes())
	f.ok(err)
	ids := []cid.Cid{root}
	for _, id := range carIDs(f.T, m.Blocks) {
		if id != car.Root {
			ids = append(ids, id)
		}
	}
	m.Commit = lexutil.LexLink(root)
	m.Blocks = atproto.WriteCAR(root, ids, func(id cid.Cid) []byte {
		if id == root {
			return buf.Bytes()
		}
		return car.Block(id)
	})
}

// carIDs lists the blocks of a CAR in order.
func carIDs(t *testing.T, car []byte) []cid.Cid {
	t.Helper()
	_, blocks := splitCAR(t, car)
	var ids []cid.Cid
	for _, b := range blocks {
		_, id, err := cid.CidFromBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// splitCAR returns header and sections without their lengths; all are shorter than 16 KiB here.
func splitCAR(t *testing.T, car []byte) (header []byte, sections [][]byte) {
	t.Helper()
	var all [][]byte
	for len(car) > 0 {
		n, used := int(car[0]&0x7f), 1
		if car[0]&0x80 != 0 {
			n |= int(car[1]) << 7
			used = 2
		}
		all = append(all, car[used:used+n])
		car = car[used+n:]
	}
	return all[0], all[1:]
}

// The AT side of the forgery matrix: each of these is refused as forged, and the original is taken.
func TestForgedCommitsAreRefused(t *testing.T) {
	f := newForger(t)
	if err := f.verify(f.good); err != nil {
		t.Fatalf("the honest commit: %v", err)
	}
	foreign, err := atcrypto.GeneratePrivateKeyK256()
	f.ok(err)
	mallory := f.account("mallory")
	cases := map[string]func(m *comatproto.SyncSubscribeRepos_Commit){
		"foreign key": func(m *comatproto.SyncSubscribeRepos_Commit) { f.resign(m, foreign, func(*repo.Commit) {}) },
		"signature of zeros": func(m *comatproto.SyncSubscribeRepos_Commit) {
			f.resign(m, nil, func(c *repo.Commit) { c.Sig = make([]byte, 64) })
		},
		"signature with high S": func(m *comatproto.SyncSubscribeRepos_Commit) {
			f.resign(m, nil, func(c *repo.Commit) { c.Sig = highS(c.Sig) })
		},
		"no signature": func(m *comatproto.SyncSubscribeRepos_Commit) {
			f.resign(m, nil, func(c *repo.Commit) { c.Sig = []byte{} })
		},
		"another's repo": func(m *comatproto.SyncSubscribeRepos_Commit) { m.Repo = mallory.DID },
		"another's commit": func(m *comatproto.SyncSubscribeRepos_Commit) {
			m.Repo = mallory.DID
			f.resign(m, nil, func(c *repo.Commit) { c.DID = mallory.DID })
		},
		"rev in the future": func(m *comatproto.SyncSubscribeRepos_Commit) {
			m.Rev = syntax.NewTIDFromTime(time.Now().Add(time.Hour), 0).String()
			f.resign(m, nil, func(c *repo.Commit) { c.Rev = m.Rev })
		},
		"rev not the commit's": func(m *comatproto.SyncSubscribeRepos_Commit) { m.Rev = syntax.NewTIDNow(3).String() },
		"since after rev":      func(m *comatproto.SyncSubscribeRepos_Commit) { m.Since = &m.Rev },
		"wrong prevData":       func(m *comatproto.SyncSubscribeRepos_Commit) { m.PrevData = &m.Commit },
		"no prevData":          func(m *comatproto.SyncSubscribeRepos_Commit) { m.PrevData = nil },
		"wrong path":           func(m *comatproto.SyncSubscribeRepos_Commit) { m.Ops[0].Path = "app.bsky.feed.post/3laaaaaaaaa2a" },
		"path twice":           func(m *comatproto.SyncSubscribeRepos_Commit) { m.Ops = append(m.Ops, m.Ops[0]) },
		"path without key":     func(m *comatproto.SyncSubscribeRepos_Commit) { m.Ops[0].Path = "app.bsky.feed.post" },
		"wrong record CID":     func(m *comatproto.SyncSubscribeRepos_Commit) { m.Ops[0].Cid = &m.Commit },
		"create called delete": func(m *comatproto.SyncSubscribeRepos_Commit) {
			m.Ops[0].Action, m.Ops[0].Prev, m.Ops[0].Cid = "delete", m.Ops[0].Cid, nil
		},
		"update without prev": func(m *comatproto.SyncSubscribeRepos_Commit) { m.Ops[0].Action = "update" },
		"unknown action":      func(m *comatproto.SyncSubscribeRepos_Commit) { m.Ops[0].Action = "upsert" },
		"hidden operation":    func(m *comatproto.SyncSubscribeRepos_Commit) { m.Ops = nil },
		"commit CID is not the root": func(m *comatproto.SyncSubscribeRepos_Commit) {
			m.Commit = *m.Ops[0].Cid
		},
		"tooBig": func(m *comatproto.SyncSubscribeRepos_Commit) { m.TooBig = true },
		"bit flip": func(m *comatproto.SyncSubscribeRepos_Commit) {
			m.Blocks = bytes.Clone(m.Blocks)
			m.Blocks[len(m.Blocks)-20] ^= 1
		},
		"CAR cut short": func(m *comatproto.SyncSubscribeRepos_Commit) { m.Blocks = m.Blocks[:len(m.Blocks)-1] },
		"no blocks":     func(m *comatproto.SyncSubscribeRepos_Commit) { m.Blocks = nil },
		"201 operations": func(m *comatproto.SyncSubscribeRepos_Commit) {
			m.Ops = slices.Repeat(m.Ops, 201)
		},
	}
	for name, change := range cases {
		m := f.good
		m.Ops = []*comatproto.SyncSubscribeRepos_RepoOp{}
		for _, op := range f.good.Ops {
			o := *op
			m.Ops = append(m.Ops, &o)
		}
		change(&m)
		if err := f.verify(m); !errors.Is(err, atproto.ErrForged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Without the commit, the root of the tree or the record there is no proof. Other nodes may be there for nothing.
func TestProofBlocksAreNeeded(t *testing.T) {
	f := newForger(t)
	car, err := atproto.ReadCAR(f.good.Blocks)
	f.ok(err)
	var c repo.Commit
	f.ok(c.UnmarshalCBOR(bytes.NewReader(car.Block(car.Root))))
	ids := carIDs(t, f.good.Blocks)
	for _, needed := range []cid.Cid{car.Root, c.Data, cid.Cid(*f.good.Ops[0].Cid)} {
		m := f.good
		m.Blocks = atproto.WriteCAR(car.Root, slices.DeleteFunc(slices.Clone(ids), func(id cid.Cid) bool { return id == needed }), car.Block)
		if err := f.verify(m); !errors.Is(err, atproto.ErrForged) {
			t.Errorf("without %s: %v", needed, err)
		}
	}
}

// A key rotated in silence is looked up once; the old key's commits are then refused.
func TestRotatedKey(t *testing.T) {
	f := newForger(t)
	f.ok(f.verify(f.good))
	f.ok(f.net.PDS.RotateKey(f.who, true))
	if err := f.verify(f.last()); err != nil {
		t.Errorf("the new key: %v", err)
	}
	if err := f.verify(f.good); !errors.Is(err, atproto.ErrForged) {
		t.Errorf("the old key: %v", err)
	}
}

// highS makes the other valid form of an ECDSA signature over K-256, which atproto forbids.
func highS(sig []byte) []byte {
	order := []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xba\xae\xdc\xe6\xaf\x48\xa0\x3b\xbf\xd2\x5e\x8c\xd0\x36\x41\x41")
	out := bytes.Clone(sig)
	borrow := 0
	for i := 31; i >= 0; i-- {
		d := int(order[i]) - int(sig[32+i]) - borrow
		borrow = 0
		if d < 0 {
			d, borrow = d+256, 1
		}
		out[32+i] = byte(d)
	}
	return out
}

func TestCheckNodeRefusesWhatPanicsTheLibrary(t *testing.T) {
	link := "\xd8\x2a\x58\x25\x00\x01\x71\x12\x20" + strings.Repeat("x", 32)
	node := func(prefix string, key string) []byte {
		return []byte("\xa2\x61e\x81\xa4\x61k" + string(rune(0x40+len(key))) + key + "\x61p" + prefix + "\x61t\xf6\x61v" + link + "\x61l\xf6")
	}
	if err := atproto.CheckNode(node("\x00", "a/bcdef")); err != nil {
		t.Errorf("a good node: %v", err)
	}
	for name, raw := range map[string][]byte{
		"prefix too long": node("\x05", "a/b"), "negative prefix": node("\x20", "a/b"), "empty key": node("\x00", ""),
		"not a node": []byte("\xa0"), "nothing": nil,
	} {
		if atproto.CheckNode(raw) == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// A prefix that points behind the key before panics indigo's loader; here it is a forgery.
func FuzzProveCommit(f *testing.F) {
	for _, raw := range frames(f, 2) {
		if fr, err := atproto.PeekFrame(raw); err == nil && fr.Type == "#commit" {
			f.Add(bytes.Clone(fr.Body))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if err := atproto.ProveCommit(body, time.Now()); err != nil && !errors.Is(err, atproto.ErrForged) {
			t.Errorf("an error of another kind: %v", err)
		}
	})
}
