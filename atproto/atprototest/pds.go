package atprototest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/atdata"
	"github.com/bluesky-social/indigo/atproto/repo/mst"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// PDS is a personal data server with accounts of people who live in the ATmosphere.
type PDS struct {
	server
	plc    *PLC
	now    func() time.Time
	stream *stream

	mu       sync.Mutex
	accounts map[string]*Account // by DID
	handles  map[string]string
	tokens   map[string]string // access token to DID
	// NoSince makes getRepo ignore since, as some hosts do.
	NoSince bool

	oauth      *authServer
	labels     *stream
	publicHost string
}

func (p *PDS) start(addr string, plc *PLC, now func() time.Time) error {
	p.plc, p.now, p.stream, p.labels = plc, now, newStream(), newStream()
	p.accounts, p.handles, p.tokens = map[string]*Account{}, map[string]string{}, map[string]string{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/atproto-did", p.wellKnown)
	mux.Handle("/xrpc/", p.methods())
	p.oauth = &authServer{pds: p}
	p.oauth.routes(mux)
	return p.listen(addr, mux)
}

func (p *PDS) stop() {
	if p.stream != nil {
		p.stream.close()
		p.labels.close()
	}
	p.close()
}

func (p *PDS) wellKnown(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	did, ok := p.handles[strings.ToLower(r.Host)]
	p.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte(did))
}

// CreateAccount makes an account with a did:plc, an empty repo and the events of the reference PDS.
func (p *PDS) CreateAccount(handle string) (*Account, error) {
	key, err := atcrypto.GeneratePrivateKeyK256()
	if err != nil {
		return nil, err
	}
	rotation, err := atcrypto.GeneratePrivateKeyK256()
	if err != nil {
		return nil, err
	}
	a := &Account{
		Handle: handle, Password: "password-" + handle, pds: p, key: key, rotation: rotation, tree: mst.NewEmptyTree(),
		clock: syntax.NewTIDClock(7), tids: syntax.NewTIDClock(8), blocks: map[cid.Cid]stored{}, records: map[string]cid.Cid{},
		blobs: map[string]blob{}, active: true,
	}
	if err := a.register(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accounts[a.DID], p.handles[handle] = a, a.DID
	p.identityEvent(a)
	p.accountEvent(a)
	_, err = p.commit(a, nil)
	return a, err
}

func (a *Account) register() error {
	op, err := a.plcOp(nil)
	if err != nil {
		return err
	}
	signed, err := atdata.MarshalCBOR(op)
	if err != nil {
		return err
	}
	a.DID = plcDID(signed)
	body, err := json.Marshal(op)
	if err != nil {
		return err
	}
	return a.pds.plc.Submit(a.DID, body)
}

// updatePLC sends an operation after a change of handle, key or host.
func (a *Account) updatePLC() error {
	log := a.pds.plc.live(a.DID)
	op, err := a.plcOp(log[len(log)-1].cid)
	if err != nil {
		return err
	}
	body, err := json.Marshal(op)
	if err != nil {
		return err
	}
	return a.pds.plc.Submit(a.DID, body)
}

// commit applies writes and publishes the commit; the caller holds the lock.
func (p *PDS) commit(a *Account, writes []write) (*comatproto.SyncSubscribeRepos_Commit, error) {
	if !a.active {
		return nil, &fault{http.StatusBadRequest, "AccountDeactivated", "the account is not active"}
	}
	msg, err := a.apply(writes)
	if err != nil {
		return nil, err
	}
	p.stream.publish("#commit", func(seq int64) event {
		m := *msg
		m.Seq = seq
		return &m
	})
	return msg, nil
}

func (p *PDS) identityEvent(a *Account) {
	handle := a.Handle
	p.stream.publish("#identity", func(seq int64) event {
		return &comatproto.SyncSubscribeRepos_Identity{Seq: seq, Did: a.DID, Time: now8601(p.now()), Handle: &handle}
	})
}

func (p *PDS) accountEvent(a *Account) {
	e := comatproto.SyncSubscribeRepos_Account{Did: a.DID, Time: now8601(p.now()), Active: a.active}
	if !a.active {
		status := a.status
		e.Status = &status
	}
	p.stream.publish("#account", func(seq int64) event { e.Seq = seq; return &e })
}

func (p *PDS) syncEvent(a *Account) {
	car := a.write([]cid.Cid{a.head})
	e := comatproto.SyncSubscribeRepos_Sync{Did: a.DID, Rev: a.commit.Rev, Time: now8601(p.now()), Blocks: car}
	p.stream.publish("#sync", func(seq int64) event { e.Seq = seq; return &e })
}

// Put creates or replaces a record and returns its at-uri and CID.
func (p *PDS) Put(a *Account, collection, rkey string, record map[string]any) (Ref, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if rkey == "" {
		rkey = a.tids.Next().String()
	}
	if record["$type"] == nil {
		record = maps.Clone(record)
		record["$type"] = collection
	}
	path := collection + "/" + rkey
	if _, err := p.commit(a, []write{{path, record}}); err != nil {
		return Ref{}, err
	}
	return Ref{URI: "at://" + a.DID + "/" + path, CID: a.records[path].String()}, nil
}

// Batch applies several writes as one commit; a nil record deletes. Keys are collection/rkey.
func (p *PDS) Batch(a *Account, writes map[string]map[string]any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []write
	for path, record := range writes {
		list = append(list, write{path, record})
	}
	slices.SortFunc(list, func(x, y write) int { return strings.Compare(x.path, y.path) })
	_, err := p.commit(a, list)
	return err
}

// Quietly runs f without its events reaching the firehose, as when a host loses them.
func (p *PDS) Quietly(f func() error) error {
	p.mu.Lock()
	public := p.stream
	p.stream = newStream()
	p.mu.Unlock()
	err := f()
	p.mu.Lock()
	p.stream = public
	p.mu.Unlock()
	return err
}

// Delete removes a record by at-uri.
func (p *PDS) Delete(uri string) error {
	did, path, err := splitURI(uri)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.accounts[did]
	if !ok {
		return fmt.Errorf("no account %s here", did)
	}
	_, err = p.commit(a, []write{{path, nil}})
	return err
}

func splitURI(uri string) (did, path string, err error) {
	did, path, ok := strings.Cut(strings.TrimPrefix(uri, "at://"), "/")
	if !ok {
		return "", "", fmt.Errorf("not the at-uri of a record: %q", uri)
	}
	return did, path, nil
}

// Upload stores a blob and returns what a record embeds.
func (p *PDS) Upload(a *Account, data []byte, mime string) (atdata.Blob, error) {
	id, err := cid.NewPrefixV1(cid.Raw, multihash.SHA2_256).Sum(data)
	if err != nil {
		return atdata.Blob{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	a.blobs[id.String()] = blob{data, mime}
	return atdata.Blob{Ref: atdata.CIDLink(id), MimeType: mime, Size: int64(len(data))}, nil
}

// SetStatus changes the hosting status: "" is active.
func (p *PDS) SetStatus(a *Account, status string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a.active, a.status = status == "", status
	p.accountEvent(a)
	if a.active {
		p.identityEvent(a)
		p.syncEvent(a)
	}
}

// SetHandle changes the handle.
func (p *PDS) SetHandle(a *Account, handle string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.handles, a.Handle)
	a.Handle, p.handles[handle] = handle, a.DID
	if err := a.updatePLC(); err != nil {
		return err
	}
	p.identityEvent(a)
	return nil
}

// RotateKey gives the account a new signing key. With quiet, nobody is told by an #identity event.
func (p *PDS) RotateKey(a *Account, quiet bool) error {
	key, err := atcrypto.GeneratePrivateKeyP256()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	a.key = key
	if err := a.updatePLC(); err != nil {
		return err
	}
	if !quiet {
		p.identityEvent(a)
	}
	_, err = p.commit(a, nil)
	return err
}

// Sync publishes #sync for the account.
func (p *PDS) Sync(a *Account) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.syncEvent(a)
}

// RawFrame sends any bytes to the subscribers.
func (p *PDS) RawFrame(frame []byte) { p.stream.publishRaw(frame) }

// Ref is a strongRef.
type Ref struct{ URI, CID string }

// Map is the ref as a record embeds it.
func (r Ref) Map() map[string]any { return map[string]any{"uri": r.URI, "cid": r.CID} }

// Seq is the sequence of the newest event.
func (p *PDS) Seq() int64 { return p.stream.last() }

// LastFrame is the newest event as it goes over the wire.
func (p *PDS) LastFrame() []byte {
	frames, _, _, _ := p.stream.after(p.stream.last() - 1)
	return frames[0]
}

// Corrupt makes a blob's bytes other than its CID says.
func (p *PDS) Corrupt(a *Account, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := a.blobs[id]
	b.data = append([]byte("!"), b.data...)
	a.blobs[id] = b
}
