package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"footbridge/bridge"
	"footbridge/bridge/store"
	"footbridge/cmd/footbridge/app"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// withStore opens the configured database for one command.
func withStore(ctx context.Context, c *app.Config, f func(*store.DB) error) error {
	if c.DatabaseURL == "" {
		if _, err := os.Stat(filepath.Join(c.DataDir, "footbridge.db")); err != nil {
			return fmt.Errorf("there is no bridge in %s yet; start it with: footbridge serve", c.DataDir)
		}
	}
	db, err := store.Open(ctx, store.Options{URL: c.DatabaseURL, Path: filepath.Join(c.DataDir, "footbridge.db")})
	if err != nil {
		return err
	}
	return errors.Join(f(db), db.Close())
}

type queueCmd struct {
	Status   queueStatusCmd   `cmd:"" help:"How much waits, and how long the oldest has waited."`
	List     queueListCmd     `cmd:"" help:"The dead letters, oldest first."`
	Show     queueShowCmd     `cmd:"" help:"One dead letter, without its content."`
	Retry    queueRetryCmd    `cmd:"" help:"Try one dead letter again."`
	RetryAll queueRetryAllCmd `cmd:"" help:"Try all dead letters again."`
	Discard  queueDiscardCmd  `cmd:"" help:"Delete one dead letter for good."`
}

type queueStatusCmd struct{}

func (queueStatusCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	return withStore(ctx, c, func(db *store.DB) error {
		depths, err := db.Queue().Depths(ctx)
		if err != nil {
			return err
		}
		dead, oldest, err := db.Queue().CountDead(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "PRIORITY\tPENDING\tREADY\tOLDEST")
		for _, d := range depths {
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", priorityName(d.Priority), d.Pending, d.Ready, age(d.Oldest))
		}
		fmt.Fprintf(w, "dead letters\t%d\t\t%s\n", dead, age(oldest))
		return w.Flush()
	})
}

func priorityName(p queue.Priority) string {
	return map[queue.Priority]string{queue.Urgent: "urgent", queue.Normal: "normal", queue.Backfill: "backfill"}[p]
}

func age(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return time.Since(t).Round(time.Second).String()
}

type queueListCmd struct{}

func (queueListCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	return withStore(ctx, c, func(db *store.DB) error {
		letters, err := db.Queue().DeadLetters(ctx, 0, 1000)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tKIND\tTRIES\tREASON\tDIED")
		for _, l := range letters {
			fmt.Fprintf(w, "%d\t%s\t%d\t%s\t%s ago\n", l.ID, l.Kind, l.Attempt, l.Reason, age(l.Died))
		}
		return w.Flush()
	})
}

type queueShowCmd struct {
	ID int64 `arg:"" help:"Number in the list."`
}

func (q queueShowCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	return withStore(ctx, c, func(db *store.DB) error {
		l, err := db.Queue().DeadLetter(ctx, q.ID)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.out, "id: %d\nkind: %s\ntries: %d\nreason: %s\ndetail: %s\nenqueued: %s\ndied: %s\npayload: %d bytes (not shown)\n",
			l.ID, l.Kind, l.Attempt, l.Reason, l.Detail, l.Created.Format(time.RFC3339), l.Died.Format(time.RFC3339), len(l.Payload))
		return err
	})
}

type queueRetryCmd struct {
	ID int64 `arg:"" help:"Number in the list."`
}

func (q queueRetryCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	return withStore(ctx, c, func(db *store.DB) error {
		fresh, err := db.Queue().Retry(ctx, q.ID)
		if err == nil {
			_, err = fmt.Fprintf(s.out, "dead letter %d waits again as job %d\n", q.ID, fresh)
		}
		return err
	})
}

type queueRetryAllCmd struct{}

func (queueRetryAllCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	return withStore(ctx, c, func(db *store.DB) error {
		n, err := db.Queue().RetryAll(ctx)
		if err == nil {
			_, err = fmt.Fprintf(s.out, "%d dead letters wait again\n", n)
		}
		return err
	})
}

type queueDiscardCmd struct {
	ID     int64  `arg:"" help:"Number in the list."`
	Reason string `required:"" help:"Why; it is printed so that it stays in your terminal's log."`
}

func (q queueDiscardCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	return withStore(ctx, c, func(db *store.DB) error {
		err := db.Queue().Discard(ctx, q.ID)
		if err == nil {
			_, err = fmt.Fprintf(s.out, "discarded dead letter %d: %s\n", q.ID, q.Reason)
		}
		return err
	})
}

type moderateCmd struct {
	Block   moderateBlockCmd   `cmd:"" help:"Nothing in, nothing out, for an account, a domain or a PDS."`
	Limit   moderateLimitCmd   `cmd:"" help:"Nobody new from there may join."`
	Suspend moderateSuspendCmd `cmd:"" help:"Hide one member's copies until the suspension is taken back with unblock."`
	Unblock moderateUnblockCmd `cmd:"" help:"Take a rule back."`
	List    moderateListCmd    `cmd:"" help:"The rules in force."`
	Import  moderateImportCmd  `cmd:"" help:"Block the domains of a CSV list (Mastodon's export: #domain,#severity,...)."`
}

type rule struct {
	Target string `arg:"" help:"Actor id, DID, domain or host of a PDS."`
	Reason string `help:"Why, for the record."`
	By     string `help:"Who decided." default:"operator"`
}

func (r rule) put(ctx context.Context, c *app.Config, s streams, action string) error {
	return withStore(ctx, c, func(db *store.DB) error {
		err := db.Update(ctx, func(tx *store.Tx) error {
			return tx.PutRule(bridge.Rule{Target: normalTarget(r.Target), Action: action, Reason: r.Reason, By: r.By})
		})
		if err == nil {
			_, err = fmt.Fprintf(s.out, "%s: %s\n", action, normalTarget(r.Target))
		}
		return err
	})
}

func normalTarget(t string) string {
	if strings.HasPrefix(t, "did:") || strings.Contains(t, "://") {
		return t
	}
	return strings.ToLower(strings.Trim(t, ". "))
}

type moderateBlockCmd struct{ rule }

func (r moderateBlockCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	return r.put(ctx, c, s, "block")
}

type moderateLimitCmd struct{ rule }

func (r moderateLimitCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	return r.put(ctx, c, s, "limit")
}

type moderateSuspendCmd struct{ rule }

// Run denies the member at the consent desk, which closes the gate, and has the running bridge hide the copies.
func (r moderateSuspendCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	return r.decide(ctx, c, s, "suspend", func(tx *store.Tx, desk *consent.Desk) error {
		_, err := desk.Deny(tx, identity.Subject(r.Target), consent.Evidence{}, "operator:"+r.By)
		return errors.Join(err, tx.PutRule(bridge.Rule{Target: r.Target, Action: "suspend", Reason: r.Reason, By: r.By}))
	})
}

// decide runs a decision about one member and lets the bridge catch up with it.
func (r rule) decide(ctx context.Context, c *app.Config, s streams, word string, f func(*store.Tx, *consent.Desk) error) error {
	return withDesk(ctx, c, func(db store.Room[consent.Tx], desk *consent.Desk, _ string) error {
		catchUp, err := bridge.Reconcile(identity.Subject(r.Target))
		if err != nil {
			return err
		}
		err = db.DB.Update(ctx, func(tx *store.Tx) error {
			return errors.Join(f(tx, desk), tx.Enqueue(catchUp))
		})
		if err == nil {
			_, err = fmt.Fprintf(s.out, "%s: %s\n", word, r.Target)
		}
		return err
	})
}

type moderateUnblockCmd struct {
	Target string `arg:"" help:"Target of the rule."`
}

// Run takes a rule back; a suspended member comes back paused, and resumes by their own word.
func (r moderateUnblockCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	target := normalTarget(r.Target)
	one := rule{Target: target, By: "operator"}
	return one.decide(ctx, c, s, "no rule any more", func(tx *store.Tx, desk *consent.Desk) error {
		old, err := tx.RuleFor(target)
		if err != nil || old == nil {
			return errors.Join(err, usageError{fmt.Errorf("there is no rule for %s", target)})
		}
		if old.Action == "suspend" {
			if _, err := desk.Lift(tx, identity.Subject(target), consent.Evidence{}, "operator:"+one.By); err != nil {
				return err
			}
		}
		return tx.DeleteRule(target)
	})
}

type moderateListCmd struct{}

func (moderateListCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	return withStore(ctx, c, func(db *store.DB) error {
		return db.View(ctx, func(tx *store.Tx) error {
			rules, err := tx.Rules()
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "TARGET\tACTION\tBY\tREASON")
			for _, r := range rules {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Target, r.Action, r.By, r.Reason)
			}
			return w.Flush()
		})
	})
}

type moderateImportCmd struct {
	File string `arg:"" type:"existingfile" help:"CSV file."`
	By   string `help:"Who decided." default:"import"`
}

func (m moderateImportCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	f, err := os.Open(m.File)
	if err != nil {
		return fmt.Errorf("opening the list: %w", err)
	}
	rules, err := readDomainList(f, m.By)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return withStore(ctx, c, func(db *store.DB) error {
		err := db.Update(ctx, func(tx *store.Tx) error {
			for _, r := range rules {
				if err := tx.PutRule(r); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			_, err = fmt.Fprintf(s.out, "%d domains taken over\n", len(rules))
		}
		return err
	})
}

// maxListRows bounds a domain list.
const maxListRows = 100_000

// readDomainList reads the CSV that Mastodon exports: a header with #domain and #severity, or bare domains. "suspend"
// blocks, "silence" limits, "noop" is left out.
func readDomainList(in io.Reader, by string) ([]bridge.Rule, error) {
	r := csv.NewReader(io.LimitReader(in, 16<<20))
	r.FieldsPerRecord = -1
	var rules []bridge.Rule
	severity := -1
	for line := 1; line <= maxListRows; line++ {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rules, nil
		}
		if err != nil {
			return nil, fmt.Errorf("line %d of the list cannot be read: %w", line, err)
		}
		if strings.TrimPrefix(row[0], "#") == "domain" {
			for i, name := range row {
				if strings.TrimPrefix(name, "#") == "severity" {
					severity = i
				}
			}
			continue
		}
		if rule, ok := domainRule(row, severity, by); ok {
			rules = append(rules, rule)
		}
	}
	return nil, fmt.Errorf("the list has more than %d rows", maxListRows)
}

func domainRule(row []string, severity int, by string) (bridge.Rule, bool) {
	domain := normalTarget(row[0])
	if domain == "" || !strings.Contains(domain, ".") || strings.ContainsAny(domain, " /*") {
		return bridge.Rule{}, false
	}
	r := bridge.Rule{Target: domain, Action: "block", Reason: "imported list", By: by}
	if severity >= 0 && severity < len(row) {
		switch row[severity] {
		case "silence", "limit":
			r.Action = "limit"
		case "noop":
			return r, false
		}
	}
	return r, true
}
