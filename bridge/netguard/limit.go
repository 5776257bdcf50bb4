package netguard

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxRatio is the tightest packing believed; slack is what may be unpacked before the ratio is looked at.
const (
	maxRatio = 100
	slack    = 64 << 10
)

// limited is the transport of Guard.Client: it checks the URL, asks for gzip and bounds what comes back.
type limited struct {
	guard *Guard
	limit int64
}

func (l *limited) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := l.guard.CheckURL(req.URL); err != nil {
		closeBody(req)
		return nil, err
	}
	if l.guard.o.UserAgent != "" && req.Header.Get("User-Agent") == "" || req.Header.Get("Accept-Encoding") == "" {
		req = req.Clone(req.Context()) // a RoundTripper must not change its caller's request
		if req.Header.Get("User-Agent") == "" && l.guard.o.UserAgent != "" {
			req.Header.Set("User-Agent", l.guard.o.UserAgent)
		}
		if req.Header.Get("Accept-Encoding") == "" && req.Header.Get("Range") == "" {
			req.Header.Set("Accept-Encoding", "gzip")
		}
	}
	resp, err := l.guard.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	return l.bound(resp)
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // the request is refused; nobody reads it
	}
}

func (l *limited) bound(resp *http.Response) (*http.Response, error) {
	if resp.ContentLength > l.limit {
		_ = resp.Body.Close() // refused unread
		return nil, fmt.Errorf("%w: %d bytes announced, limit %d", ErrTooLarge, resp.ContentLength, l.limit)
	}
	switch enc := strings.ToLower(resp.Header.Get("Content-Encoding")); enc {
	case "", "identity":
		resp.Body = &bounded{r: resp.Body, c: resp.Body, left: l.limit}
	case "gzip":
		packed := &counter{r: io.LimitReader(resp.Body, l.limit+1)}
		resp.Body = &bounded{r: &unpacker{packed: packed}, c: resp.Body, left: l.limit}
		resp.Header.Del("Content-Encoding")
		resp.Header.Del("Content-Length")
		resp.ContentLength, resp.Uncompressed = -1, true
	default:
		_ = resp.Body.Close() // refused unread
		return nil, fmt.Errorf("content encoding %.20q was not asked for", enc)
	}
	return resp, nil
}

// bounded ends with ErrTooLarge instead of silently cutting off.
type bounded struct {
	r    io.Reader
	c    io.Closer
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if int64(n) > b.left {
		n = int(b.left)
		b.left = 0
		return n, ErrTooLarge
	}
	b.left -= int64(n)
	return n, err
}

func (b *bounded) Close() error { return b.c.Close() }

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// unpacker reads gzip, started late so that a response without a body is no error, and gives up on bombs.
type unpacker struct {
	packed *counter
	zip    *gzip.Reader
	out    int64
}

func (u *unpacker) Read(p []byte) (int, error) {
	if u.zip == nil {
		z, err := gzip.NewReader(u.packed)
		if err != nil {
			return 0, err
		}
		u.zip = z
	}
	n, err := u.zip.Read(p)
	u.out += int64(n)
	if u.out > slack && u.out > maxRatio*u.packed.n {
		return 0, fmt.Errorf("%w: packed more than %d:1", ErrTooLarge, maxRatio)
	}
	return n, err
}
