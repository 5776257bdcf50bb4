package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"footbridge/bridge"
	"footbridge/bridge/store"
	"footbridge/cmd/footbridge/app"
	"footbridge/identity"
	"footbridge/identity/consent"
)

// ConsentCmd looks at the consent ledger.
type ConsentCmd struct {
	Audit   consentAuditCmd  `cmd:"" help:"Recompute the ledger and compare it with every state, proof and signature."`
	Show    consentShowCmd   `cmd:"" help:"Where one person stands, and every entry about them."`
	Export  consentExportCmd `cmd:"" help:"Write the ledger, one entry a line, for others to check."`
	Verify  consentVerifyCmd `cmd:"" name:"verify-receipt" help:"Check a receipt, offline."`
	Halt    consentHaltCmd   `cmd:"" help:"Stop all publishing at once; erasing goes on."`
	Unhalt  consentUnhaltCmd `cmd:"" help:"Let publishing go on."`
	Panic   consentPanicCmd  `cmd:"" help:"Stop everything of one person at once, and hide their copies."`
	Key     consentKeyCmd    `cmd:"" help:"Print the key that receipts and checkpoints are verified with."`
	Signals consentLookCmd   `cmd:"" name:"signals" help:"What a profile document says about bridges (actor JSON from standard input)."`
}

// errAudit is what a failed audit exits with.
var errAudit = errors.New("the ledger and the data do not agree")

// withDesk opens database and desk for one command.
func withDesk(ctx context.Context, c *app.Config, f func(store.Room[consent.Tx], *consent.Desk, string) error) error {
	return withStore(ctx, c, func(db *store.DB) error {
		desk, key, err := app.OpenDesk(*c)
		if err != nil {
			return err
		}
		return f(store.Room[consent.Tx]{DB: db}, desk, key)
	})
}

type consentAuditCmd struct {
	Checkpoint []string `help:"Checkpoints that were kept elsewhere." type:"existingfile" placeholder:"FILE"`
}

func (q consentAuditCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	var external []string
	for _, name := range q.Checkpoint {
		b, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("reading a checkpoint: %w", err)
		}
		external = append(external, string(b))
	}
	return withDesk(ctx, c, func(db store.Room[consent.Tx], desk *consent.Desk, key string) error {
		var a consent.Audit
		err := db.View(ctx, func(tx consent.Tx) (err error) {
			a, err = desk.Audit(tx, key, external...)
			return err
		})
		if err != nil {
			return err
		}
		return printAudit(s.out, a)
	})
}

func printAudit(w io.Writer, a consent.Audit) error {
	for _, p := range a.Problems {
		if _, err := fmt.Fprintln(w, "PROBLEM:", p); err != nil {
			return err
		}
	}
	if len(a.Problems) > 0 {
		return fmt.Errorf("%w: %d problems", errAudit, len(a.Problems))
	}
	_, err := fmt.Fprintf(w, "%d entries (%d shredded), %d subjects, %d checkpoints: all agree\n%s", a.Entries, a.Shredded, a.Subjects, a.Checkpoints, a.Checkpoint)
	return err
}

type consentShowCmd struct {
	Subject string `arg:"" help:"Actor id or DID."`
}

func (q consentShowCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	return withDesk(ctx, c, func(db store.Room[consent.Tx], desk *consent.Desk, _ string) error {
		return db.View(ctx, func(tx consent.Tx) error {
			h, err := desk.History(tx, identity.Subject(q.Subject))
			if err != nil {
				return err
			}
			return printHistory(s.out, h)
		})
	})
}

func printHistory(out io.Writer, h consent.History) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "state\t%s %s\nscopes\t%s\nexpires\t%s\npseudonym\t%s\n\n", h.State, h.Reason, scopeList(h.Scopes), date(h.Expires), h.Who)
	fmt.Fprintln(w, "ENTRY\tTIME\tEVENT\tSTATE\tBY\tEVIDENCE\tSCOPES")
	for _, e := range h.Entries {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Index, e.Leaf.Time, e.Leaf.Event, e.Leaf.State, e.Leaf.Actor, e.Leaf.Evidence.Type, scopeList(e.Leaf.Scopes))
	}
	return w.Flush()
}

func scopeList(in []consent.Scope) string {
	words := make([]string, len(in))
	for i, sc := range in {
		words[i] = string(sc)
	}
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, " ")
}

func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.RFC3339)
}

type consentExportCmd struct {
	Whole bool `help:"With leaves and salts. They name nobody, but they are not for publication."`
}

func (q consentExportCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	return withDesk(ctx, c, func(db store.Room[consent.Tx], desk *consent.Desk, _ string) error {
		enc := json.NewEncoder(s.out)
		return db.View(ctx, func(tx consent.Tx) error {
			for from := int64(0); ; {
				page, err := desk.Export(tx, from, 1000, q.Whole)
				if err != nil || len(page) == 0 {
					return err
				}
				for _, e := range page {
					if err := enc.Encode(e); err != nil {
						return err
					}
				}
				from += int64(len(page))
			}
		})
	})
}

type consentVerifyCmd struct {
	File string `arg:"" help:"The receipt (JSON)." type:"existingfile"`
	Key  string `required:"" help:"The bridge's verifier key, from its transparency page." placeholder:"KEY"`
}

func (q consentVerifyCmd) Run(s streams) error {
	file, err := os.ReadFile(q.File)
	if err != nil {
		return fmt.Errorf("reading the receipt: %w", err)
	}
	v, err := consent.VerifyReceipt(file, q.Key)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "valid: entry %d of %s (%d entries when it was given out)\n%s %s at %s, scopes: %s\n\n%s\n",
		v.Index, v.Name, v.Size, v.Subject, v.Event, v.Time, scopeList(v.Scopes), v.Words)
	return err
}

type consentHaltCmd struct {
	Reason string `required:"" help:"Why; operators see it."`
}

func (q consentHaltCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	return withDesk(ctx, c, func(db store.Room[consent.Tx], desk *consent.Desk, _ string) error {
		err := db.Update(ctx, func(tx consent.Tx) error { return desk.Halt(tx, q.Reason) })
		if err == nil {
			_, err = fmt.Fprintln(s.out, "publishing is stopped; erasing goes on")
		}
		return err
	})
}

type consentUnhaltCmd struct{}

func (consentUnhaltCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	return withDesk(ctx, c, func(db store.Room[consent.Tx], desk *consent.Desk, _ string) error {
		err := db.Update(ctx, func(tx consent.Tx) error { return desk.Unhalt(tx) })
		if err == nil {
			_, err = fmt.Fprintln(s.out, "publishing goes on")
		}
		return err
	})
}

type consentPanicCmd struct {
	Subject string `arg:"" help:"Actor id or DID."`
}

// Run stops all publishing for the person at once (the gate reads the state with every permit) and has the running bridge
// hide the copies.
func (q consentPanicCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	return withDesk(ctx, c, func(db store.Room[consent.Tx], desk *consent.Desk, _ string) error {
		hide, err := bridge.Reconcile(identity.Subject(q.Subject))
		if err != nil {
			return err
		}
		var ch consent.Change
		err = db.DB.Update(ctx, func(tx *store.Tx) (err error) {
			if ch, err = desk.Panic(tx, identity.Subject(q.Subject), consent.Evidence{}, "operator"); err != nil {
				return err
			}
			return tx.Enqueue(hide)
		})
		if err == nil {
			_, err = fmt.Fprintf(s.out, "%s: nothing new is published for this person, and the copies are hidden as soon as the bridge runs\n", ch.State)
		}
		return err
	})
}

type consentKeyCmd struct{}

func (consentKeyCmd) Run(c *app.Config, s streams) error {
	_, key, err := app.OpenDesk(*c)
	if err == nil {
		_, err = fmt.Fprintln(s.out, key)
	}
	return err
}

type consentLookCmd struct{}

func (consentLookCmd) Run(c *app.Config, s streams) error {
	doc, err := io.ReadAll(io.LimitReader(s.in, 1<<20))
	if err != nil {
		return fmt.Errorf("reading the document: %w", err)
	}
	enc := json.NewEncoder(s.out)
	enc.SetIndent("", "  ")
	return enc.Encode(consent.Reader{Bridge: c.Host(), Now: time.Now()}.ActorSignals(doc))
}
