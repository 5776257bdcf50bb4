package atprototest

import (
	"bytes"
	"context"
	"fmt"
	"time"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/bluesky-social/indigo/atproto/repo"
	"github.com/bluesky-social/indigo/atproto/repo/mst"
	"github.com/bluesky-social/indigo/atproto/syntax"
	lexutil "github.com/bluesky-social/indigo/lex/util"
	"github.com/ipfs/go-cid"
)

func (y *Relay) onCommit(h *host, c *comatproto.SyncSubscribeRepos_Commit) string {
	a, reason := y.known(h, c.Repo)
	if reason != "" {
		return reason
	}
	y.mu.Lock()
	active, throttled, rev, data := a.active, a.throttled, a.rev, a.data
	y.mu.Unlock()
	switch {
	case throttled:
		return "" // dropped without a word
	case !active:
		return "a commit of an inactive account"
	case rev != "" && c.Rev <= rev:
		return fmt.Sprintf("rev %s does not follow %s", c.Rev, rev)
	}
	newData, err := y.judge(c)
	if err != nil {
		return err.Error()
	}
	if reason := chain(c, rev, data); reason != "" {
		return reason
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	a.rev, a.data = c.Rev, newData
	out := *c
	y.stream.publish("#commit", func(seq int64) event { out.Seq = seq; return &out })
	return ""
}

// chain checks since and prevData, which the real relay only warns of.
func chain(c *comatproto.SyncSubscribeRepos_Commit, rev, data string) string {
	if rev == "" {
		return ""
	}
	switch {
	case c.Since == nil || c.PrevData == nil:
		return "since or prevData is missing on a known repo"
	case *c.Since != rev:
		return fmt.Sprintf("since is %s, not %s: a commit was missed", *c.Since, rev)
	case cid.Cid(*c.PrevData).String() != data:
		return "prevData is not the data of the commit before"
	}
	return ""
}

// judge checks all that one commit says by itself.
func (y *Relay) judge(c *comatproto.SyncSubscribeRepos_Commit) (data string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while verifying: %v", p)
		}
	}()
	if err := limits(c, y.now()); err != nil {
		return "", err
	}
	commit, id, err := repo.LoadCommitFromCAR(y.ctx, bytes.NewReader(c.Blocks))
	if err != nil {
		return "", err
	}
	if *id != cid.Cid(c.Commit) {
		return "", fmt.Errorf("the CAR's root is not the commit")
	}
	if err := y.signature(commit); err != nil {
		return "", err
	}
	r, err := repo.VerifyCommitMessage(y.ctx, firstOnEmpty(c))
	if err != nil {
		return "", fmt.Errorf("failed to invert commit MST: %w", err)
	}
	if err := r.MST.Verify(); err != nil {
		return "", fmt.Errorf("tree: %w", err)
	}
	return commit.Data.String(), nil
}

// firstOnEmpty makes the library check what it skips: that a commit without prevData began with an empty repo.
func firstOnEmpty(c *comatproto.SyncSubscribeRepos_Commit) *comatproto.SyncSubscribeRepos_Commit {
	if c.PrevData != nil {
		return c
	}
	empty := mst.NewEmptyTree()
	root, err := empty.RootCID()
	if err != nil {
		panic(err) // an empty node encodes
	}
	out := *c
	out.PrevData = (*lexutil.LexLink)(root)
	return &out
}

func limits(c *comatproto.SyncSubscribeRepos_Commit, now time.Time) error {
	tid, err := syntax.ParseTID(c.Rev)
	switch {
	case err != nil:
		return err
	case tid.Time().After(now.Add(5 * time.Minute)):
		return fmt.Errorf("rev is in the future")
	case c.TooBig || c.Rebase:
		return fmt.Errorf("tooBig or rebase")
	case len(c.Ops) > 200 || len(c.Blocks) > 2_000_000 || len(c.Blocks) == 0:
		return fmt.Errorf("too many operations or bytes")
	case (c.Since == nil) != (c.PrevData == nil):
		return fmt.Errorf("since and prevData come together or not at all")
	}
	for _, op := range c.Ops {
		if op.Action != "create" && op.Prev == nil {
			return fmt.Errorf("%s without prev", op.Action)
		}
		if _, _, err := syntax.ParseRepoPath(op.Path); err != nil {
			return err
		}
	}
	return nil
}

// signature checks with the key known, and once more with a fresh one.
func (y *Relay) signature(c *repo.Commit) error {
	for try := 0; ; try++ {
		key, err := y.ids.key(y.ctx, c.DID)
		if err != nil {
			return fmt.Errorf("key: %w", err)
		}
		if err = c.VerifySignature(key); err == nil {
			return nil
		}
		if try > 0 {
			return fmt.Errorf("signature: %w", err)
		}
		y.ids.forget(c.DID)
	}
}

func (y *Relay) onSync(h *host, s *comatproto.SyncSubscribeRepos_Sync) string {
	a, reason := y.known(h, s.Did)
	if reason != "" {
		return reason
	}
	commit, _, err := repo.LoadCommitFromCAR(context.Background(), bytes.NewReader(s.Blocks))
	switch {
	case err != nil:
		return err.Error()
	case commit.DID != s.Did || commit.Rev != s.Rev:
		return "#sync does not match its commit"
	}
	if err := y.signature(commit); err != nil {
		return err.Error()
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	if !a.active || a.throttled {
		return ""
	}
	if a.rev != "" && commit.Rev < a.rev {
		return "#sync goes back in time"
	}
	a.rev, a.data = commit.Rev, commit.Data.String()
	out := *s
	y.stream.publish("#sync", func(seq int64) event { out.Seq = seq; return &out })
	return ""
}

func (y *Relay) onIdentity(h *host, e *comatproto.SyncSubscribeRepos_Identity) string {
	y.ids.forget(e.Did)
	if _, reason := y.known(h, e.Did); reason != "" {
		return reason
	}
	out := *e
	y.mu.Lock()
	defer y.mu.Unlock()
	y.stream.publish("#identity", func(seq int64) event { out.Seq = seq; return &out })
	return ""
}

func (y *Relay) onAccount(h *host, e *comatproto.SyncSubscribeRepos_Account) string {
	status := ""
	if e.Status != nil {
		status = *e.Status
	}
	y.mu.Lock()
	a, ok := y.accounts[e.Did]
	gone := ok && a.host == h && !e.Active && status == "deleted"
	y.mu.Unlock()
	if !gone { // a deleted account's DID document may be gone already
		var reason string
		if a, reason = y.known(h, e.Did); reason != "" {
			return reason
		}
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	if gone && a.status != "deleted" {
		h.accounts--
	}
	if e.Active && a.status == "deleted" {
		h.accounts++
	}
	a.active, a.status = e.Active, status
	y.announce(e.Did, a)
	return ""
}
