package consent_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"footbridge/identity"
	"footbridge/identity/consent"
)

// audit wants a clean audit.
func (r *rig) audit(external ...string) consent.Audit {
	r.Helper()
	var a consent.Audit
	r.view(func(tx consent.Tx) (err error) {
		a, err = r.desk.Audit(tx, r.verifier, external...)
		return err
	})
	if len(a.Problems) != 0 {
		r.Fatalf("the audit found: %s", strings.Join(a.Problems, "\n"))
	}
	return a
}

// someLife fills a ledger with all kinds of entries.
func (r *rig) someLife(n int, rng *rand.Rand) {
	r.Helper()
	for i := range n {
		s := identity.Subject(fmt.Sprintf("https://s%d.example/u%d", i%5, i))
		if i%3 == 1 {
			s = identity.Subject(fmt.Sprintf("did:plc:%024d", i))
		}
		r.clock.pass(time.Minute)
		r.someoneActs(s, rng)
	}
}

func (r *rig) someoneActs(s identity.Subject, rng *rand.Rand) {
	r.join(s, rng.IntN(2) == 0)
	for range rng.IntN(4) {
		r.clock.pass(time.Second)
		_, err := r.try(r.act(s, rng.IntN(10)))
		if err != nil && !errors.Is(err, consent.ErrDenied) {
			r.Fatal(err)
		}
	}
}

// act is one of the things that can happen to a member.
func (r *rig) act(s identity.Subject, which int) func(consent.Tx) (consent.Change, error) {
	e := ev(contactOf(s), fmt.Sprint("act ", which))
	if !strings.HasPrefix(string(s), "https") {
		e.Type = consent.E3
	}
	return func(tx consent.Tx) (consent.Change, error) {
		switch which {
		case 0:
			return r.desk.Narrow(tx, s, []consent.Scope{consent.ScopeReplies}, e)
		case 1:
			return r.desk.Pause(tx, s, e)
		case 2:
			return r.desk.Resume(tx, s, e)
		case 3:
			return r.desk.Panic(tx, s, e, "self")
		case 4:
			return r.desk.Withdraw(tx, s, e)
		case 5:
			return r.desk.MarkErased(tx, s)
		case 6:
			return r.desk.Observe(tx, s, consent.Signals{Needs: []consent.Scope{consent.ScopeDespiteLocked}}, e)
		case 7:
			return r.desk.Deny(tx, s, ev(consent.E6, "no"), "instance")
		case 8:
			return r.desk.Lift(tx, s, ev(consent.E6, "yes"), "instance")
		}
		return r.desk.Choose(tx, s, consent.AllScopes(), consent.Options{consent.OptionLongMode: "thread"}, ev(consent.E1, "form"))
	}
}

func TestR20_TheLedgerIsAMerkleTree(t *testing.T) {
	r := newRig(t)
	r.someLife(20, rand.New(rand.NewPCG(1, 1)))
	a := r.audit()
	lines := strings.Split(a.Checkpoint, "\n")
	if lines[0] != "bridge.example/consent" || lines[1] != fmt.Sprint(a.Entries) {
		t.Errorf("not a tlog-checkpoint:\n%s", a.Checkpoint)
	}
	// The root, computed from the exported record hashes alone, by RFC 6962.
	var leaves []tlog.Hash
	r.view(func(tx consent.Tx) error {
		out, err := r.desk.Export(tx, 0, 1000, false)
		for _, e := range out {
			h, err := tlog.ParseHash(e.Hash)
			r.ok(err)
			leaves = append(leaves, h)
		}
		return err
	})
	root := rfc6962(leaves)
	if got := base64.StdEncoding.EncodeToString(root[:]); got != lines[2] {
		t.Errorf("root %s, computed %s", lines[2], got)
	}
}

func rfc6962(leaves []tlog.Hash) tlog.Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	return tlog.NodeHash(rfc6962(leaves[:k]), rfc6962(leaves[k:]))
}

// faulty makes the n-th write of an operation fail, as if the machine died there: the transaction never commits.
type faulty struct {
	consent.Tx
	left *int
}

var errCrash = errors.New("crash")

func (f faulty) hit() error {
	if *f.left == 0 {
		return errCrash
	}
	*f.left--
	return nil
}

func (f faulty) PutConsentRow(r *consent.Row) error {
	return errors.Join(f.hit(), f.Tx.PutConsentRow(r))
}
func (f faulty) DeleteConsentRow(s identity.Subject) error {
	return errors.Join(f.hit(), f.Tx.DeleteConsentRow(s))
}
func (f faulty) PutConsentSuppression(s *consent.Suppression) error {
	return errors.Join(f.hit(), f.Tx.PutConsentSuppression(s))
}
func (f faulty) LedgerAppend(e *consent.Entry, h []tlog.Hash) error {
	return errors.Join(f.hit(), f.Tx.LedgerAppend(e, h))
}
func (f faulty) PutLedgerCheckpoint(n int64, cp string) error {
	return errors.Join(f.hit(), f.Tx.PutLedgerCheckpoint(n, cp))
}
func (f faulty) PutEvidence(e *consent.StoredEvidence) error {
	return errors.Join(f.hit(), f.Tx.PutEvidence(e))
}
func (f faulty) EvidenceForget(p consent.Pseudonym) error {
	return errors.Join(f.hit(), f.Tx.EvidenceForget(p))
}
func (f faulty) EvidenceExpire(p consent.Pseudonym, k int64, u time.Time) error {
	return errors.Join(f.hit(), f.Tx.EvidenceExpire(p, k, u))
}
func (f faulty) LedgerShred(i []int64) error { return errors.Join(f.hit(), f.Tx.LedgerShred(i)) }
func (f faulty) DeleteConsentCode(s identity.Subject) error {
	return errors.Join(f.hit(), f.Tx.DeleteConsentCode(s))
}

// TestR20_StateIsTheFoldOfTheLedger interrupts 1,000 operations, each after a random number of its writes, sometimes with
// the database closed and opened again, and audits all along.
func TestR20_StateIsTheFoldOfTheLedger(t *testing.T) {
	r := newRig(t)
	rng := rand.New(rand.NewPCG(7, 7))
	crashes := 0
	for i := 0; crashes < 1000; i++ {
		s := identity.Subject(fmt.Sprintf("https://s.example/u%d", rng.IntN(12)))
		left := rng.IntN(24)
		r.clock.pass(20 * time.Minute)
		_, err := r.try(func(tx consent.Tx) (consent.Change, error) {
			ch, err := r.step(faulty{tx, &left}, s, rng.IntN(14))
			if err == nil && rng.IntN(5) == 0 {
				err = errCrash // after the last write, before the commit
			}
			return ch, err
		})
		if errors.Is(err, errCrash) {
			crashes++
			if crashes%200 == 0 {
				r.ok(r.raw.Close())
				r.open()
			}
			if crashes%50 == 0 {
				r.audit()
			}
		} else if err != nil && !errors.Is(err, consent.ErrDenied) {
			t.Fatal(err)
		}
	}
	if a := r.audit(); a.Entries < 100 {
		t.Errorf("only %d entries; the test tests nothing", a.Entries)
	}
}

// step is a member's act, or a step of joining.
func (r *rig) step(tx consent.Tx, s identity.Subject, which int) (consent.Change, error) {
	if which < 10 {
		return r.act(s, which)(tx)
	}
	a, ch, err := r.desk.Begin(tx, consent.Contact{Subject: s, Evidence: ev(consent.E2, "follow")})
	if err != nil || a.Code == "" {
		return ch, err
	}
	return r.desk.Confirm(tx, consent.Confirmation{Subject: s, Evidence: ev(consent.E4, "yes"), Code: a.Code, All: which%2 == 0})
}

// TestR21_FiveHundredMutations edits, deletes, swaps and cuts rows of the database, and wants every one found.
func TestR21_FiveHundredMutations(t *testing.T) {
	r := newRig(t)
	r.someLife(30, rand.New(rand.NewPCG(3, 3)))
	external := r.audit().Checkpoint
	r.ok(r.raw.Close())
	clean, err := os.ReadFile(r.path)
	r.ok(err)
	rng := rand.New(rand.NewPCG(5, 5))
	for i := range 500 {
		r.ok(os.WriteFile(r.path, clean, 0o600))
		what := r.mutate(rng, i)
		r.open()
		var a consent.Audit
		r.view(func(tx consent.Tx) (err error) {
			a, err = r.desk.Audit(tx, r.verifier, external)
			return err
		})
		if len(a.Problems) == 0 {
			t.Errorf("mutation %d was not found: %s", i, what)
		}
		r.ok(r.raw.Close())
	}
}

// mutate changes the file behind everybody's back until something really changed.
func (r *rig) mutate(rng *rand.Rand, i int) string {
	db, err := sql.Open("sqlite", "file:"+r.path)
	r.ok(err)
	defer func() { _ = db.Close() }()
	for {
		q := mutation(rng, i)
		res, err := db.Exec(q)
		if err != nil {
			continue // a constraint forbids this one; try another
		}
		if n, err := res.RowsAffected(); err == nil && n > 0 {
			return q
		}
	}
}

func mutation(rng *rand.Rand, i int) string {
	table := []string{"ledger", "ledger_hash", "ledger_checkpoint", "consent", "consent_suppression", "evidence"}[rng.IntN(6)]
	row := fmt.Sprintf("rowid = (SELECT rowid FROM %s ORDER BY rowid LIMIT 1 OFFSET abs(random()) %% (SELECT COUNT(*) FROM %s))", table, table)
	switch i % 4 {
	case 0:
		return "DELETE FROM " + table + " WHERE " + row
	case 1:
		return "DELETE FROM " + []string{"ledger", "ledger_hash", "ledger_checkpoint"}[rng.IntN(3)] +
			fmt.Sprintf(" WHERE rowid > (SELECT MAX(rowid) FROM ledger) - %d", 1+rng.IntN(3))
	case 2:
		a := rng.IntN(20)
		return fmt.Sprintf("UPDATE ledger SET (who, salt, leaf) = (SELECT who, salt, leaf FROM ledger o WHERE o.idx = %d - ledger.idx) WHERE idx IN (%d, %d) AND (SELECT COUNT(DISTINCT who || hex(leaf)) FROM ledger WHERE idx IN (%d, %d)) = 2", 2*a+1, a, a+1, a, a+1)
	}
	return fmt.Sprintf("UPDATE %s SET %s WHERE %s", table, edit(table, rng), row)
}

func edit(table string, rng *rand.Rand) string {
	flip := func(col string) string {
		return fmt.Sprintf("%s = CAST(substr(%s, 1, 5) || X'21' || substr(%s, 7) AS BLOB)", col, col, col)
	}
	edits := map[string][]string{
		"ledger":              {flip("leaf"), flip("salt"), "who = 'x'", "salt = NULL", "leaf = NULL", "who = '', salt = randomblob(32)"},
		"ledger_hash":         {"hash = randomblob(32)", "hash = X'00'"},
		"ledger_checkpoint":   {"note = note || 'x'", "note = replace(note, 'bridge', 'brudge')", "size = size + 1000"},
		"consent":             {"state = 'unknown'", "scopes = scopes || ' likes2'", "expires = expires + 1000000", "ledger = ledger + 1", "policy = 9", "since = since + 1", "given = given + 1", "subject = subject || 'x'", "incarnation = 7", "reason = 'zzz'", "due = due + 1", "options = '{\"cw_mode\":\"skip\"}'", "needs = 'x'", "forbid = 'x'", "granted = granted + 5", "lang = 'xx'", "erase_at = erase_at + 1"},
		"consent_suppression": {"state = 'unknown'", "who = who || 'x'", "incarnation = 9", "at = at + 1", "ledger = ledger + 1", "reason = 'zzz'"},
		"evidence":            {"sealed = randomblob(40)", "type = 'E9'", "who = 'x'", "until = until + 1"},
	}
	list := edits[table]
	return list[rng.IntN(len(list))]
}

func TestR21_ExternalCheckpointsFindARewrittenHistory(t *testing.T) {
	r := newRig(t)
	r.someLife(5, rand.New(rand.NewPCG(9, 9)))
	external := r.audit().Checkpoint
	other := newRig(t) // the same key, another history of the same bridge
	other.someLife(9, rand.New(rand.NewPCG(8, 8)))
	var a consent.Audit
	other.view(func(tx consent.Tx) (err error) {
		a, err = other.desk.Audit(tx, other.verifier, external)
		return err
	})
	if len(a.Problems) == 0 {
		t.Error("a rewritten ledger passes")
	}
}

func TestR22_PublishedCheckpointsTellOnlyPowersOfTwo(t *testing.T) {
	r := newRig(t)
	for i := range 20 {
		r.withdraw(identity.Subject(fmt.Sprintf("https://x.example/%d", i)))
		var cp string
		r.view(func(tx consent.Tx) (err error) { cp, err = r.desk.PublishedCheckpoint(tx); return err })
		want := 1
		for want*2 <= i+1 {
			want *= 2
		}
		if got := strings.Split(cp, "\n")[1]; got != fmt.Sprint(want) {
			t.Errorf("after %d entries the published size is %s, want %d", i+1, got, want)
		}
		r.audit(cp)
	}
}

func TestR23_ErasureShredsAndTheTreeStays(t *testing.T) {
	r := newRig(t)
	r.join(alice, true)
	r.join(bella, true)
	before := r.audit().Checkpoint
	r.do(func(tx consent.Tx) (consent.Change, error) { return r.desk.Pause(tx, alice, ev(consent.E2, "p")) })
	r.withdraw(alice)
	r.erased(alice)
	a := r.audit(before)
	if a.Shredded != 4 { // contact, grant, pause, withdraw
		t.Errorf("%d entries were shredded", a.Shredded)
	}
	r.want(r.publish(bella, consent.ScopePosts), consent.ReasonNone)
	r.view(func(tx consent.Tx) error {
		entries, err := tx.LedgerEntriesOf(r.desk.Pseudonym(alice))
		if len(entries) != 1 || bytes.Contains(entries[0].Leaf, []byte("posts")) || bytes.Contains(entries[0].Leaf, []byte("sha256")) {
			t.Errorf("more is left than that somebody left: %q", entries[0].Leaf)
		}
		rows, err2 := tx.EvidenceRows(0, 100)
		for _, e := range rows {
			if e.Who == r.desk.Pseudonym(alice) {
				t.Error("evidence is left")
			}
		}
		return errors.Join(err, err2)
	})
}

// TestR23_NodesCannotBeGuessed tries a million handles, alice's among them, against the stored nodes: without the salt a
// node matches nothing, even for somebody who holds the secret and knows the leaf.
func TestR23_NodesCannotBeGuessed(t *testing.T) {
	r := newRig(t)
	r.join(alice, false)
	var leaf []byte
	nodes := map[tlog.Hash]bool{}
	r.view(func(tx consent.Tx) error {
		entries, err := tx.LedgerEntries(1, 1)
		r.ok(err)
		leaf = entries[0].Leaf
		if tlog.RecordHash(append(bytes.Clone(entries[0].Salt), leaf...)) != r.node(tx, 1) {
			t.Error("with the salt it should match")
		}
		return err
	})
	r.withdraw(alice)
	r.erased(alice)
	r.view(func(tx consent.Tx) error {
		for n := range int64(3) {
			nodes[r.node(tx, n)] = true
		}
		return nil
	})
	who := []byte(r.desk.Pseudonym(alice))
	for i := range 1_000_000 {
		guess := leaf
		if i > 0 {
			guess = bytes.Replace(leaf, who, fmt.Appendf(nil, "%064d", i), 1)
		}
		if nodes[tlog.RecordHash(guess)] {
			t.Fatalf("guess %d hit a node", i)
		}
	}
}

func (r *rig) node(tx consent.Tx, n int64) tlog.Hash {
	h, err := tx.LedgerHashes([]int64{tlog.StoredHashIndex(0, n)})
	r.ok(err)
	return h[0]
}

func TestR24_RawEvidenceGoesThirtyDaysAfterTheGrant(t *testing.T) {
	r := newRig(t)
	ch := r.join(alice, false)
	raw := func() (b []byte, err error) {
		r.view(func(tx consent.Tx) error { b, err = r.desk.Evidence(tx, ch.LedgerIndex); return nil })
		return b, err
	}
	b, err := raw()
	r.ok(err)
	if !bytes.HasPrefix(b, []byte("yes ")) || bytes.Contains(r.file(), b) {
		t.Error("evidence is not kept, or not sealed")
	}
	r.tick(100 * day)
	if _, err := raw(); err != nil {
		t.Errorf("evidence of a live grant is gone: %v", err)
	}
	r.withdraw(alice)
	r.tick(29 * day)
	if _, err := raw(); err != nil {
		t.Errorf("gone early: %v", err)
	}
	r.tick(2 * day)
	if _, err := raw(); !errors.Is(err, consent.ErrNone) {
		t.Errorf("still there: %v", err)
	}
	r.audit()
}

func TestR11_Receipts(t *testing.T) {
	r := newRig(t)
	r.join(alice, true)
	var receipt consent.Receipt
	r.ok(r.db.Update(context.Background(), func(tx consent.Tx) (err error) { receipt, err = r.desk.Receipt(tx, alice); return err }))
	r.someLife(5, rand.New(rand.NewPCG(2, 2)))
	v, err := consent.VerifyReceipt(receipt.JSON, r.verifier)
	r.ok(err)
	if v.Subject != alice || v.State != consent.Granted || len(v.Scopes) != len(consent.AllScopes()) {
		t.Errorf("the receipt says %+v", v)
	}
	for _, want := range []string{"Example Co-op", "help@bridge.example", "your likes", "2027-03-01", "https://bridge.example/leave/", "2026-03-01 12:00 UTC"} {
		if !strings.Contains(receipt.Words, want) {
			t.Errorf("the words lack %q:\n%s", want, receipt.Words)
		}
	}
	for i := range receipt.JSON {
		for _, bit := range []byte{1, 0x20, 0x80} {
			bad := bytes.Clone(receipt.JSON)
			bad[i] ^= bit
			if _, err := consent.VerifyReceipt(bad, r.verifier); err == nil {
				t.Fatalf("byte %d flipped by %#x passes", i, bit)
			}
		}
	}
	other, _, err := consent.NewLogKey("bridge.example/consent", bytes.Repeat([]byte{1}, 32))
	r.ok(err)
	_ = other
	_, key, err := consent.NewLogKey("bridge.example/consent", bytes.Repeat([]byte{1}, 32))
	r.ok(err)
	if _, err := consent.VerifyReceipt(receipt.JSON, key); err == nil {
		t.Error("another ledger's key verifies it")
	}
}

func TestR11_AReceiptForEveryEvent(t *testing.T) {
	r := newRig(t)
	r.join(alice, false)
	get := func(s identity.Subject) (out consent.Receipt) {
		r.ok(r.db.Update(context.Background(), func(tx consent.Tx) (err error) { out, err = r.desk.Receipt(tx, s); return err }))
		return out
	}
	for _, act := range []int{0, 1, 2, 3, 4, 5} {
		ch := r.do(r.act(alice, act))
		v, err := consent.VerifyReceipt(get(alice).JSON, r.verifier)
		r.ok(err)
		if v.Event != ch.Event && ch.Event != "" {
			t.Errorf("act %d: receipt of %s for %s", act, v.Event, ch.Event)
		}
	}
	r.withdraw(bella)
	if v, err := consent.VerifyReceipt(get(bella).JSON, r.verifier); err != nil || v.State != consent.Refused {
		t.Errorf("a refusal's receipt: %+v, %v", v, err)
	}
	r.refused(consent.ReasonUnknown, func(tx consent.Tx) (consent.Change, error) {
		_, err := r.desk.Receipt(tx, "https://nobody.example/u")
		return consent.Change{}, err
	})
}

func TestVerifyReceiptOfHostileFiles(t *testing.T) {
	r := newRig(t)
	for _, f := range []string{"", "{}", "null", "[]", "{", `{"receipt":{},"proof":{},"signature":""}` + "\n", strings.Repeat("[", 100000), strings.Repeat("x", 1<<20)} {
		if _, err := consent.VerifyReceipt([]byte(f), r.verifier); err == nil {
			t.Errorf("%.40q passes", f)
		}
	}
	if _, err := consent.VerifyReceipt([]byte("{}"), "no key"); err == nil {
		t.Error("a bad key passes")
	}
}
