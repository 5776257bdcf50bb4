package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"

	"footbridge/atproto"
	"footbridge/identity"
	"footbridge/queue"
)

// The bridge is an atproto.Sink: an event is durable when these return nil.
var (
	_ atproto.Sink       = (*Bridge)(nil)
	_ atproto.Rememberer = (*Bridge)(nil)
)

// Commit accepts a verified commit: one job for each op, all in the lane of the author.
func (b *Bridge) Commit(ctx context.Context, _ string, c atproto.Commit) error {
	return b.Store.Update(ctx, func(tx Tx) error {
		if own, err := known(tx.AccountByDID(c.DID)); err != nil || (own != nil && own.Native == identity.ActivityPub) {
			return err // what our own copies do comes back from the relay; it is nobody's news
		}
		fresh, err := b.seen(tx, "at:"+string(c.DID)+":"+c.Rev)
		if err != nil || (!fresh && !c.Healed) { // what a repair found may bear a rev that was seen without it
			return err
		}
		for _, op := range c.Ops {
			if err := b.enqueueOp(tx, c, op); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *Bridge) enqueueOp(tx Tx, c atproto.Commit, op atproto.Op) error {
	acc, err := known(tx.AccountByDID(c.DID))
	if err != nil {
		return err
	}
	contact := b.concernsBot(op)
	if acc == nil && !contact && !b.concernsMember(op) {
		return nil
	}
	one := c
	one.Ops = []atproto.Op{op}
	if !contact {
		one.Evidence = nil // kept only where it may prove something
	}
	key := authorKey(identity.Subject(c.DID))
	if contact {
		key = contactKey(identity.Subject(c.DID))
	}
	j, err := job(JobCommit, key, CommitJob{Commit: one})
	if err != nil {
		return err
	}
	j.Subject = string(c.DID)
	if acc != nil {
		j.Epoch = acc.Epoch
	}
	if op.Action == "delete" || contact {
		j.Priority = queue.Urgent
	}
	return tx.Enqueue(j)
}

// concernsBot tells contact with the bridge itself: a follow or block of the bot, and consent records.
func (b *Bridge) concernsBot(op atproto.Op) bool {
	if string(op.Collection) == b.ConsentCollection() {
		return true
	}
	bot := b.BotDID()
	return bot != "" && bytes.Contains(op.Record, []byte(bot))
}

// concernsMember tells whether somebody's record names a copy or a member here.
func (b *Bridge) concernsMember(op atproto.Op) bool { return b.Interest.Mentions(op.Record) }

// Account accepts an identity or hosting event of somebody known.
func (b *Bridge) Account(ctx context.Context, _ string, e atproto.AccountEvent) error {
	return b.Store.Update(ctx, func(tx Tx) error {
		acc, err := known(tx.AccountByDID(e.DID))
		if err != nil || acc == nil || acc.Native == identity.ActivityPub {
			return err
		}
		j, err := job(JobAccount, contactKey(acc.Subject()), AccountJob{Event: e})
		if err != nil {
			return err
		}
		j.Subject, j.Epoch, j.Priority = string(acc.Subject()), acc.Epoch, queue.Urgent
		return tx.Enqueue(j)
	})
}

// Known is what was bridged of an author, path by path (atproto.Rememberer): after a gap, what was edited or deleted in
// it is found by comparing with this.
func (b *Bridge) Known(ctx context.Context, did string) (known map[string]string, err error) {
	err = b.Store.View(ctx, func(tx Tx) error {
		known, err = tx.ObjectPaths(identity.Subject(did))
		return err
	})
	return known, err
}

// SaveCursor moves the cursor of a source.
func (b *Bridge) SaveCursor(ctx context.Context, source string, seq int64) error {
	return b.Store.Update(ctx, func(tx Tx) error { return tx.SetFirehoseCursor(source, seq) })
}

// Cursor is where to go on; 0 for a new source.
func (b *Bridge) Cursor(ctx context.Context, source string) (seq int64, err error) {
	err = b.Store.View(ctx, func(tx Tx) error {
		seq, err = tx.FirehoseCursor(source)
		return err
	})
	return seq, err
}

// LoadInterest fills the filter from the accounts, at start.
func (b *Bridge) LoadInterest(ctx context.Context) error {
	return b.eachAccount(ctx, func(acc *identity.Account) { b.watch(acc) })
}

// watch keeps the firehose filter in step with an account: natives are followed whole, copies are looked for.
func (b *Bridge) watch(acc *identity.Account) {
	did := string(acc.DID)
	switch {
	case did == "":
	case acc.Status == identity.CopyGone:
		b.Interest.RemoveAuthor(did)
		b.Interest.RemoveMention(did)
	case acc.Native == identity.ATProto:
		b.Interest.AddAuthor(did)
		b.Interest.AddMention(did)
	default:
		b.Interest.AddMention(did)
	}
}

func (b *Bridge) eachAccount(ctx context.Context, f func(*identity.Account)) error {
	for after := identity.Subject(""); ; {
		var page []*identity.Account
		err := b.Store.View(ctx, func(tx Tx) (err error) {
			page, err = tx.Accounts(after, 500)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, acc := range page {
			f(acc)
		}
		after = page[len(page)-1].Subject()
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func recordField(raw json.RawMessage, name string) any {
	var rec map[string]any
	if json.Unmarshal(raw, &rec) != nil {
		return nil
	}
	return rec[name]
}

// Watcher is the filter over the firehose: members' commits, whatever names a copy, a member or the bot, and consent
// records of people not heard of before.
type Watcher struct {
	*atproto.DIDSet
	nsid []byte
}

// Watcher gives the filter to the firehose reader.
func (b *Bridge) Watcher() Watcher { return Watcher{b.Interest, []byte(b.ConsentCollection())} }

// Mentions implements atproto.Interest.
func (w Watcher) Mentions(blocks []byte) bool {
	return w.DIDSet.Mentions(blocks) || bytes.Contains(blocks, w.nsid)
}
