package atproto

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/bluesky-social/indigo/atproto/syntax"
)

// errorFrame reads {error, message} of an error frame (https://atproto.com/specs/event-stream#framing).
func errorFrame(body []byte) error {
	var name, message string
	sc := scanner{b: body}
	err := sc.mapEach(func(key []byte) error {
		switch string(key) {
		case "error":
			name = string(sc.text())
		case "message":
			message = string(sc.text())
		default:
			sc.skip()
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errErrorFrame, err)
	}
	if name == "FutureCursor" {
		return errFutureCursor
	}
	return fmt.Errorf("%w: %.64s: %.200s", errErrorFrame, name, message)
}

// info handles #info. OutdatedCursor means that events between our cursor and the oldest kept are gone.
func (s *session) info(ctx context.Context, body []byte) {
	var msg comatproto.SyncSubscribeRepos_Info
	if err := decode(&msg, body); err != nil {
		s.stats.Strange.Add(1)
		return
	}
	s.o.Log.Warn("the firehose says", "name", fmt.Sprintf("%.64s", msg.Name))
	if msg.Name == "OutdatedCursor" {
		s.lostEvents(ctx)
	}
}

// decode runs a generated decoder; a panic on hostile bytes becomes an error.
func decode(into interface{ UnmarshalCBOR(io.Reader) error }, body []byte) (err error) {
	defer forgedOnPanic(&err)
	return into.UnmarshalCBOR(bytes.NewReader(body))
}

// commit works on a wanted #commit. All workers report whether the event is settled.
func (s *session) commit(ctx context.Context, body []byte) bool {
	v, err := decodeCommit(ctx, body, s.now())
	if err != nil {
		return s.unproven(ctx, body, err)
	}
	did := syntax.DID(v.commit.DID)
	if settled, ok := s.trusted(ctx, did, v.since(), func() error { return verifyWithFreshKey(ctx, s.o.Resolver, &v.commit) }); !ok {
		return settled
	}
	if !s.o.Interest.Author(string(did)) {
		return s.deliver(ctx, v)
	}
	return s.chained(ctx, did, v)
}

// trusted runs a check that may need the network until it says yes, or no because of a forgery or an identity that does
// not exist. ok is false unless it said yes; settled then says whether the event is done with.
//
// Tries are bounded, so that a DID whose host never answers cannot hold the cursor for ever; an author's repo is then
// compared later instead.
func (s *session) trusted(ctx context.Context, did syntax.DID, since string, check func() error) (settled, ok bool) {
	verdict, tries := error(nil), 0
	settled = s.persist(ctx, func() error {
		err := check()
		if err == nil && s.src.PDS {
			err = s.livesHere(ctx, did)
		}
		tries++
		if errors.Is(err, ErrForged) || errors.Is(err, ErrNotFound) || (err != nil && tries >= maxTries(did)) {
			verdict, err = err, nil
		}
		return err
	})
	if settled && verdict != nil && !errors.Is(verdict, ErrForged) && s.o.Interest.Author(string(did)) {
		return s.suspend(ctx, did, since), false
	}
	if verdict != nil {
		s.forged(verdict)
	}
	return settled, settled && verdict == nil
}

// maxTries is larger where everybody's documents come from one directory, whose outage is worth waiting for.
func maxTries(did syntax.DID) int {
	if did.Method() == "plc" {
		return 12
	}
	return 3
}

// suspend marks an author's repo for comparison when their identity cannot be looked up now. Of a repo never seen, only
// what came after since is of interest.
func (s *session) suspend(ctx context.Context, did syntax.DID, since string) bool {
	var head *RemoteHead
	if !s.persist(ctx, func() (err error) { head, err = s.head(ctx, did); return err }) {
		return false
	}
	if head == nil {
		head = &RemoteHead{DID: did, Rev: since}
	}
	return s.gap(ctx, *head, "")
}

func (s *session) forged(err error) {
	s.stats.Forged.Add(1)
	s.o.Log.Warn("an event did not verify and was dropped", "error", err)
}

// livesHere refuses events of accounts that do not live on the PDS that sent them.
func (s *session) livesHere(ctx context.Context, did syntax.DID) error {
	id, err := s.o.Resolver.ResolveDID(ctx, did)
	if err != nil {
		return err
	}
	if baseURL(id.PDS, true) != httpBase(s.src.URL) {
		return fmt.Errorf("%w: the account lives on another host", ErrForged)
	}
	return nil
}

// chained compares the commit with the end of the chain.
func (s *session) chained(ctx context.Context, did syntax.DID, v *verified) bool {
	var head *RemoteHead
	if !s.persist(ctx, func() (err error) { head, err = s.head(ctx, did); return err }) {
		return false
	}
	switch {
	case head != nil && v.commit.Rev <= head.Rev:
		return true // a replay
	case head != nil && (head.Stale || head.Data != v.prev || !sameSince(head, v)):
		return s.gap(ctx, *head, v.commit.Rev)
	}
	return s.deliver(ctx, v) && s.putHead(ctx, RemoteHead{DID: did, Rev: v.commit.Rev, Data: v.data})
}

func sameSince(head *RemoteHead, v *verified) bool {
	return v.msg.Since != nil && *v.msg.Since == head.Rev
}

func (s *session) deliver(ctx context.Context, v *verified) bool {
	c := v.toCommit()
	s.stats.Commits.Add(1)
	return s.persist(ctx, func() error { return s.o.Sink.Commit(ctx, s.src.Name, c) })
}

// unproven handles a commit of an author that does not prove what it did. If it is signed all the same, it is real, and
// the repo is compared; if not, it is dropped.
func (s *session) unproven(ctx context.Context, body []byte, why error) bool {
	s.forged(why)
	var msg comatproto.SyncSubscribeRepos_Commit
	if decode(&msg, body) != nil || !s.o.Interest.Author(msg.Repo) {
		return true
	}
	return s.compare(ctx, syntax.DID(msg.Repo), msg.Blocks)
}

// sync works on #sync: the repo jumped to a new state.
func (s *session) sync(ctx context.Context, body []byte) bool {
	var msg comatproto.SyncSubscribeRepos_Sync
	if err := decode(&msg, body); err != nil {
		s.stats.Strange.Add(1)
		return true
	}
	return s.compare(ctx, syntax.DID(msg.Did), msg.Blocks)
}

// compare takes a signed commit block and has the repo compared if it is ahead of what is known.
func (s *session) compare(ctx context.Context, did syntax.DID, blocks []byte) bool {
	car, err := ReadCAR(blocks)
	if err != nil {
		s.forged(err)
		return true
	}
	commit, err := parseCommit(car)
	if err != nil || commit.DID != string(did) || checkRev(commit.Rev, s.now()) != nil {
		s.forged(fmt.Errorf("%w: a commit block that cannot be: %w", ErrForged, err))
		return true
	}
	if settled, ok := s.trusted(ctx, did, commit.Rev, func() error { return verifyWithFreshKey(ctx, s.o.Resolver, commit) }); !ok {
		return settled
	}
	var head *RemoteHead
	if !s.persist(ctx, func() (err error) { head, err = s.head(ctx, did); return err }) {
		return false
	}
	switch {
	case head == nil:
		return s.putHead(ctx, RemoteHead{DID: did, Rev: commit.Rev, Data: commit.Data.String()})
	case commit.Rev <= head.Rev:
		return true
	case !head.Stale && head.Data == commit.Data.String():
		return s.putHead(ctx, RemoteHead{DID: did, Rev: commit.Rev, Data: head.Data})
	}
	return s.gap(ctx, *head, commit.Rev)
}

func (r *Reader) head(ctx context.Context, did syntax.DID) (head *RemoteHead, err error) {
	err = r.o.Store.View(ctx, func(tx Tx) error { head, err = tx.RemoteHead(did); return err })
	return head, err
}

func (r *Reader) putHead(ctx context.Context, h RemoteHead) bool {
	return r.persist(ctx, func() error {
		return r.o.Store.Update(ctx, func(tx Tx) error { return tx.PutRemoteHead(h) })
	})
}

// gap remembers that something was missed, durably, and starts comparing. The cursor may then move on.
func (r *Reader) gap(ctx context.Context, head RemoteHead, rev string) bool {
	r.stats.Gaps.Add(1)
	if !head.Stale {
		head.Stale = true
		if !r.putHead(ctx, head) {
			return false
		}
	}
	r.heal.start(ctx, head.DID, rev)
	return true
}
