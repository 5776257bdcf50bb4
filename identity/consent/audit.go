package consent

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Audit is what an audit found. It names nobody but by the first signs of a pseudonym.
type Audit struct {
	Entries, Shredded, Subjects, Checkpoints int64
	// Root is the signed checkpoint of the tree as it is.
	Checkpoint string
	Problems   []string
}

// auditor compares everything that can be computed from something else.
type auditor struct {
	d        *Desk
	tx       Tx
	verifier note.Verifier
	out      *Audit
	size     int64
	entries  []*Entry
	leaves   []*Leaf // nil where shredded
	chains   map[Pseudonym][]*Entry
	roots    map[int64]tlog.Hash
}

// Audit recomputes the ledger and all that follows from it, and compares it with the checkpoints that were signed, those
// kept here and those that left the machine (R21). An error means that the audit could not be done.
func (d *Desk) Audit(tx Tx, verifierKey string, external ...string) (Audit, error) {
	v, err := note.NewVerifier(verifierKey)
	if err != nil {
		return Audit{}, fmt.Errorf("reading the verifier key: %w", err)
	}
	a := &auditor{d: d, tx: tx, verifier: v, out: &Audit{}, chains: map[Pseudonym][]*Entry{}, roots: map[int64]tlog.Hash{}}
	for _, step := range []func() error{a.readLedger, a.checkTree, a.checkCheckpoints, a.checkStates, a.checkEvidence} {
		if err := step(); err != nil {
			return Audit{}, fmt.Errorf("auditing: %w", err)
		}
	}
	for _, cp := range external {
		a.checkpoint(cp, "an external checkpoint")
	}
	if len(a.out.Problems) == 0 {
		if a.out.Checkpoint, err = d.Checkpoint(tx); err != nil {
			return Audit{}, err
		}
	}
	return *a.out, nil
}

// maxProblems keeps a report readable.
const maxProblems = 1000

func (a *auditor) problem(format string, args ...any) {
	if len(a.out.Problems) < maxProblems {
		a.out.Problems = append(a.out.Problems, fmt.Sprintf(format, args...))
	}
}

const auditPage = 1000

func (a *auditor) readLedger() error {
	size, err := a.tx.LedgerSize()
	if err != nil {
		return err
	}
	a.size, a.out.Entries = size, size
	next := int64(0)
	for {
		page, err := a.tx.LedgerEntries(next, auditPage)
		if err != nil {
			return err
		}
		for _, e := range page {
			if e.Index != next {
				a.problem("entries %d to %d are missing", next, e.Index-1)
				return a.abort()
			}
			a.entry(e)
			next++
		}
		if len(page) < auditPage {
			return nil
		}
	}
}

// abort: with holes in the ledger nothing else can be said.
func (a *auditor) abort() error {
	a.entries, a.leaves, a.size = nil, nil, 0
	return nil
}

func (a *auditor) entry(e *Entry) {
	a.entries = append(a.entries, e)
	if e.Leaf == nil && e.Salt == nil && e.Who == "" {
		a.out.Shredded++
		a.leaves = append(a.leaves, nil)
		return
	}
	l, err := parseLeaf(e.Leaf)
	if err != nil || l.Who != e.Who || len(e.Salt) != saltSize {
		a.problem("entry %d cannot be read, or is filed under another subject", e.Index)
		l = nil
	}
	a.leaves = append(a.leaves, l)
	a.chains[e.Who] = append(a.chains[e.Who], e)
}

// checkTree rebuilds the tree from the record hashes and compares every stored hash.
func (a *auditor) checkTree() error {
	count, err := a.tx.LedgerHashCount()
	if err != nil {
		return err
	}
	if want := tlog.StoredHashCount(a.size); count != want {
		a.problem("there are %d tree hashes, not %d", count, want)
	}
	all := make([]tlog.Hash, 0, count)
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, n := range indexes {
			if n >= int64(len(all)) {
				return nil, errors.New("hash out of order")
			}
			out[i] = all[n]
		}
		return out, nil
	})
	for n := range a.size {
		stored, err := a.tx.LedgerHashes([]int64{tlog.StoredHashIndex(0, n)})
		if err != nil {
			a.problem("the hash of entry %d is missing", n)
			return nil
		}
		rh := stored[0]
		if e := a.entries[n]; e.Leaf != nil && tlog.RecordHash(record(e.Salt, e.Leaf)) != rh {
			a.problem("entry %d was changed", n)
		}
		hashes, err := tlog.StoredHashesForRecordHash(n, rh, reader)
		if err != nil {
			return err
		}
		a.compare(tlog.StoredHashIndex(0, n), hashes)
		all = append(all, hashes...)
		if a.roots[n+1], err = tlog.TreeHash(n+1, reader); err != nil {
			return err
		}
	}
	return nil
}

func (a *auditor) compare(from int64, want []tlog.Hash) {
	indexes := make([]int64, len(want))
	for i := range want {
		indexes[i] = from + int64(i)
	}
	have, err := a.tx.LedgerHashes(indexes)
	if err != nil || !slices.Equal(have, want) {
		a.problem("a tree hash near %d is wrong or missing", from)
	}
}

// checkCheckpoints wants one for every size that the ledger ever had.
func (a *auditor) checkCheckpoints() error {
	next := int64(1)
	for {
		page, err := a.tx.LedgerCheckpoints(next-1, auditPage)
		if err != nil {
			return err
		}
		for _, cp := range page {
			if n := a.checkpoint(cp.Note, "a checkpoint"); n != next || cp.Size != next {
				a.problem("the checkpoint for %d entries is missing or misfiled", next)
			}
			next++
			a.out.Checkpoints++
		}
		if len(page) < auditPage {
			break
		}
	}
	if next != a.size+1 {
		a.problem("there are %d checkpoints for %d entries", next-1, a.size)
	}
	return nil
}

func (a *auditor) checkpoint(cp, what string) int64 {
	tree, err := openCheckpoint(cp, a.verifier)
	if err != nil {
		a.problem("%s is not signed by this ledger", what)
		return -1
	}
	if root, ok := a.roots[tree.N]; tree.N > 0 && (!ok || root != tree.Hash) {
		a.problem("%s of %d entries does not fit: entries were changed or cut off", what, tree.N)
	}
	return tree.N
}

// checkStates folds every chain and compares it with the row or the suppression, both ways.
func (a *auditor) checkStates() error {
	want := map[Pseudonym]*Row{}
	for _, who := range slices.Sorted(maps.Keys(a.chains)) {
		row, err := fold(a.chains[who])
		if err != nil {
			a.problem("subject %s: %v", short(who), err)
			continue
		}
		want[who] = row
	}
	a.out.Subjects = int64(len(want))
	if err := a.checkRows(want); err != nil {
		return err
	}
	if err := a.checkSuppressions(want); err != nil {
		return err
	}
	for who, row := range want {
		a.problem("subject %s is %s in the ledger, but has no row", short(who), row.State)
	}
	return nil
}

func short(who Pseudonym) string { return string(who[:min(8, len(who))]) }

func (a *auditor) checkRows(want map[Pseudonym]*Row) error {
	for after := (*Row)(nil); ; {
		last := Row{}
		if after != nil {
			last = *after
		}
		page, err := a.tx.ConsentRows(last.Subject, auditPage)
		if err != nil {
			return err
		}
		for _, r := range page {
			w, ok := want[r.Who]
			delete(want, r.Who)
			if !ok || a.d.Pseudonym(r.Subject) != r.Who || !sameRow(r, w) {
				a.problem("the state of subject %s is not what the ledger says", short(r.Who))
			}
			after = r
		}
		if len(page) < auditPage {
			return nil
		}
	}
}

func (a *auditor) checkSuppressions(want map[Pseudonym]*Row) error {
	var after Pseudonym
	for {
		page, err := a.tx.ConsentSuppressions(after, auditPage)
		if err != nil {
			return err
		}
		for _, s := range page {
			w, ok := want[s.Who]
			delete(want, s.Who)
			if !ok || w.State != s.State || w.State != Refused && w.State != Erased || w.Reason != s.Reason || w.Ledger != s.Ledger ||
				w.Incarnation != s.Incarnation || !w.Since.Equal(s.At) {
				a.problem("the suppression of subject %s is not what the ledger says", short(s.Who))
			}
			after = s.Who
		}
		if len(page) < auditPage {
			return nil
		}
	}
}

// sameRow compares all that the ledger knows, and that Due follows from it.
func sameRow(have, want *Row) bool {
	return want.State != Refused && want.State != Erased && have.State == want.State && have.Reason == want.Reason &&
		slices.Equal(have.Scopes, want.Scopes) && maps.Equal(have.Options, want.Options) && slices.Equal(have.Needs, want.Needs) &&
		slices.Equal(have.Forbid, want.Forbid) && have.Policy == want.Policy && have.Lang == want.Lang && have.Ledger == want.Ledger &&
		have.Grant == want.Grant && have.Incarnation == want.Incarnation && have.Since.Equal(want.Since) && have.Granted.Equal(want.Granted) &&
		have.Expires.Equal(want.Expires) && have.EraseAt.Equal(want.EraseAt) && have.Due.Equal(have.due()) && have.Reminded >= want.Reminded
}

// checkEvidence opens what is kept, compares hashes and terms, and misses what should still be there.
func (a *auditor) checkEvidence() error {
	kept, err := a.evidence()
	if err != nil {
		return err
	}
	for i, l := range a.leaves {
		if l == nil || a.forgotten(int64(i), l.Who) {
			continue
		}
		until, err := a.evidenceUntil(int64(i), l)
		if err != nil {
			return err
		}
		e, ok := kept[int64(i)]
		delete(kept, int64(i))
		over := !until.IsZero() && !a.tx.Now().Before(until)
		switch {
		case ok && (e.Who != l.Who || e.Type != l.Evidence.Type || !e.Until.Equal(until)):
			a.problem("the evidence of entry %d is filed wrongly", i)
		case ok:
			a.openEvidence(int64(i), e, l)
		case l.Evidence.SHA256 != "" && !over:
			a.problem("the evidence of entry %d is missing", i)
		}
		a.checkText(int64(i), l)
	}
	for index := range kept {
		a.problem("there is evidence for entry %d, which has none", index)
	}
	return nil
}

func (a *auditor) evidence() (map[int64]*StoredEvidence, error) {
	kept := map[int64]*StoredEvidence{}
	for from := int64(0); ; {
		page, err := a.tx.EvidenceRows(from, auditPage)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			kept[e.Index] = e
			from = e.Index + 1
		}
		if len(page) < auditPage {
			return kept, nil
		}
	}
}

// forgotten: with a refusal or an erasure all evidence of the subject goes at once.
func (a *auditor) forgotten(index int64, who Pseudonym) bool {
	return slices.ContainsFunc(a.chains[who], func(e *Entry) bool {
		l := a.leaves[e.Index]
		return e.Index >= index && l != nil && (l.State == Refused || l.State == Erased)
	})
}

// evidenceUntil is when the raw evidence of an entry goes: with a grant, a while after the next grant or withdrawal.
func (a *auditor) evidenceUntil(index int64, l *Leaf) (time.Time, error) {
	at, err := unstamp(l.Time)
	if err != nil || l.Event != EventGrant {
		return at.Add(rawAfter), err
	}
	for _, e := range a.chains[l.Who] {
		next := a.leaves[e.Index]
		if e.Index > index && next != nil && (next.Event == EventGrant || next.Event == EventWithdraw) {
			end, err := unstamp(next.Time)
			return end.Add(rawAfter), err
		}
	}
	return time.Time{}, nil
}

func (a *auditor) openEvidence(index int64, e *StoredEvidence, l *Leaf) {
	raw, err := a.d.c.Sealer.Open("consent-evidence", fmt.Sprint(index), e.Sealed)
	if err != nil || hexSum(raw) != l.Evidence.SHA256 {
		a.problem("the evidence of entry %d was changed", index)
	}
}

func (a *auditor) checkText(index int64, l *Leaf) {
	if l.Text.SHA256 == "" {
		return
	}
	lang, text, err := a.tx.ConsentText(l.Text.SHA256)
	if err != nil || lang != l.Text.Lang || hexSum([]byte(text)) != l.Text.SHA256 {
		a.problem("the text of entry %d is missing or was changed", index)
	}
}

// Evidence opens the raw evidence of an entry, while it is kept.
func (d *Desk) Evidence(tx Tx, index int64) ([]byte, error) {
	e, err := tx.EvidenceByIndex(index)
	if err != nil {
		return nil, err
	}
	return d.c.Sealer.Open("consent-evidence", fmt.Sprint(index), e.Sealed)
}

// ExportedEntry is a line of the ledger's export: enough for anyone to rebuild the tree, and nothing that names people.
type ExportedEntry struct {
	Index int64  `json:"index"`
	Hash  string `json:"hash"`
	Leaf  string `json:"leaf,omitempty"`
	Salt  []byte `json:"salt,omitempty"`
}

// Export gives entries from an index on; Leaf and Salt are left out unless whole is set.
func (d *Desk) Export(tx Tx, from int64, limit int, whole bool) ([]ExportedEntry, error) {
	entries, err := tx.LedgerEntries(from, limit)
	if err != nil {
		return nil, err
	}
	var out []ExportedEntry
	for _, e := range entries {
		h, err := tx.LedgerHashes([]int64{tlog.StoredHashIndex(0, e.Index)})
		if err != nil {
			return nil, err
		}
		x := ExportedEntry{Index: e.Index, Hash: h[0].String()}
		if whole {
			x.Leaf, x.Salt = string(bytes.Clone(e.Leaf)), e.Salt
		}
		out = append(out, x)
	}
	return out, nil
}
