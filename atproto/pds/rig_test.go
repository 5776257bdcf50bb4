package pds_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"footbridge/atproto/pds"
	"footbridge/bridge/store"
	"footbridge/identity"
	"footbridge/identity/consent"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/bluesky-social/indigo/atproto/repo"
	"github.com/bluesky-social/indigo/atproto/repo/mst"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"

	lexutil "github.com/bluesky-social/indigo/lex/util"
)

const (
	alice    = identity.Subject("https://social.example/users/alice")
	aliceDID = syntax.DID("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
	handle   = syntax.Handle("alice.social.example.bridge.test")
	post     = syntax.NSID("app.bsky.feed.post")
)

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

// rig is a host over the real database, with the real gate.
type rig struct {
	testing.TB
	db    *store.DB
	room  store.Room[pds.Tx]
	clock *clock
	keys  *identity.Keyring
	host  *pds.Host
	desk  *consent.Desk
	gate  *consent.Gate
	web   *httptest.Server
	path  string
	opts  pds.Options
	// url is a PostgreSQL URL, or empty for SQLite.
	url string
}

func newRig(t testing.TB, change ...func(*pds.Options)) *rig {
	t.Helper()
	return newRigOn(t, "", change...)
}

func newRigOn(t testing.TB, url string, change ...func(*pds.Options)) *rig {
	t.Helper()
	r := &rig{TB: t, clock: &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, path: t.TempDir(), url: url}
	var err error
	r.keys, err = identity.CreateKeyring(filepath.Join(r.path, "master.key"))
	r.ok(err)
	seed := sha256.Sum256([]byte("ledger"))
	signer, _, err := consent.NewLogKey("bridge.test/consent", seed[:])
	r.ok(err)
	config := consent.Config{Secret: []byte("0123456789abcdef0123456789abcdef"), Sealer: r.keys, Signer: signer, Operator: consent.Operator{
		Name: "Footbridge", Domain: "bridge.test", Runner: "Example Co-op", Contact: "help@bridge.test", LeaveURL: "https://bridge.test/leave/", PageURL: "https://bridge.test/"}}
	r.desk, err = consent.NewDesk(config)
	r.ok(err)
	r.gate = consent.NewGate(config)
	blobs, err := pds.NewDiskBlobs(filepath.Join(r.path, "blobs"), r.clock.now)
	r.ok(err)
	r.opts = pds.Options{Keys: r.keys, Blobs: blobs, Hostname: "bridge.test", HandleDomains: []string{"bridge.test"}, Now: r.clock.now, RateLimit: -1}
	for _, f := range change {
		f(&r.opts)
	}
	r.open("pds.db")
	return r
}

// open opens a database of the rig and puts a host on it.
func (r *rig) open(name string) {
	r.Helper()
	db, err := store.Open(context.Background(), store.Options{URL: r.url, Path: filepath.Join(r.path, name), Now: r.clock.now})
	r.ok(err)
	r.Cleanup(func() { _ = db.Close() })
	r.db, r.room = db, store.Room[pds.Tx]{DB: db}
	r.opts.Store = r.room
	r.host, err = pds.New(r.opts)
	r.ok(err)
	e := echo.New()
	r.host.Register(e)
	r.web = httptest.NewServer(e)
	r.Cleanup(r.web.Close)
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// both is a transaction of both rooms.
type both interface {
	pds.Tx
	consent.Tx
}

func (r *rig) update(f func(both) error) error {
	return store.Room[both]{DB: r.db}.Update(context.Background(), f)
}

// join makes a live grant and a repo.
func (r *rig) join(s identity.Subject, did syntax.DID, h syntax.Handle, writes ...pds.Write) {
	r.Helper()
	r.ok(r.update(func(tx both) error {
		asked, _, err := r.desk.Begin(tx, consent.Contact{Subject: s, Evidence: consent.Evidence{Type: consent.E2, Raw: []byte("follow")}, Lang: "en"})
		if err != nil {
			return err
		}
		_, err = r.desk.Confirm(tx, consent.Confirmation{Subject: s, Evidence: consent.Evidence{Type: consent.E4, Raw: []byte("yes " + asked.Code)}, Code: asked.Code, All: true})
		return err
	}))
	r.ok(r.update(func(tx both) error {
		permit, err := r.gate.Publish(context.Background(), tx, s, consent.ScopeProfile)
		if err != nil {
			return err
		}
		if _, err := r.keys.NewKey(tx, did.String(), identity.KeyRepo); err != nil {
			return err
		}
		_, err = r.host.CreateRepo(tx, permit, did, h, nil, writes...)
		return err
	}))
}

// apply commits as alice.
func (r *rig) apply(writes ...pds.Write) (c pds.Commit, results []pds.Result, err error) {
	return r.applyAs(alice, aliceDID, writes...)
}

func (r *rig) applyAs(s identity.Subject, did syntax.DID, writes ...pds.Write) (c pds.Commit, results []pds.Result, err error) {
	err = r.update(func(tx both) error {
		permit, err := r.gate.Publish(context.Background(), tx, s, consent.ScopePosts)
		if err != nil {
			return err
		}
		c, results, err = r.host.Apply(context.Background(), tx, permit, did, writes...)
		return err
	})
	return c, results, err
}

// erasing runs f with an erase permit.
func (r *rig) erasing(f func(tx both, p consent.Permit) error) error {
	return r.update(func(tx both) error {
		permit, err := r.gate.Erase(context.Background(), tx, alice)
		if err != nil {
			return err
		}
		return f(tx, permit)
	})
}

func note(rkey, text string) pds.Write {
	return pds.Write{Collection: post, RKey: syntax.RecordKey(rkey), Record: map[string]any{
		"$type": string(post), "text": text, "createdAt": "2026-03-01T12:00:00.000Z"}}
}

func gone(rkey string) pds.Write { return pds.Write{Collection: post, RKey: syntax.RecordKey(rkey)} }

func (r *rig) repo(did syntax.DID) (found *pds.Repo) {
	r.Helper()
	r.ok(r.room.View(context.Background(), func(tx pds.Tx) (err error) {
		found, err = tx.Repo(did)
		return err
	}))
	return found
}

// get asks the web server and decodes JSON into a map, or returns the raw body under "raw".
func (r *rig) get(path string, headers ...string) (int, map[string]any, *http.Response) {
	r.Helper()
	req, err := http.NewRequest(http.MethodGet, r.web.URL+path, nil)
	r.ok(err)
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := r.web.Client().Do(req)
	r.ok(err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	r.ok(err)
	m := map[string]any{}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		r.ok(json.Unmarshal(body, &m))
	}
	m["raw"] = body
	return res.StatusCode, m, res
}

// event is a decoded frame.
type event struct {
	kind     string
	seq      int64
	commit   *comatproto.SyncSubscribeRepos_Commit
	account  *comatproto.SyncSubscribeRepos_Account
	identity *comatproto.SyncSubscribeRepos_Identity
	sync     *comatproto.SyncSubscribeRepos_Sync
	info     *comatproto.SyncSubscribeRepos_Info
	errName  string
}

// header is a frame's first CBOR object, decoded with nothing of the host's own.
func decodeFrame(b []byte) (event, error) {
	var e event
	rest, head, err := decodeHeader(b)
	if err != nil {
		return e, err
	}
	if head.op == -1 {
		e.kind = "error"
		e.errName, err = errorName(rest)
		return e, err
	}
	e.kind = head.t
	r := bytes.NewReader(rest)
	switch head.t {
	case "#commit":
		e.commit = new(comatproto.SyncSubscribeRepos_Commit)
		err = e.commit.UnmarshalCBOR(r)
		e.seq = e.commit.Seq
	case "#account":
		e.account = new(comatproto.SyncSubscribeRepos_Account)
		err = e.account.UnmarshalCBOR(r)
		e.seq = e.account.Seq
	case "#identity":
		e.identity = new(comatproto.SyncSubscribeRepos_Identity)
		err = e.identity.UnmarshalCBOR(r)
		e.seq = e.identity.Seq
	case "#sync":
		e.sync = new(comatproto.SyncSubscribeRepos_Sync)
		err = e.sync.UnmarshalCBOR(r)
		e.seq = e.sync.Seq
	case "#info":
		e.info = new(comatproto.SyncSubscribeRepos_Info)
		err = e.info.UnmarshalCBOR(r)
	default:
		err = fmt.Errorf("unknown kind %q", head.t)
	}
	if err == nil && r.Len() != 0 {
		err = fmt.Errorf("%d bytes behind a %s", r.Len(), head.t)
	}
	return e, err
}

// log reads all stored events.
func (r *rig) log(after int64) (list []event) {
	r.Helper()
	r.ok(r.room.View(context.Background(), func(tx pds.Tx) error {
		stored, err := tx.EventsAfter(after, 100_000)
		if err != nil {
			return err
		}
		for _, s := range stored {
			e, err := decodeFrame(s.Frame)
			if err != nil {
				return err
			}
			if e.seq != s.Seq {
				return fmt.Errorf("row %d holds seq %d", s.Seq, e.seq)
			}
			list = append(list, e)
		}
		return nil
	}))
	return list
}

func kinds(list []event) string {
	var out []string
	for _, e := range list {
		out = append(out, e.kind)
	}
	return strings.Join(out, " ")
}

// chain checks commits as a strict consumer does: signature, inversion, prevData and since.
type chain struct {
	rev, data string
	key       interface {
		HashAndVerify(content, sig []byte) error
	}
}

func (c *chain) take(t testing.TB, msg *comatproto.SyncSubscribeRepos_Commit) {
	t.Helper()
	strict := *msg
	if strict.PrevData == nil { // the library only warns about it
		strict.PrevData = emptyRoot(t)
	}
	checked, err := repo.VerifyCommitMessage(context.Background(), &strict)
	if err != nil {
		t.Fatalf("rev %s: %v", msg.Rev, err)
	}
	commit, id, err := repo.LoadCommitFromCAR(context.Background(), bytes.NewReader(msg.Blocks))
	if err != nil {
		t.Fatal(err)
	}
	unsigned, err := commit.UnsignedBytes()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.key.HashAndVerify(unsigned, commit.Sig); err != nil {
		t.Fatalf("rev %s: %v", msg.Rev, err)
	}
	if id.String() != msg.Commit.String() {
		t.Fatalf("rev %s: the CAR's root is not the commit", msg.Rev)
	}
	root, err := checked.MST.RootCID()
	if err != nil {
		t.Fatal(err)
	}
	if c.rev != "" && (msg.Since == nil || *msg.Since != c.rev || msg.PrevData == nil || msg.PrevData.String() != c.data) {
		t.Fatalf("rev %s does not follow %s", msg.Rev, c.rev)
	}
	if c.rev == "" && (msg.Since != nil || msg.PrevData != nil) {
		t.Fatalf("a first commit with since or prevData")
	}
	if msg.Rev <= c.rev || len(msg.Ops) > 200 || len(msg.Blocks) > 2_000_000 {
		t.Fatalf("rev %s after %s, %d ops, %d bytes", msg.Rev, c.rev, len(msg.Ops), len(msg.Blocks))
	}
	c.rev, c.data = msg.Rev, root.String()
}

func (r *rig) chain(did syntax.DID) *chain {
	r.Helper()
	c := &chain{}
	r.ok(r.room.View(context.Background(), func(tx pds.Tx) error {
		key, err := r.keys.Key(tx, did.String(), identity.KeyRepo)
		if err != nil {
			return err
		}
		c.key, err = key.PublicKey()
		return err
	}))
	return c
}

// dial subscribes.
func (r *rig) dial(query string) *websocket.Conn {
	r.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(r.web.URL, "http")+"/xrpc/com.atproto.sync.subscribeRepos"+query, nil)
	r.ok(err)
	r.Cleanup(func() { _ = ws.Close() })
	return ws
}

func (r *rig) next(ws *websocket.Conn) event {
	r.Helper()
	r.ok(ws.SetReadDeadline(time.Now().Add(20 * time.Second)))
	_, b, err := ws.ReadMessage()
	r.ok(err)
	e, err := decodeFrame(b)
	r.ok(err)
	return e
}

func emptyRoot(t testing.TB) *lexutil.LexLink {
	t.Helper()
	tree := mst.NewEmptyTree()
	c, err := tree.RootCID()
	if err != nil {
		t.Fatal(err)
	}
	l := lexutil.LexLink(*c)
	return &l
}
