package pds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"footbridge/identity"
	"footbridge/identity/consent"

	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"
)

// Options are what a Host is made of.
type Options struct {
	Store Store
	Keys  Keys
	Blobs BlobStore
	// Hostname is the public host name of this PDS, without scheme, with a port if it is not the scheme's.
	Hostname string
	// URL is the public base URL as DID documents have it; empty means https://<Hostname>.
	URL string
	// HandleDomains are the zones under which handles lie, each without a leading dot.
	HandleDomains []string
	// Contact, Privacy and Terms are shown by describeServer; optional.
	Contact, Privacy, Terms string
	// Version is shown by /xrpc/_health.
	Version string
	Now     func() time.Time
	Log     *slog.Logger
	// Retention is how long events are kept for replay; 0 means 72 hours, as relays do.
	Retention time.Duration
	// SlowConsumer is how long one frame may wait for a subscriber; 0 means 10 minutes. Relays hold new hosts back by
	// reading slowly, which must not look like a dead connection.
	SlowConsumer time.Duration
	// Poll is how often the log is looked at for events that other processes wrote; 0 means a second.
	Poll time.Duration
	// RateLimit is requests per IP in five minutes; 0 means 3,000 (the reference PDS's), negative none.
	RateLimit int
	// Migration allows accounts to move in and out; nil refuses.
	Migration *Migration
}

// Host serves the repos. It is safe for concurrent use; Apply and the other writing calls run inside a transaction of
// the caller's.
type Host struct {
	o   Options
	log *slog.Logger
	now func() time.Time

	keys  keyCache
	nodes *nodeCache
	wake  waker

	blobMu sync.RWMutex // between looking whether a blob file is unused and removing it
	limit  *limiter
	subs   chan struct{}
}

const maxSubscribers = 512

// New makes a host.
func New(o Options) (*Host, error) {
	if o.Store == nil || o.Keys == nil || o.Hostname == "" {
		return nil, errors.New("a repo host needs a store, keys and a host name")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Retention == 0 {
		o.Retention = 72 * time.Hour
	}
	if o.SlowConsumer == 0 {
		o.SlowConsumer = 10 * time.Minute
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	if o.RateLimit == 0 {
		o.RateLimit = 3000
	}
	h := &Host{o: o, log: o.Log, now: o.Now, subs: make(chan struct{}, maxSubscribers)}
	h.keys.byDID = map[syntax.DID]*identity.SigningKey{}
	h.nodes = newNodeCache(cacheBytes)
	h.wake.c = make(chan struct{})
	h.limit = newLimiter(o.RateLimit, 5*time.Minute)
	return h, nil
}

// DID is the service's own.
func (h *Host) DID() syntax.DID {
	return syntax.DID("did:web:" + strings.ReplaceAll(h.o.Hostname, ":", "%3A"))
}

// URL is the public base URL of the host.
func (h *Host) URL() string {
	if h.o.URL != "" {
		return h.o.URL
	}
	return "https://" + h.o.Hostname
}

// HandleDID is the DID of the repo that has the handle, or empty. A hidden repo keeps its handle, a deleted one does not.
func (h *Host) HandleDID(ctx context.Context, handle syntax.Handle) (did syntax.DID, err error) {
	err = h.o.Store.View(ctx, func(tx Tx) error {
		r, err := tx.RepoByHandle(handle)
		if errors.Is(err, ErrNoRepo) {
			return nil
		}
		if err == nil && r.Status != StatusDeleted {
			did = r.DID
		}
		return err
	})
	return did, err
}

// waker tells all who wait that something happened.
type waker struct {
	mu sync.Mutex
	c  chan struct{}
}

func (w *waker) wait() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.c
}

func (w *waker) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.c)
	w.c = make(chan struct{})
}

// keyCache keeps parsed keys: parsing costs as much as signing.
type keyCache struct {
	mu    sync.Mutex
	byDID map[syntax.DID]*identity.SigningKey
}

const maxCachedKeys = 4096

func (h *Host) key(tx Tx, did syntax.DID) (*identity.SigningKey, error) {
	h.keys.mu.Lock()
	k := h.keys.byDID[did]
	h.keys.mu.Unlock()
	if k != nil {
		return k, nil
	}
	k, err := h.o.Keys.Key(tx, did.String(), identity.KeyRepo)
	if err != nil {
		return nil, fmt.Errorf("opening the repo's key: %w", err)
	}
	h.keys.mu.Lock()
	defer h.keys.mu.Unlock()
	if len(h.keys.byDID) >= maxCachedKeys {
		clear(h.keys.byDID)
	}
	h.keys.byDID[did] = k
	return k, nil
}

// ForgetKey drops a parsed key from memory; the erasure calls it when the sealed one is deleted.
func (h *Host) ForgetKey(did syntax.DID) {
	h.keys.mu.Lock()
	defer h.keys.mu.Unlock()
	delete(h.keys.byDID, did)
}

// allow checks that the permit is good for this repo. A person's repo obeys only permits that stand on that person's
// consent; the bridge's own repos only service permits.
func (h *Host) allow(r *Repo, p consent.Permit, kinds ...consent.Kind) error {
	if err := p.Check(h.now(), kinds...); err != nil {
		return err
	}
	if (p.Kind() == consent.Service) != (r.Owner == "") || r.Owner != "" && p.Subject() != r.Owner {
		return fmt.Errorf("%w: it is not for this repo", consent.ErrNoPermit)
	}
	return nil
}

// CreateRepo makes a repo for a DID with a first commit that holds the writes (a profile, say), and announces it:
// #identity, #account, #commit. A publish permit makes its subject the owner; a service permit makes a repo of the bridge
// itself. key may be nil if a sealed key is kept for the DID already (see identity.Keyring).
func (h *Host) CreateRepo(tx Tx, permit consent.Permit, did syntax.DID, handle syntax.Handle, key *identity.SigningKey, writes ...Write) (Commit, error) {
	if err := permit.Check(h.now(), consent.Publish, consent.Service); err != nil {
		return Commit{}, err
	}
	if key != nil {
		if err := h.o.Keys.PutKey(tx, did.String(), identity.KeyRepo, key); err != nil {
			return Commit{}, err
		}
	}
	r := &Repo{DID: did, Handle: handle.Normalize(), Status: StatusActive}
	if permit.Kind() == consent.Publish {
		r.Owner = permit.Subject()
	}
	if err := tx.RepoInsert(r); err != nil {
		return Commit{}, err
	}
	if _, err := h.emitIdentity(tx, r); err != nil {
		return Commit{}, err
	}
	if _, err := h.emitAccount(tx, r); err != nil {
		return Commit{}, err
	}
	changes, _, err := h.changes(tx, r, writes, true)
	if err != nil {
		return Commit{}, err
	}
	return h.commit(tx, r, changes, true)
}

// Apply makes one commit of the writes, or none when they change nothing; writes that exceed the limits of one event
// (200 ops, 2 MB) become several. Puts are applied before deletes. The permit must be publish; an erase permit allows
// deletes only. While a repo is not active only deletes are taken, and no event tells of them: SetStatus sends a #sync.
func (h *Host) Apply(_ context.Context, tx Tx, permit consent.Permit, did syntax.DID, writes ...Write) (Commit, []Result, error) {
	r, err := tx.Repo(did)
	if err != nil {
		return Commit{}, nil, err
	}
	if err := h.allow(r, permit, consent.Publish, consent.Service, consent.Erase); err != nil {
		return Commit{}, nil, err
	}
	for _, w := range writes {
		if w.Record == nil {
			continue
		}
		if permit.Kind() == consent.Erase {
			return Commit{}, nil, fmt.Errorf("%w: an erase permit deletes only", consent.ErrNoPermit)
		}
		if r.Status != StatusActive {
			return Commit{}, nil, ErrInactive
		}
	}
	changes, results, err := h.changes(tx, r, writes, true)
	if err != nil {
		return Commit{}, nil, err
	}
	if len(changes) == 0 {
		return Commit{CID: r.Head, Rev: r.Rev}, results, nil
	}
	c, err := h.commit(tx, r, changes, r.Status == StatusActive)
	return c, results, err
}

// changes compares the writes with what is there. Of several writes to one path the last counts. Puts come first.
func (h *Host) changes(tx Tx, r *Repo, writes []Write, needBlobs bool) ([]change, []Result, error) {
	last := map[string]int{}
	for i, w := range writes {
		last[w.Path()] = i
	}
	results := make([]Result, len(writes))
	var puts, deletes []change
	for i, w := range writes {
		if last[w.Path()] != i {
			continue
		}
		c, changed, err := h.change(tx, r, w, needBlobs)
		if err != nil {
			return nil, nil, err
		}
		results[i] = Result{URI: "at://" + r.DID.String() + "/" + c.path, Changed: changed}
		if c.next.Defined() {
			results[i].CID = c.next.String()
		}
		switch {
		case !changed:
		case c.next.Defined():
			puts = append(puts, c)
		default:
			deletes = append(deletes, c)
		}
	}
	for i, w := range writes {
		results[i] = results[last[w.Path()]]
	}
	return append(puts, deletes...), results, nil
}

func (h *Host) change(tx Tx, r *Repo, w Write, needBlobs bool) (change, bool, error) {
	e, err := encodeWrite(w)
	if err != nil {
		return change{}, false, err
	}
	c := change{path: e.path, next: e.cid, data: e.data, blobs: e.blobs}
	old, err := tx.RepoRecord(r.ID, e.path)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return c, false, err
	}
	if old != nil {
		c.prev = old.CID
	}
	if c.prev == c.next {
		return c, false, nil
	}
	for _, b := range e.blobs {
		if _, err := tx.Blob(r.ID, b); needBlobs && errors.Is(err, ErrNotFound) {
			return c, false, ErrNoBlob
		} else if err != nil && !errors.Is(err, ErrNotFound) {
			return c, false, err
		}
	}
	return c, true, nil
}

// commit makes as many commits of the changes as the firehose's limits ask for.
func (h *Host) commit(tx Tx, r *Repo, changes []change, emit bool) (Commit, error) {
	key, err := h.key(tx, r.DID)
	if err != nil {
		return Commit{}, err
	}
	d, err := h.prepare(tx, r, key, changes)
	if errors.Is(err, errTooBig) && len(changes) > 1 {
		half := min(len(changes)/2, maxOps)
		if _, err := h.commit(tx, r, changes[:half], emit); err != nil {
			return Commit{}, err
		}
		return h.commit(tx, r, changes[half:], emit)
	}
	if err != nil {
		return Commit{}, fmt.Errorf("preparing a commit: %w", err)
	}
	seq, err := h.store(tx, r, key, d, changes, emit)
	if err != nil {
		return Commit{}, err
	}
	if emit {
		tx.AfterCommit(h.wake.wake)
	}
	return Commit{CID: r.Head, Rev: r.Rev, Seq: seq}, nil
}

// SetStatus changes the hosting status and announces it. A repo that becomes active again is announced with #account,
// #identity and #sync, since commits may have been made or missed meanwhile. Setting the status that is there does
// nothing. Activating needs publish (or service, for the bridge's own); hiding takes any permit for the repo.
func (h *Host) SetStatus(tx Tx, permit consent.Permit, did syntax.DID, status AccountStatus) error {
	r, err := tx.Repo(did)
	if err != nil {
		return err
	}
	kinds := []consent.Kind{consent.Publish, consent.Service}
	if status != StatusActive {
		kinds = append(kinds, consent.Erase)
	}
	if err := h.allow(r, permit, kinds...); err != nil {
		return err
	}
	return h.setStatus(tx, r, status)
}

func (h *Host) setStatus(tx Tx, r *Repo, status AccountStatus) error {
	switch {
	case r.Status == status:
		return nil
	case r.Status == StatusDeleted:
		return fmt.Errorf("%w: it is deleted", ErrInactive)
	case status == StatusDeleted:
		return errors.New("DeleteRepo deletes a repo, not SetStatus")
	}
	r.Status = status
	if err := tx.RepoPut(r, r.Head); err != nil {
		return err
	}
	tx.AfterCommit(h.wake.wake)
	if _, err := h.emitAccount(tx, r); err != nil || status != StatusActive {
		return err
	}
	if _, err := h.emitIdentity(tx, r); err != nil {
		return err
	}
	_, err := h.emitSync(tx, r)
	return err
}

// RepeatStatus announces the status once more, for relays that did not hear. It tells nothing new, so it takes no permit.
func (h *Host) RepeatStatus(tx Tx, did syntax.DID) error {
	r, err := tx.Repo(did)
	if err != nil {
		return err
	}
	tx.AfterCommit(h.wake.wake)
	_, err = h.emitAccount(tx, r)
	return err
}

// SetHandle changes the handle and announces #identity. The PLC operation is the caller's.
func (h *Host) SetHandle(tx Tx, permit consent.Permit, did syntax.DID, handle syntax.Handle) error {
	r, err := tx.Repo(did)
	if err != nil {
		return err
	}
	if err := h.allow(r, permit, consent.Publish, consent.Service); err != nil {
		return err
	}
	if other, err := tx.RepoByHandle(handle); err == nil && other.DID != did {
		return ErrExists
	}
	r.Handle = handle.Normalize()
	if err := tx.RepoPut(r, r.Head); err != nil {
		return err
	}
	tx.AfterCommit(h.wake.wake)
	_, err = h.emitIdentity(tx, r)
	return err
}

// DeleteRepo removes everything but the row that tells of the deletion, drops the repo's events from the log, and
// announces #account deleted. Blob files go at the next CollectBlobs. The key stays: the PLC tombstone comes later.
func (h *Host) DeleteRepo(tx Tx, permit consent.Permit, did syntax.DID) error {
	r, err := tx.Repo(did)
	if err != nil {
		return err
	}
	if err := h.allow(r, permit, consent.Erase, consent.Service); err != nil {
		return err
	}
	if r.Status == StatusDeleted {
		return nil
	}
	if err := tx.RepoErase(r.ID); err != nil {
		return err
	}
	head := r.Head
	r.Status, r.Handle, r.Head, r.Data, r.Commit, r.Records = StatusDeleted, "", "", "", nil, 0
	r.Owner = "" // whose it was is nobody's business any more; only the bridge itself may say the deletion again
	if err := tx.RepoPut(r, head); err != nil {
		return err
	}
	seq, err := h.emitAccount(tx, r)
	if err != nil {
		return err
	}
	tx.AfterCommit(h.wake.wake)
	return tx.EventPurge(r.ID, seq)
}

// Sync announces the current state of a repo with #sync: after a restore, or when a relay has dropped commits.
func (h *Host) Sync(tx Tx, did syntax.DID) error {
	r, err := tx.Repo(did)
	if err != nil {
		return err
	}
	if r.Status != StatusActive {
		return ErrInactive
	}
	tx.AfterCommit(h.wake.wake)
	_, err = h.emitSync(tx, r)
	return err
}

// cidOrNone is for rows of deleted repos.
func cidOrNone(s string) cid.Cid {
	c, err := cid.Decode(s)
	if err != nil {
		return cid.Undef
	}
	return c
}

// securityHeaders go on everything that a stranger's bytes are served with.
func securityHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
}
