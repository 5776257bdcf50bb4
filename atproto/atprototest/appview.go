package atprototest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/bluesky-social/indigo/atproto/atdata"
	"github.com/bluesky-social/indigo/atproto/lexicon"
	"github.com/bluesky-social/indigo/atproto/repo"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/gorilla/websocket"
	"github.com/ipfs/go-cid"
)

// AppView indexes what the relay sends, as Bluesky's does: invalid records are skipped without a word to their author,
// handles count only if they point both ways, blobs are fetched and checked, inactive accounts are hidden.
type AppView struct {
	server
	ids   *idents
	relay string
	now   func() time.Time
	note  func()
	ctx   context.Context
	stop  context.CancelFunc
	wg    sync.WaitGroup
	lex   *lexicon.BaseCatalog // nil if the lexicons were not found

	mu     sync.Mutex
	cursor int64
	actors map[string]*actor
	ix     index
	faults []Fault
	blobs  map[string]*BlobState // did/cid
}

// actor is what the AppView knows of an account.
type actor struct {
	did, handle string
	active      bool
	status      string
	indexed     time.Time
}

// Fault is something of an author that the AppView did not show, and why.
type Fault struct{ URI, Reason string }

// BlobState is what became of fetching a blob.
type BlobState struct {
	DID, CID string
	Mime     string
	Size     int
	Err      string // empty when the bytes came and match
	data     []byte
}

func (v *AppView) start(addr, relay string, ids *idents, now func() time.Time, note func()) error {
	v.ids, v.relay, v.now, v.note = ids, relay, now, note
	v.actors, v.blobs, v.ix = map[string]*actor{}, map[string]*BlobState{}, newIndex()
	v.lex = loadLexicons()
	v.ctx, v.stop = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.Handle("/xrpc/", v.methods())
	mux.HandleFunc("GET /img/{did}/{cid}", v.image)
	if err := v.listen(addr, mux); err != nil {
		return err
	}
	v.wg.Go(v.follow)
	return nil
}

func (v *AppView) shutdown() {
	if v.stop != nil {
		v.stop()
		v.close()
		v.wg.Wait()
	}
}

// follow reads the relay, from its beginning, for as long as the AppView runs.
func (v *AppView) follow() {
	for v.ctx.Err() == nil {
		_ = v.read() // ends when the relay goes; tried again
		select {
		case <-time.After(100 * time.Millisecond):
		case <-v.ctx.Done():
		}
	}
}

func (v *AppView) read() error {
	v.mu.Lock()
	link := strings.Replace(v.relay, "http", "ws", 1) + "/xrpc/com.atproto.sync.subscribeRepos?cursor=" + strconv.FormatInt(v.cursor, 10)
	v.mu.Unlock()
	conn, resp, err := websocket.DefaultDialer.DialContext(v.ctx, link, nil)
	if err != nil {
		if resp != nil {
			_ = resp.Body.Close()
		}
		return err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(v.ctx, func() { _ = conn.Close() })
	defer stop()
	for {
		_, raw, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		m, err := parseFrame(raw)
		if err != nil {
			continue
		}
		if m.future {
			v.mu.Lock()
			v.cursor = 0
			v.mu.Unlock()
			return errFuture
		}
		v.event(m)
		v.mu.Lock()
		if m.seq > 0 {
			v.cursor = m.seq
		}
		v.mu.Unlock()
		v.note()
	}
}

func (v *AppView) event(m *message) {
	switch {
	case m.commit != nil:
		v.onCommit(m.commit)
	case m.identity != nil:
		v.ids.forget(m.did)
		v.actor(m.did, true)
	case m.account != nil:
		a := v.actor(m.did, false)
		v.mu.Lock()
		a.active, a.status = m.account.Active, ""
		if m.account.Status != nil {
			a.status = *m.account.Status
		}
		if a.status == "deleted" {
			v.ix.purge(m.did)
		}
		v.mu.Unlock()
	case m.sync != nil:
		v.resync(m.did)
	}
}

// actor finds or makes an actor; fresh looks the handle up again.
func (v *AppView) actor(did string, fresh bool) *actor {
	v.mu.Lock()
	a, ok := v.actors[did]
	if !ok {
		a = &actor{did: did, active: true, indexed: v.now()}
		v.actors[did] = a
	}
	v.mu.Unlock()
	if !ok || fresh {
		handle := v.ids.handle(v.ctx, did)
		v.mu.Lock()
		a.handle = handle
		v.mu.Unlock()
	}
	return a
}

func (v *AppView) onCommit(c *comatproto.SyncSubscribeRepos_Commit) {
	_, r, err := repo.LoadRepoFromCAR(v.ctx, bytes.NewReader(c.Blocks))
	if err != nil {
		v.fault("at://"+c.Repo, err.Error())
		return
	}
	v.actor(c.Repo, false)
	for _, op := range c.Ops {
		if op.Cid == nil {
			v.mu.Lock()
			v.ix.remove(c.Repo, op.Path)
			v.mu.Unlock()
			continue
		}
		collection, rkey, _ := strings.Cut(op.Path, "/")
		raw, id, err := r.GetRecordBytes(v.ctx, syntax.NSID(collection), syntax.RecordKey(rkey))
		if err != nil {
			v.fault("at://"+c.Repo+"/"+op.Path, err.Error())
			continue
		}
		v.record(c.Repo, op.Path, id.String(), raw)
	}
}

// resync reads the whole repo anew, as after #sync.
func (v *AppView) resync(did string) {
	id, err := v.ids.lookup(v.ctx, did)
	if err != nil {
		return
	}
	body, status, err := v.ids.get(v.ctx, id.PDSEndpoint()+"/xrpc/com.atproto.sync.getRepo?did="+url.QueryEscape(did), "")
	if err != nil || status != http.StatusOK {
		v.fault("at://"+did, fmt.Sprintf("resync: status %d: %v", status, err))
		return
	}
	_, r, err := repo.LoadRepoFromCAR(v.ctx, bytes.NewReader(body))
	if err != nil {
		v.fault("at://"+did, "resync: "+err.Error())
		return
	}
	v.mu.Lock()
	v.ix.purge(did)
	v.mu.Unlock()
	_ = r.MST.Walk(func(key []byte, val cid.Cid) error {
		if b, err := r.RecordStore.Get(v.ctx, val); err == nil {
			v.record(did, string(key), val.String(), b.RawData())
		}
		return nil
	})
}

// record validates and indexes one record.
func (v *AppView) record(did, path, id string, raw []byte) {
	uri := "at://" + did + "/" + path
	data, err := atdata.UnmarshalCBOR(raw)
	if err != nil {
		v.fault(uri, err.Error())
		return
	}
	collection, _, _ := strings.Cut(path, "/")
	if err := v.validate(collection, data); err != nil {
		v.fault(uri, err.Error())
		return
	}
	v.mu.Lock()
	v.ix.put(did, path, id, data, v.now())
	v.mu.Unlock()
	for _, b := range atdata.ExtractBlobs(data) {
		v.fetchBlob(uri, did, b)
	}
}

func (v *AppView) fault(uri, reason string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.faults = append(v.faults, Fault{uri, reason})
}

// Faults lists what was skipped.
func (v *AppView) Faults() []Fault {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]Fault(nil), v.faults...)
}

// Blob tells what became of a blob, or nil if no record named it.
func (v *AppView) Blob(did, id string) *BlobState {
	v.mu.Lock()
	defer v.mu.Unlock()
	if b, ok := v.blobs[did+"/"+id]; ok {
		out := *b
		return &out
	}
	return nil
}

func (v *AppView) fetchBlob(uri, did string, b atdata.Blob) {
	key := did + "/" + b.Ref.String()
	state := &BlobState{DID: did, CID: b.Ref.String(), Mime: b.MimeType}
	err := v.download(state, b)
	if err != nil {
		state.Err = err.Error()
		v.fault(uri, "blob: "+state.Err)
	}
	v.mu.Lock()
	v.blobs[key] = state
	v.mu.Unlock()
}

func (v *AppView) download(state *BlobState, b atdata.Blob) error {
	id, err := v.ids.lookup(v.ctx, state.DID)
	if err != nil {
		return err
	}
	link := id.PDSEndpoint() + "/xrpc/com.atproto.sync.getBlob?did=" + url.QueryEscape(state.DID) + "&cid=" + state.CID
	req, err := http.NewRequestWithContext(v.ctx, http.MethodGet, link, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("getBlob: status %d", resp.StatusCode)
	}
	if state.data, err = io.ReadAll(io.LimitReader(resp.Body, 110<<20)); err != nil {
		return err
	}
	return checkBlob(state, b, resp.Header.Get("Content-Type"))
}

func checkBlob(state *BlobState, b atdata.Blob, mime string) error {
	state.Size = len(state.data)
	sum := sha256.Sum256(state.data)
	want := cid.Cid(b.Ref)
	switch {
	case want.Prefix().Codec != cid.Raw || !bytes.HasSuffix(want.Hash(), sum[:]):
		return fmt.Errorf("the bytes do not hash to the CID")
	case int64(len(state.data)) != b.Size:
		return fmt.Errorf("size is %d, the record says %d", len(state.data), b.Size)
	case !strings.EqualFold(strings.TrimSpace(strings.Split(mime, ";")[0]), b.MimeType):
		return fmt.Errorf("content type is %q, the record says %q", mime, b.MimeType)
	}
	return nil
}

// image serves a blob as the image proxy does.
func (v *AppView) image(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	b, ok := v.blobs[r.PathValue("did")+"/"+r.PathValue("cid")]
	a := v.actors[r.PathValue("did")]
	v.mu.Unlock()
	if !ok || b.Err != "" || a == nil || !a.active {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", b.Mime)
	_, _ = w.Write(b.data)
}
