// Package bridge is the domain: the only place where both protocols meet. It holds the flows (joining, posts out, replies
// across, leaving), the policy, provisioning and erasure. It speaks to the networks through activitypub and atproto, to
// the database through Store, and writes nothing to either network without a consent.Permit.
package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"footbridge/activitypub"
	"footbridge/atproto"
	"footbridge/atproto/pds"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// Tx is one transaction over everything that the flows touch.
type Tx interface {
	identity.Tx
	consent.Tx
	queue.Tx
	pds.Tx
	activitypub.Tx
	atproto.Tx
	ObjectTx
	PolicyTx
	Now() time.Time
	AfterCommit(func())
}

// Store runs transactions. An update is durable when Update returns nil.
type Store interface {
	Update(context.Context, func(Tx) error) error
	View(context.Context, func(Tx) error) error
}

// Settings are what the operator chose.
type Settings struct {
	// Domain is the public host (with port on test machines) and BaseURL the scheme and host.
	Domain, BaseURL string
	// Zone is the domain of copies' handles.
	Zone string
	// Relays are asked to crawl; AppView is looked at after an erasure.
	Relays  []string
	AppView string
	// OneStep lets the follow alone join, with the smallest preset.
	OneStep bool
	// Offline: nothing is told to the PLC directory or the relays (a try-out on loopback).
	Offline bool
	// PLCGrace is how long a DID outlives its repo.
	PLCGrace time.Duration
}

// Deps are what the flows work with.
type Deps struct {
	Store    Store
	Gate     consent.PermitSource
	Desk     *consent.Desk
	Keys     *identity.Keyring
	Host     *pds.Host
	Fetcher  activitypub.Fetcher
	Actors   *activitypub.Actors
	Sender   activitypub.Deliverer
	KeyMaker func(context.Context) (activitypub.KeyPair, error)
	Resolver *atproto.Resolver
	Reader   *atproto.Client
	PLC      *atproto.PLC
	// Chat sends a private message on the AT side; nil where there is no chat service.
	Chat interface {
		Send(ctx context.Context, permit consent.Permit, to syntax.DID, text string) error
	}
	// Media fetches files of either network (guarded).
	Media   *http.Client
	Breaker *queue.Breaker
	// CollectBlobs asks for the deletion of media that no repo has any more; it must not block. May be nil.
	CollectBlobs func()
	// Tidy, run hourly, sweeps what other rooms keep for a while (old dead letters, sign-ins); may be nil.
	Tidy func(context.Context) error
	// Journal may be nil: a bridge without one cannot be restored safely.
	Journal  Journal
	Interest *atproto.DIDSet
	Observe  func(Outcome)
	Now      func() time.Time
	Log      *slog.Logger
	Settings Settings
}

// Bridge runs the flows. It is safe for concurrent use; all state is in the store.
type Bridge struct {
	Deps

	botDID atomic.Value // string; set once the bot's DID is made
	secret []byte       // of the pseudonyms
}

// New checks that nothing is missing.
func New(d Deps) (*Bridge, error) {
	if d.Store == nil || d.Gate == nil || d.Desk == nil || d.Host == nil || d.Fetcher == nil || d.Sender == nil || d.Settings.Domain == "" {
		return nil, errors.New("building the bridge: a part is missing")
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Observe == nil {
		d.Observe = func(Outcome) {}
	}
	if d.Settings.PLCGrace == 0 {
		d.Settings.PLCGrace = 72 * time.Hour
	}
	b := &Bridge{Deps: d}
	return b, b.deriveSecret()
}

// Handlers are what the queue's runner calls, by kind of job.
func (b *Bridge) Handlers() map[string]queue.Handler {
	return map[string]queue.Handler{
		JobInbound:   b.handleInbound,
		JobCommit:    b.handleCommit,
		JobAccount:   b.handleAccount,
		JobProvision: b.handleProvision,
		JobRefresh:   b.handleRefresh,
		JobPLC:       b.handlePLC,
		JobCrawl:     b.handleCrawl,
		JobRelay:     b.handleRelay,
		JobDeliver:   b.handleDeliver,
		JobDelete:    b.handleDeliver,
		JobChat:      b.handleChat,
		JobNotify:    b.handleNotify,
		JobErase:     b.handleErase,
		JobVerify:    b.handleVerify,
		JobTombstone: b.handleTombstone,
		JobReconcile: b.handleReconcile,
		JobUpkeep:    b.handleUpkeep,
	}
}

// finish ends a job in the transaction of its effect.
func finish(tx Tx, j queue.Job) error {
	ok, err := tx.FinishJob(j.ID, queue.Done, "")
	if err != nil {
		return fmt.Errorf("finishing a %s job: %w", j.Kind, err)
	}
	if !ok {
		return queue.ErrFinished
	}
	return nil
}

// done runs an effect and the end of its job in one transaction. The job ends first: an effect such as a withdrawal may
// remove the person's other jobs.
func (b *Bridge) done(ctx context.Context, j queue.Job, effect func(Tx) error) error {
	err := b.Store.Update(ctx, func(tx Tx) error {
		if err := finish(tx, j); err != nil {
			return err
		}
		return effect(tx)
	})
	if errors.Is(err, queue.ErrFinished) {
		return nil
	}
	return err
}

// account finds a person by their native id; nil if unknown.
func account(tx Tx, s identity.Subject) (*identity.Account, error) {
	return known(tx.AccountBySubject(s))
}

// known turns ErrNotFound into nil.
func known(acc *identity.Account, err error) (*identity.Account, error) {
	if errors.Is(err, identity.ErrNotFound) {
		return nil, nil
	}
	return acc, err
}

func mustJSON(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil { // only values built here come in; they always encode
		panic(fmt.Sprintf("encoding a document of our own: %v", err))
	}
	return body
}
