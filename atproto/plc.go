package atproto

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"footbridge/identity/consent"
	"net/http"
	"strings"

	"github.com/bluesky-social/indigo/atproto/syntax"
)

// maxPLCOp is the size the directory accepts (https://web.plc.directory/spec/v0.1/did-plc).
const maxPLCOp = 7500

// PLC talks to a PLC directory. Operations are built and signed by package identity.
type PLC struct {
	base string
	c    *Client
}

// NewPLC returns a client of the directory at base.
func NewPLC(base string, r *Resolver) *PLC {
	return &PLC{base: strings.TrimSuffix(base, "/"), c: NewClient(r)}
}

// Submit sends a signed operation, as JSON, for a DID. Sending the same operation again is an error at the directory, so
// after a doubtful failure ask Log whether it is there. The resolver forgets the DID.
func (p *PLC) Submit(ctx context.Context, permit consent.Permit, did syntax.DID, op json.RawMessage) error {
	if err := permit.Check(p.c.now(), consent.Publish, consent.Service, consent.Erase); err != nil {
		return fmt.Errorf("submitting a PLC operation: %w", err)
	}
	if len(op) > maxPLCOp {
		return fmt.Errorf("submitting a PLC operation: longer than %d bytes", maxPLCOp)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+"/"+string(did), bytes.NewReader(op))
	if err != nil {
		return fmt.Errorf("submitting a PLC operation: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if _, _, err = p.c.do(req, "the PLC directory", maxJSON); err != nil {
		return fmt.Errorf("submitting a PLC operation: %w", err)
	}
	p.c.resolver.Purge(did)
	return nil
}

// Log returns the operations of a DID in order; ErrNotFound if the directory does not know it.
func (p *PLC) Log(ctx context.Context, did syntax.DID) ([]json.RawMessage, error) {
	var out []json.RawMessage
	return out, p.read(ctx, did, "/log", &out)
}

// PLCData is the present state of a DID (GET /<did>/data).
type PLCData struct {
	DID                 string            `json:"did"`
	RotationKeys        []string          `json:"rotationKeys"`
	VerificationMethods map[string]string `json:"verificationMethods"`
	AlsoKnownAs         []string          `json:"alsoKnownAs"`
	Services            map[string]struct {
		Type     string `json:"type"`
		Endpoint string `json:"endpoint"`
	} `json:"services"`
}

// Data returns the present state of a DID.
func (p *PLC) Data(ctx context.Context, did syntax.DID) (*PLCData, error) {
	var out PLCData
	if err := p.read(ctx, did, "/data", &out); err != nil {
		return nil, err
	}
	return &out, nil
}

func (p *PLC) read(ctx context.Context, did syntax.DID, what string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+"/"+string(did)+what, nil)
	if err != nil {
		return fmt.Errorf("reading the PLC directory: %w", err)
	}
	body, _, err := p.c.do(req, "the PLC directory", maxJSON)
	if err != nil {
		return fmt.Errorf("reading the PLC directory: %w", err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("reading the PLC directory: %w", err)
	}
	return nil
}
