package atproto

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/bluesky-social/indigo/atproto/syntax"
)

// RepoStatus is what a relay or PDS says of an account (com.atproto.sync.getRepoStatus).
type RepoStatus struct {
	Active bool
	// Status is deactivated, deleted, suspended, takendown, desynchronized or throttled when not active.
	Status string
	Rev    string
}

// Throttled says that the relay hides the account because the host is over its quota.
func (s RepoStatus) Throttled() bool { return !s.Active && s.Status == "throttled" }

// RequestCrawl asks a relay to read our firehose. hostname is host[:port] without a scheme.
func (c *Client) RequestCrawl(ctx context.Context, relay, hostname string) error {
	_, err := c.procedure(ctx, strings.TrimSuffix(relay, "/"), "com.atproto.sync.requestCrawl", "", map[string]any{"hostname": hostname})
	return err
}

// RepoStatus asks a relay (or any host, by base URL) for an account. ErrNotFound means that the relay does not know it.
func (c *Client) RepoStatus(ctx context.Context, relay string, did syntax.DID) (RepoStatus, error) {
	body, _, err := c.query(ctx, strings.TrimSuffix(relay, "/"), "com.atproto.sync.getRepoStatus", url.Values{"did": {string(did)}}, 64<<10)
	if err != nil {
		return RepoStatus{}, err
	}
	var out struct {
		DID    string
		Active bool
		Status string
		Rev    string
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return RepoStatus{}, fmt.Errorf("parsing a repo status: %w", err)
	}
	if out.DID != string(did) {
		return RepoStatus{}, errors.New("the repo status is about another DID")
	}
	return RepoStatus{Active: out.Active, Status: out.Status, Rev: out.Rev}, nil
}

// HostStatus is what a relay says of a host (com.atproto.sync.getHostStatus).
type HostStatus struct {
	Status       string // active, idle, offline, throttled, banned
	AccountCount int64
	Seq          int64
}

// HostStatus asks a relay for a host.
func (c *Client) HostStatus(ctx context.Context, relay, hostname string) (HostStatus, error) {
	body, _, err := c.query(ctx, strings.TrimSuffix(relay, "/"), "com.atproto.sync.getHostStatus", url.Values{"hostname": {hostname}}, 64<<10)
	if err != nil {
		return HostStatus{}, err
	}
	var out HostStatus
	if err := json.Unmarshal(body, &out); err != nil {
		return HostStatus{}, fmt.Errorf("parsing a host status: %w", err)
	}
	return out, nil
}
