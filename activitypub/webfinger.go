package activitypub

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/idna"

	"footbridge/identity"
)

// jrd is a WebFinger answer (RFC 7033).
type jrd struct {
	Subject string    `json:"subject"`
	Aliases []string  `json:"aliases,omitempty"`
	Links   []jrdLink `json:"links"`
}

type jrdLink struct {
	Rel      string `json:"rel"`
	Type     string `json:"type,omitempty"`
	Href     string `json:"href,omitempty"`
	Template string `json:"template,omitempty"`
}

// SplitAcct reads user@host, @user@host or acct:user@host; the host comes back in lower-case ASCII.
func SplitAcct(acct string) (user, host string, err error) {
	s := strings.TrimPrefix(strings.TrimPrefix(acct, "acct:"), "@")
	user, host, ok := strings.Cut(s, "@")
	if !ok || user == "" || host == "" || len(s) > 512 || strings.ContainsAny(s, "/?#\\ \t\r\n") || strings.Contains(host, "@") {
		return "", "", fmt.Errorf("not an account address: %.80q", acct)
	}
	name, port, hasPort := strings.Cut(host, ":")
	if name, err = idna.Lookup.ToASCII(name); err != nil {
		return "", "", fmt.Errorf("not an account address: %.80q", acct)
	}
	if hasPort {
		name += ":" + port
	}
	return user, strings.ToLower(name), nil
}

// WebFinger implements Fetcher. An actor on another host than the account's must be confirmed by its own host.
func (c *Client) WebFinger(ctx context.Context, acct string) (identity.ActorID, error) {
	user, host, err := SplitAcct(acct)
	if err != nil {
		return "", err
	}
	j, err := c.finger(ctx, host, "acct:"+user+"@"+host)
	if err != nil {
		return "", fmt.Errorf("WebFinger: %w", err)
	}
	id, err := identity.ParseActorID(j.self())
	if err != nil {
		return "", fmt.Errorf("WebFinger: %w: no self link", ErrDocument)
	}
	if strings.EqualFold(id.Host(), host) {
		return id, nil
	}
	return id, c.confirm(ctx, id, user, host)
}

// confirm asks the actor's own host whether it, too, says that the actor is user@host.
func (c *Client) confirm(ctx context.Context, id identity.ActorID, user, host string) error {
	j, err := c.finger(ctx, id.Host(), string(id))
	if err != nil {
		if j, err = c.finger(ctx, id.Host(), "acct:"+user+"@"+id.Host()); err != nil {
			return fmt.Errorf("WebFinger of the actor's host: %w", err)
		}
	}
	u, h, err := SplitAcct(j.Subject)
	if err != nil || j.self() != string(id) || !strings.EqualFold(h, host) && !strings.EqualFold(h, id.Host()) || !strings.EqualFold(u, user) {
		return fmt.Errorf("WebFinger: %w: the two hosts disagree", ErrDocument)
	}
	return nil
}

func (j *jrd) self() string {
	for _, l := range j.Links {
		if l.Rel == "self" && isActivityType(l.Type) {
			return l.Href
		}
	}
	return ""
}

// finger asks one host, over plain http only if our own actors are on it, too (demo and tests).
func (c *Client) finger(ctx context.Context, host, resource string) (*jrd, error) {
	scheme := "https"
	if strings.HasPrefix(string(c.o.Instance), "http:") {
		scheme = "http"
	}
	j, err := c.jrd(ctx, scheme+"://"+host+"/.well-known/webfinger?resource="+url.QueryEscape(resource))
	if !errors.Is(err, ErrMissing) {
		return j, err
	}
	template, err2 := c.hostMeta(ctx, scheme+"://"+host+"/.well-known/host-meta")
	if err2 != nil {
		return nil, err
	}
	return c.jrd(ctx, strings.ReplaceAll(template, "{uri}", url.QueryEscape(resource)))
}

func (c *Client) jrd(ctx context.Context, target string) (*jrd, error) {
	raw, err := c.plainGet(ctx, target, "application/jrd+json, application/json")
	if err != nil {
		return nil, err
	}
	if _, err := parseDocument(raw); err != nil {
		return nil, err
	}
	var j jrd
	if err := json.Unmarshal(raw, &j); err != nil {
		return nil, fmt.Errorf("%w: not a JRD", ErrDocument)
	}
	return &j, nil
}

func (c *Client) hostMeta(ctx context.Context, target string) (string, error) {
	raw, err := c.plainGet(ctx, target, "application/xrd+xml")
	if err != nil {
		return "", err
	}
	var x struct {
		Links []struct {
			Rel      string `xml:"rel,attr"`
			Template string `xml:"template,attr"`
		} `xml:"Link"`
	}
	if err := xml.Unmarshal(raw, &x); err != nil {
		return "", fmt.Errorf("%w: host-meta", ErrDocument)
	}
	for _, l := range x.Links {
		if l.Rel == "lrdd" && strings.Contains(l.Template, "{uri}") {
			return l.Template, nil
		}
	}
	return "", fmt.Errorf("%w: host-meta has no lrdd", ErrDocument)
}

// plainGet fetches unsigned with the guard's own redirect rules.
func (c *Client) plainGet(ctx context.Context, target, accept string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	req.Header.Set("Accept", accept)
	if c.o.UserAgent != "" {
		req.Header.Set("User-Agent", c.o.UserAgent)
	}
	resp, err := c.o.HTTP.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTemporary, err)
	}
	defer drain(resp)
	if err := statusError(resp.StatusCode); err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil || len(raw) > maxDocument {
		return nil, fmt.Errorf("%w: body", ErrDocument)
	}
	return raw, nil
}
