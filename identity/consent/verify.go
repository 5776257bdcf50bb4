package consent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"footbridge/identity"
)

// ErrReceipt says that a receipt does not hold.
var ErrReceipt = errors.New("the receipt is not valid")

func badReceipt(why string) error { return fmt.Errorf("%w: %s", ErrReceipt, why) }

// Verified is what a valid receipt says.
type Verified struct {
	Subject identity.Subject
	Event   Event
	State   State
	Time    string
	Scopes  []Scope
	Expires string
	Index   int64
	Size    int64
	Name    string // of the ledger
	Words   string
}

// VerifyReceipt checks a receipt offline, against the bridge's published verifier key: our signature over every byte of
// it, the entry's place in the ledger, and that the receipt says what the entry says.
func VerifyReceipt(file []byte, verifierKey string) (Verified, error) {
	v, err := note.NewVerifier(verifierKey)
	if err != nil {
		return Verified{}, fmt.Errorf("reading the verifier key: %w", err)
	}
	f, err := parseReceipt(file)
	if err != nil {
		return Verified{}, err
	}
	if err := f.verifySignature(v); err != nil {
		return Verified{}, err
	}
	size, err := f.Proof.verify(v)
	if err != nil {
		return Verified{}, err
	}
	l, err := parseLeaf([]byte(f.Proof.Leaf))
	if err != nil {
		return Verified{}, badReceipt(err.Error())
	}
	if err := f.Receipt.matches(l); err != nil {
		return Verified{}, err
	}
	return Verified{Subject: f.Receipt.Principal, Event: l.Event, State: l.State, Time: l.Time, Scopes: l.Scopes, Expires: l.Expires,
		Index: f.Proof.Index, Size: size, Name: v.Name(), Words: f.Receipt.Words}, nil
}

// maxReceipt bounds a file that somebody uploads.
const maxReceipt = 256 << 10

func parseReceipt(file []byte) (*receiptFile, error) {
	if len(file) > maxReceipt {
		return nil, badReceipt("too large")
	}
	var f receiptFile
	dec := json.NewDecoder(bytes.NewReader(file))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, badReceipt("not a receipt")
	}
	again, err := canonical(f)
	if err != nil {
		return nil, badReceipt("not a receipt")
	}
	if !bytes.Equal(again, file) {
		return nil, badReceipt("not in the form it was given out in")
	}
	if f.Receipt.SchemaVersion != receiptSchema {
		return nil, badReceipt("of another version")
	}
	return &f, nil
}

func (f *receiptFile) verifySignature(v note.Verifier) error {
	sig, err := base64.StdEncoding.Strict().DecodeString(f.Signature)
	if err != nil {
		return badReceipt("the signature cannot be read")
	}
	unsigned := *f
	unsigned.Signature = ""
	signed, err := canonical(unsigned)
	if err != nil || !v.Verify(signed, sig) {
		return badReceipt("the signature is wrong")
	}
	return nil
}

func (p *receiptProof) verify(v note.Verifier) (size int64, err error) {
	tree, err := openCheckpoint(p.Checkpoint, v)
	if err != nil {
		return 0, badReceipt(err.Error())
	}
	salt, err := base64.StdEncoding.Strict().DecodeString(p.Salt)
	if err != nil || len(salt) != saltSize {
		return 0, badReceipt("the salt cannot be read")
	}
	var path tlog.RecordProof
	for _, s := range p.Path {
		h, err := tlog.ParseHash(s)
		if err != nil {
			return 0, badReceipt("the path cannot be read")
		}
		path = append(path, h)
	}
	if p.Index < 0 || p.Index >= tree.N {
		return 0, badReceipt("the entry is outside the ledger")
	}
	if tlog.CheckRecord(path, tree.N, tree.Hash, p.Index, tlog.RecordHash(record(salt, []byte(p.Leaf)))) != nil {
		return 0, badReceipt("the entry is not in the ledger")
	}
	return tree.N, nil
}

// matches compares what the receipt says with the entry.
func (b *receiptBody) matches(l *Leaf) error {
	var scopes []string
	for _, p := range b.Purposes {
		scopes = append(scopes, string(p.Scope))
	}
	var said []string
	for _, s := range l.Scopes {
		said = append(said, string(s))
	}
	same := b.Event.Type == l.Event && b.Event.State == l.State && b.Event.Time == l.Time && b.Event.Valid == l.Expires &&
		b.Event.Evidence == l.Evidence && b.Notice.SHA256 == l.Text.SHA256 && b.Notice.Language == l.Text.Lang &&
		b.Notice.Policy == l.Policy && strings.Join(scopes, " ") == strings.Join(said, " ")
	if !same {
		return badReceipt("it says something else than the entry")
	}
	if b.Notice.SHA256 != "" && hexSum([]byte(b.Notice.Text)) != b.Notice.SHA256 {
		return badReceipt("the text is not the one that was shown")
	}
	return nil
}
