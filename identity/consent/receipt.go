package consent

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"footbridge/identity"
)

// Receipt is what a person gets after every consent event (R11): words for a message and a file that can be verified
// without us.
type Receipt struct {
	Words string
	// JSON is the file, in canonical form: every byte of it counts.
	JSON []byte
	// Leave is the link that withdraws without signing in; empty where there is nothing to withdraw.
	Leave string
}

// receiptFile is modelled on the consent records of ISO/IEC TS 27560 and the Kantara consent receipt.
type receiptFile struct {
	Receipt   receiptBody  `json:"receipt"`
	Proof     receiptProof `json:"proof"`
	Signature string       `json:"signature"`
}

type receiptBody struct {
	SchemaVersion string           `json:"schema_version"`
	ReceiptID     string           `json:"receipt_id"`
	Principal     identity.Subject `json:"pii_principal_id"`
	Controller    receiptParty     `json:"pii_controller"`
	Notice        receiptNotice    `json:"privacy_notice"`
	Event         receiptEvent     `json:"event"`
	Purposes      []receiptPurpose `json:"purposes"`
	Recipients    string           `json:"recipients"`
	Withdrawal    string           `json:"withdrawal_method"`
	Language      string           `json:"language"`
	Words         string           `json:"words"`
}

type receiptParty struct {
	Name    string `json:"name"`
	Runner  string `json:"runner"`
	Domain  string `json:"domain"`
	Contact string `json:"contact"`
}

type receiptNotice struct {
	SHA256   string `json:"sha256"`
	Language string `json:"language"`
	Text     string `json:"text"`
	Policy   int64  `json:"policy_version"`
}

type receiptEvent struct {
	Type     Event     `json:"event_type"`
	State    State     `json:"event_state"`
	Time     string    `json:"event_time"`
	Valid    string    `json:"valid_until"`
	Evidence LeafProof `json:"evidence"`
	Options  Options   `json:"options"`
}

type receiptPurpose struct {
	Scope Scope  `json:"scope"`
	Words string `json:"words"`
}

// receiptProof shows that the entry is in the ledger: with leaf and salt the record hash, with the path the root, with the
// checkpoint our signature on it.
type receiptProof struct {
	Index      int64    `json:"ledger_index"`
	Leaf       string   `json:"leaf"`
	Salt       string   `json:"salt"`
	Path       []string `json:"inclusion_path"`
	Checkpoint string   `json:"checkpoint"`
}

const receiptSchema = "footbridge-consent-receipt-1"

// Receipt makes the receipt of the subject's last entry. It makes a fresh withdrawal link, so it needs a transaction that
// may write.
func (d *Desk) Receipt(tx Tx, s identity.Subject) (Receipt, error) {
	r, err := d.load(tx, s)
	if err != nil {
		return Receipt{}, err
	}
	if r.Ledger < 0 {
		return Receipt{}, deny(stateReason(r))
	}
	entries, err := tx.LedgerEntries(r.Ledger, 1)
	if err != nil {
		return Receipt{}, err
	}
	if len(entries) != 1 || entries[0].Leaf == nil {
		return Receipt{}, fmt.Errorf("making a receipt: %w", ErrNone)
	}
	l, err := parseLeaf(entries[0].Leaf)
	if err != nil {
		return Receipt{}, err
	}
	leave, err := d.leaveLink(tx, r)
	if err != nil {
		return Receipt{}, err
	}
	return d.writeReceipt(tx, r, l, entries[0], leave)
}

func (d *Desk) leaveLink(tx Tx, r *Row) (string, error) {
	if d.c.Operator.LeaveURL == "" || r.State != Granted && r.State != Paused && r.State != Pending && r.State != Moved {
		return "", nil
	}
	token, err := d.Link(tx, r.Subject, LinkWithdraw, linkLife)
	if err != nil {
		return "", err
	}
	return d.c.Operator.LeaveURL + token, nil
}

func (d *Desk) writeReceipt(tx Tx, r *Row, l *Leaf, e *Entry, leave string) (Receipt, error) {
	body, err := d.receiptBody(tx, r, l, e.Index, leave)
	if err != nil {
		return Receipt{}, err
	}
	proof, err := d.prove(tx, e)
	if err != nil {
		return Receipt{}, err
	}
	file := receiptFile{Receipt: body, Proof: proof}
	signed, err := canonical(file)
	if err != nil {
		return Receipt{}, err
	}
	sig, err := d.c.Signer.Sign(signed)
	if err != nil {
		return Receipt{}, fmt.Errorf("signing a receipt: %w", err)
	}
	file.Signature = base64.StdEncoding.EncodeToString(sig)
	out, err := canonical(file)
	return Receipt{Words: body.Words, JSON: out, Leave: leave}, err
}

func (d *Desk) receiptBody(tx Tx, r *Row, l *Leaf, index int64, leave string) (receiptBody, error) {
	o, lang := d.c.Operator, r.Lang
	text, err := shownText(tx, l.Text)
	if err != nil {
		return receiptBody{}, err
	}
	b := receiptBody{SchemaVersion: receiptSchema, ReceiptID: d.c.Signer.Name() + "/" + strconv.FormatInt(index, 10), Principal: r.Subject,
		Controller: receiptParty{Name: o.Name, Runner: o.Runner, Domain: o.Domain, Contact: o.Contact},
		Notice:     receiptNotice{SHA256: l.Text.SHA256, Language: l.Text.Lang, Text: text, Policy: l.Policy},
		Event:      receiptEvent{Type: l.Event, State: l.State, Time: l.Time, Valid: l.Expires, Evidence: l.Evidence, Options: l.Options},
		Recipients: d.texts.Say(lang, whereID(r.Subject), nil), Language: d.texts.Match(lang).Lang, Withdrawal: leave}
	for _, sc := range l.Scopes {
		b.Purposes = append(b.Purposes, receiptPurpose{sc, d.texts.Say(lang, "scope."+string(sc), nil)})
	}
	b.Words = d.receiptWords(l, lang, index, leave)
	return b, nil
}

func shownText(tx Tx, t LeafText) (string, error) {
	if t.SHA256 == "" {
		return "", nil
	}
	_, text, err := tx.ConsentText(t.SHA256)
	if err != nil {
		return "", fmt.Errorf("reading the text that was shown: %w", err)
	}
	return text, nil
}

func (d *Desk) receiptWords(l *Leaf, lang string, index int64, leave string) string {
	t, o := d.texts, d.c.Operator
	v := map[string]string{"name": o.Name, "runner": o.Runner, "contact": o.Contact, "page": o.PageURL, "leave": leave,
		"time": minutes(l.Time), "event": t.Say(lang, "receipt.event."+string(l.Event), nil), "scopes": t.ScopeWords(lang, l.Scopes),
		"text": orDash(l.Text.SHA256[:min(12, len(l.Text.SHA256))]), "lang": orDash(l.Text.Lang), "index": strconv.FormatInt(index, 10),
		"evidence": t.Say(lang, "receipt.evidence."+string(l.Evidence.Type), nil), "expires": t.Say(lang, "receipt.never", nil)}
	if l.Expires != "" {
		v["expires"] = l.Expires[:len("2006-01-02")]
	}
	if leave == "" {
		v["leave"] = o.PageURL
	}
	return t.Say(lang, "receipt.words", v)
}

// minutes shortens 2026-03-01T12:00:00.000000Z for people.
func minutes(stamp string) string {
	t, err := unstamp(stamp)
	if err != nil {
		return stamp
	}
	return t.Format("2006-01-02 15:04 UTC")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// prove makes the inclusion proof against a fresh checkpoint.
func (d *Desk) prove(tx Tx, e *Entry) (receiptProof, error) {
	n, err := tx.LedgerSize()
	if err != nil {
		return receiptProof{}, err
	}
	path, err := tlog.ProveRecord(n, e.Index, hashReader{tx})
	if err != nil {
		return receiptProof{}, fmt.Errorf("proving a ledger entry: %w", err)
	}
	cp, err := d.Checkpoint(tx)
	if err != nil {
		return receiptProof{}, err
	}
	p := receiptProof{Index: e.Index, Leaf: string(e.Leaf), Salt: base64.StdEncoding.EncodeToString(e.Salt), Path: []string{}, Checkpoint: cp}
	for _, h := range path {
		p.Path = append(p.Path, h.String())
	}
	return p, nil
}

// Checkpoint signs the tree as it is now.
func (d *Desk) Checkpoint(tx Tx) (string, error) {
	n, err := tx.LedgerSize()
	if err != nil {
		return "", err
	}
	return d.ledger.checkpoint(tx, n)
}

// PublishedCheckpoint is the one for everybody: of the largest power of two that the ledger has reached, so that it tells
// neither when somebody joined nor how many (R22). It is empty for an empty ledger.
func (d *Desk) PublishedCheckpoint(tx Tx) (string, error) {
	n, err := tx.LedgerSize()
	if err != nil || n == 0 {
		return "", err
	}
	size := int64(1)
	for size*2 <= n {
		size *= 2
	}
	return d.ledger.checkpoint(tx, size)
}

// canonical is the canonical form of a document, and a line feed.
func canonical(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	b, err = canonicalJSON(b)
	return append(b, '\n'), err
}
