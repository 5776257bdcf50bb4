package consent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Event is what a ledger entry records.
type Event string

// The events. Every one but contact, invite and policy is somebody's decision.
const (
	EventContact  Event = "contact"
	EventInvite   Event = "invite"
	EventRefuse   Event = "refuse"
	EventGrant    Event = "grant"
	EventNarrow   Event = "narrow"
	EventSignals  Event = "signals"
	EventPause    Event = "pause"
	EventResume   Event = "resume"
	EventWithdraw Event = "withdraw"
	EventErase    Event = "erase"
	EventDeny     Event = "deny"
	EventLift     Event = "lift"
	EventMove     Event = "move"
	EventPolicy   Event = "policy"
)

// Leaf is one entry in clear. It says everything that the state after it depends on, so that the state is the fold of
// the leaves; it names nobody but by pseudonym.
type Leaf struct {
	V           int64     `json:"v"`
	Time        string    `json:"t"`
	Who         Pseudonym `json:"subj"`
	Event       Event     `json:"ev"`
	State       State     `json:"state"`
	Reason      Reason    `json:"reason,omitempty"`
	Scopes      []Scope   `json:"scopes,omitempty"`
	Options     Options   `json:"options,omitempty"`
	Needs       []Scope   `json:"needs,omitempty"`
	Forbid      []Scope   `json:"forbid,omitempty"`
	Evidence    LeafProof `json:"evidence,omitzero"`
	Text        LeafText  `json:"text,omitzero"`
	Policy      int64     `json:"policy"`
	Actor       string    `json:"actor"`
	Prev        int64     `json:"prev"`
	Incarnation int64     `json:"incarnation"`
	Expires     string    `json:"expires,omitempty"`
	EraseAt     string    `json:"erase_at,omitempty"`
}

// LeafProof is the kind and hash of the evidence.
type LeafProof struct {
	Type   EvidenceType `json:"type,omitempty"`
	SHA256 string       `json:"sha256,omitempty"`
}

// LeafText is the version of the notice that was shown.
type LeafText struct {
	SHA256 string `json:"sha256,omitempty"`
	Lang   string `json:"lang,omitempty"`
}

// Bytes is the canonical form (RFC 8785) that is hashed.
func (l *Leaf) Bytes() ([]byte, error) {
	b, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("encoding a ledger entry: %w", err)
	}
	return canonicalJSON(b)
}

// parseLeaf reads a leaf and insists on the canonical form, so that equal leaves are equal bytes.
func parseLeaf(b []byte) (*Leaf, error) {
	var l Leaf
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return nil, fmt.Errorf("reading a ledger entry: %w", err)
	}
	again, err := l.Bytes()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		return nil, fmt.Errorf("reading a ledger entry: not in canonical form")
	}
	return &l, nil
}

// canonicalJSON rewrites JSON by RFC 8785. Our documents have no fractions, and keys of ASCII only, for which the order
// of bytes is the order of UTF-16 units.
func canonicalJSON(b []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("canonical form: %w", err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("canonical form: %w", err)
	}
	s := strings.TrimSuffix(out.String(), "\n")
	// encoding/json escapes these two although JSON does not ask for it.
	s = unescapeSeparator(s, `\u2028`, "\u2028")
	return []byte(unescapeSeparator(s, `\u2029`, "\u2029")), nil
}

// unescapeSeparator replaces an escape that is not itself escaped.
func unescapeSeparator(s, escape, char string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, escape)
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		slashes := 0
		for j := i - 1; j >= 0 && s[j] == '\\'; j-- {
			slashes++
		}
		b.WriteString(s[:i])
		if slashes%2 == 0 {
			b.WriteString(char)
		} else {
			b.WriteString(escape)
		}
		s = s[i+len(escape):]
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000Z")
}

func unstamp(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse("2006-01-02T15:04:05.000000Z", s)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading a time: %w", err)
	}
	return t, nil
}
