package atproto

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bluesky-social/indigo/atproto/atdata"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"
)

// Size limits of what is fetched.
const (
	maxJSON = 4 << 20
	maxRepo = 256 << 20
)

// Client makes public XRPC calls: to the PDS of an author, found through the resolver, and to relays. It holds no login.
type Client struct {
	resolver *Resolver
	http     *http.Client
	now      func() time.Time
	agent    string
}

// NewClient returns a client that dials with the resolver's HTTP client.
func NewClient(r *Resolver) *Client {
	return &Client{resolver: r, http: r.o.Client, now: r.o.Now, agent: r.o.UserAgent}
}

// XRPCError is an error answer of a server.
type XRPCError struct {
	Status  int
	Name    string
	Message string
	// RetryAfter is what the server asks for; zero if it does not say.
	RetryAfter time.Duration
}

func (e *XRPCError) Error() string {
	return fmt.Sprintf("xrpc: status %d: %.64s: %.200s", e.Status, e.Name, e.Message)
}

// Is makes errors that mean that there is no such thing match ErrNotFound.
func (e *XRPCError) Is(target error) bool {
	if target != ErrNotFound {
		return false
	}
	switch e.Name {
	case "RecordNotFound", "RepoNotFound", "BlobNotFound", "HostNotFound", "NotFound":
		return true
	}
	return e.Status == http.StatusNotFound
}

// query calls a query method of a service and returns the body.
func (c *Client) query(ctx context.Context, base, method string, params url.Values, limit int64) ([]byte, http.Header, error) {
	link := base + "/xrpc/" + method
	if len(params) > 0 {
		link += "?" + params.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("calling %s: %w", method, err)
	}
	return c.do(req, method, limit)
}

// procedure calls a procedure with a JSON body; auth may be empty.
func (c *Client) procedure(ctx context.Context, base, method, auth string, body any) ([]byte, error) {
	raw, err := marshalJSON(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/xrpc/"+method, bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("calling %s: %w", method, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if auth != "" {
		req.Header.Set("Authorization", "Bearer "+auth)
	}
	out, _, err := c.do(req, method, maxJSON)
	return out, err
}

func (c *Client) do(req *http.Request, method string, limit int64) ([]byte, http.Header, error) {
	if c.agent != "" {
		req.Header.Set("User-Agent", c.agent)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("calling %s: %w", method, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("calling %s: %w", method, readXRPCError(resp, c.now()))
	}
	body, err := readLimited(resp.Body, limit)
	if err != nil {
		return nil, nil, fmt.Errorf("calling %s: %w", method, err)
	}
	return body, resp.Header, nil
}

func readXRPCError(resp *http.Response, now time.Time) *XRPCError {
	e := &XRPCError{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, now)}
	body, err := readLimited(resp.Body, 64<<10)
	if err != nil {
		return e
	}
	var parsed struct{ Error, Message string }
	if json.Unmarshal(body, &parsed) == nil {
		e.Name, e.Message = parsed.Error, parsed.Message
	}
	return e
}

// retryAfter understands Retry-After in seconds or as a date, and the ratelimit-reset header of the reference servers.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n >= 0 {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil && t.After(now) {
		return t.Sub(now)
	}
	if n, err := strconv.ParseInt(h.Get("RateLimit-Reset"), 10, 64); err == nil && h.Get("RateLimit-Remaining") == "0" {
		return max(0, time.Unix(n, 0).Sub(now))
	}
	return 0
}

// Record is one record as its author's PDS serves it.
type Record struct {
	URI   syntax.ATURI
	CID   string
	Value json.RawMessage
}

// pds finds the base URL of the PDS of a DID.
func (c *Client) pds(ctx context.Context, did syntax.DID) (string, error) {
	id, err := c.resolver.ResolveDID(ctx, did)
	if err != nil {
		return "", err
	}
	if id.PDS == "" {
		return "", fmt.Errorf("the DID has no PDS: %w", ErrNotFound)
	}
	return id.PDS, nil
}

func (c *Client) didOf(ctx context.Context, uri syntax.ATURI) (syntax.DID, error) {
	parsed, err := syntax.ParseATURI(string(uri))
	if err != nil {
		return "", fmt.Errorf("parsing an at-uri: %w", err)
	}
	uri = parsed
	if did, err := uri.Authority().AsDID(); err == nil {
		return did, nil
	}
	h, err := uri.Authority().AsHandle()
	if err != nil {
		return "", fmt.Errorf("authority of an at-uri: %w", err)
	}
	return c.resolver.ResolveHandle(ctx, h)
}

// GetRecord fetches a record from its author's PDS. The value is checked against the CID that the PDS says; that it is
// in the signed repo is checked by GetRecordProof.
func (c *Client) GetRecord(ctx context.Context, uri syntax.ATURI) (*Record, error) {
	did, err := c.didOf(ctx, uri)
	if err != nil {
		return nil, err
	}
	base, err := c.pds(ctx, did)
	if err != nil {
		return nil, err
	}
	q := url.Values{"repo": {string(did)}, "collection": {string(uri.Collection())}, "rkey": {string(uri.RecordKey())}}
	body, _, err := c.query(ctx, base, "com.atproto.repo.getRecord", q, maxJSON)
	if err != nil {
		return nil, err
	}
	var out struct {
		URI, CID string
		Value    json.RawMessage
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return nil, fmt.Errorf("parsing a record: %w", err)
	}
	if err := checkRecordCID(out.Value, out.CID); err != nil {
		return nil, err
	}
	return &Record{URI: recordURI(did, uri.Collection(), uri.RecordKey()), CID: out.CID, Value: out.Value}, nil
}

func recordURI(did syntax.DID, collection syntax.NSID, rkey syntax.RecordKey) syntax.ATURI {
	return syntax.ATURI("at://" + string(did) + "/" + string(collection) + "/" + string(rkey))
}

// checkRecordCID encodes the JSON as DAG-CBOR and compares the hash.
func checkRecordCID(value json.RawMessage, want string) (err error) {
	defer forgedOnPanic(&err)
	if len(value) > 2*maxRecord {
		return errors.New("record too long")
	}
	data, err := atdata.UnmarshalJSON(value)
	if err != nil {
		return fmt.Errorf("parsing a record: %w", err)
	}
	block, err := atdata.MarshalCBOR(data)
	if err != nil {
		return fmt.Errorf("encoding a record: %w", err)
	}
	id, err := RecordCID(block)
	if err != nil {
		return err
	}
	if id.String() != want {
		return fmt.Errorf("%w: the record does not hash to its CID", ErrForged)
	}
	return nil
}

// ListRecords lists one page of a collection; the cursor is empty at the end. Values are as the PDS says.
func (c *Client) ListRecords(ctx context.Context, did syntax.DID, collection syntax.NSID, cursor string, limit int) ([]Record, string, error) {
	base, err := c.pds(ctx, did)
	if err != nil {
		return nil, "", err
	}
	q := url.Values{"repo": {string(did)}, "collection": {string(collection)}, "limit": {strconv.Itoa(min(max(limit, 1), 100))}}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	body, _, err := c.query(ctx, base, "com.atproto.repo.listRecords", q, 32<<20)
	if err != nil {
		return nil, "", err
	}
	var out struct {
		Cursor  string
		Records []struct {
			URI, CID string
			Value    json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return nil, "", fmt.Errorf("parsing a list of records: %w", err)
	}
	var records []Record
	prefix := "at://" + string(did) + "/" + string(collection) + "/"
	for _, r := range out.Records {
		if _, err := syntax.ParseATURI(r.URI); err == nil && strings.HasPrefix(r.URI, prefix) {
			records = append(records, Record{URI: syntax.ATURI(r.URI), CID: r.CID, Value: r.Value})
		}
	}
	if len(out.Records) == 0 || out.Cursor == cursor {
		out.Cursor = ""
	}
	return records, out.Cursor, nil
}

// GetBlob fetches a blob, at most limit bytes, and checks it against its CID. It returns the content type that the PDS says.
func (c *Client) GetBlob(ctx context.Context, did syntax.DID, id string, limit int64) ([]byte, string, error) {
	want, err := cid.Decode(id)
	if err != nil {
		return nil, "", fmt.Errorf("parsing a blob's CID: %w", err)
	}
	base, err := c.pds(ctx, did)
	if err != nil {
		return nil, "", err
	}
	body, header, err := c.query(ctx, base, "com.atproto.sync.getBlob", url.Values{"did": {string(did)}, "cid": {id}}, limit)
	if err != nil {
		return nil, "", err
	}
	if err := CheckCID(want, body); err != nil {
		return nil, "", err
	}
	return body, header.Get("Content-Type"), nil
}
