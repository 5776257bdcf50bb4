package atproto

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/bluesky-social/indigo/atproto/syntax"
)

// httpBase is the http form of the base URL of a source.
func httpBase(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	}
	return u.Scheme + "://" + strings.ToLower(u.Host)
}

// forget drops what is cached of a DID that nobody here follows.
func (s *session) forget(did []byte) { s.o.Resolver.Purge(syntax.DID(did)) }

// identity works on #identity. The event says only that something changed; what, is looked up.
func (s *session) identity(ctx context.Context, body []byte) bool {
	var msg comatproto.SyncSubscribeRepos_Identity
	if err := decode(&msg, body); err != nil {
		s.stats.Strange.Add(1)
		return true
	}
	return s.identityChanged(ctx, syntax.DID(msg.Did), msg.Handle, msg.Seq, eventTime(msg.Time))
}

func (s *session) identityChanged(ctx context.Context, did syntax.DID, handle *string, seq int64, at time.Time) bool {
	s.o.Resolver.Purge(did)
	if handle != nil {
		s.o.Resolver.PurgeHandle(syntax.Handle(*handle))
	}
	e := AccountEvent{Seq: seq, DID: did, Kind: "identity", Active: true, Time: at}
	tries := 0
	settled := s.persist(ctx, func() error {
		id, err := s.o.Resolver.ResolveDID(ctx, did)
		if tries++; errors.Is(err, ErrNotFound) || (err != nil && tries >= maxTries(did)) { // a tombstone's #account event says so
			e.Handle = string(syntax.HandleInvalid)
			return nil
		}
		e.Handle = string(id.Handle)
		return err
	})
	return settled && s.persist(ctx, func() error { return s.o.Sink.Account(ctx, s.src.Name, e) })
}

// account works on #account. These events are not signed: the relay is believed, except when it says that somebody is
// gone for good, while their PDS says that they are there.
func (s *session) account(ctx context.Context, body []byte) bool {
	var msg comatproto.SyncSubscribeRepos_Account
	if err := decode(&msg, body); err != nil {
		s.stats.Strange.Add(1)
		return true
	}
	e := AccountEvent{Seq: msg.Seq, DID: syntax.DID(msg.Did), Kind: "account", Active: msg.Active, Time: eventTime(msg.Time)}
	if msg.Status != nil {
		e.Status = *msg.Status
	}
	if s.src.PDS {
		here := true
		settled := s.persist(ctx, func() error {
			err := s.livesHere(ctx, e.DID)
			if here = !errors.Is(err, ErrForged); !here {
				err = nil
			}
			return err
		})
		if !settled || !here {
			return settled
		}
	}
	return s.accountChanged(ctx, e)
}

func (s *session) accountChanged(ctx context.Context, e AccountEvent) bool {
	if !e.Active && e.Status == "deleted" {
		if s.stillThere(ctx, e.DID) {
			s.forged(errors.New("a deletion that the account's own host denies"))
			return true
		}
		s.persist(ctx, func() error {
			return s.o.Store.Update(ctx, func(tx Tx) error { return tx.DropRemoteHead(e.DID) })
		})
	}
	return s.persist(ctx, func() error { return s.o.Sink.Account(ctx, s.src.Name, e) })
}

// stillThere asks the account's PDS; silence counts as a no.
func (s *session) stillThere(ctx context.Context, did syntax.DID) bool {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	s.o.Resolver.Purge(did)
	base, err := s.client.pds(ctx, did)
	if err != nil {
		return false
	}
	status, err := s.client.RepoStatus(ctx, base, did)
	return err == nil && status.Active
}
