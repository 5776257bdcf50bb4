package activitypub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"footbridge/identity/consent"
)

// Deliver implements Deliverer: it checks the permit last of all, signs, and posts once (twice where the signature
// scheme is refused). Redirects are not followed.
func (c *Client) Deliver(ctx context.Context, permit consent.Permit, d Delivery) error {
	if err := permit.Check(c.o.Now(), consent.Publish, consent.Service, consent.Erase); err != nil {
		return &DeliveryError{Permanent: true, Err: err}
	}
	return c.post(ctx, d)
}

func (c *Client) post(ctx context.Context, d Delivery) error {
	u, err := url.Parse(d.Inbox)
	if err != nil || u.Host == "" {
		return &DeliveryError{Permanent: true, Err: errors.New("the inbox is not a URL")}
	}
	if c.o.Blocked != nil && c.o.Blocked(ctx, u.Host) {
		return &DeliveryError{Permanent: true, Err: errors.New("the host is blocked")}
	}
	resp, err := c.knock(ctx, u.Host, d.From, func() (*http.Request, error) {
		return newPost(ctx, d)
	}, d.Body)
	if err != nil {
		return &DeliveryError{Err: err, Permanent: errors.Is(err, ErrDocument)}
	}
	defer drain(resp)
	return c.judge(resp)
}

func newPost(ctx context.Context, d Delivery) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Inbox, bytes.NewReader(d.Body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", activityJSON)
	req.Header.Set("Accept", activityJSON+", "+ldJSON)
	for name, value := range d.Header {
		req.Header.Set(name, value)
	}
	return req, nil
}

// judge reads the answer: 404 and 410 prune, 401, 408, 429 and 5xx but 501 may get better, other ones will not.
func (c *Client) judge(resp *http.Response) error {
	s := resp.StatusCode
	if s >= 200 && s < 300 {
		return nil
	}
	e := &DeliveryError{Status: s, Err: fmt.Errorf("status %d", s)}
	switch {
	case s == http.StatusNotFound || s == http.StatusGone:
		e.Gone = true
	case s == http.StatusUnauthorized || s == http.StatusRequestTimeout:
	case s == http.StatusTooManyRequests || s == http.StatusServiceUnavailable:
		e.RetryAfter = retryAfter(resp.Header, c.o.Now())
	case s >= 500 && s != http.StatusNotImplemented:
	default:
		e.Permanent = true
	}
	return e
}
