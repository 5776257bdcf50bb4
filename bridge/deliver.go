package bridge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"footbridge/activitypub"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// outgoing is one activity on its way to a set of inboxes.
type outgoing struct {
	id, key  string
	body     []byte
	from     identity.ActorID
	kind     consent.Kind
	scope    consent.Scope
	purpose  string
	subject  identity.Subject
	epoch    int64
	inboxes  []string
	priority queue.Priority
	// private is a message to one person: nothing of it is kept once it has arrived.
	private bool
}

// send writes the body once and one job for each inbox. Every inbox is remembered before anything is sent to it, so that
// an erasure reaches all that may ever have got something.
func (b *Bridge) send(tx Tx, o outgoing) error {
	if len(o.inboxes) == 0 {
		return nil
	}
	if err := tx.PutMessage(o.id, o.subject, o.body); err != nil {
		return fmt.Errorf("keeping an outgoing activity: %w", err)
	}
	for _, inbox := range o.inboxes {
		if o.from != b.BotActor() { // the bot's words to a person are no copy, and no list of who they are is kept
			if err := tx.DeliveredHostAdd(o.from, inbox); err != nil {
				return err
			}
		}
		if err := b.sendOne(tx, o, inbox); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bridge) sendOne(tx Tx, o outgoing, inbox string) error {
	kind := JobDeliver
	if o.kind == consent.Erase {
		kind = JobDelete
	}
	j, err := job(kind, "deliver:"+hostOf(inbox)+" "+o.key, DeliverJob{Message: o.id, Inbox: inbox, From: o.from, Kind: o.kind, Scope: o.scope, Purpose: o.purpose, Subject: o.subject, Private: o.private})
	if err != nil {
		return err
	}
	j.Subject, j.Epoch, j.Priority, j.Dedup = string(o.subject), o.epoch, o.priority, "deliver:"+o.id+" "+inbox
	return tx.Enqueue(j)
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:10])
}

func embed(raw []byte) any {
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		return string(raw)
	}
	delete(doc, "@context")
	delete(doc, "signature")
	return doc
}

// handleDeliver is the last step of everything that goes to the fediverse: the gate is asked just before the POST.
func (b *Bridge) handleDeliver(ctx context.Context, j queue.Job) error {
	p, err := decode[DeliverJob](j)
	if err != nil {
		return err
	}
	host := hostOf(p.Inbox)
	body, permit, err := b.clear(ctx, p)
	if err != nil {
		return err
	}
	// A slot that is given must be given back: nothing may return between here and delivered.
	if wait := b.Breaker.Allow(host); wait > 0 {
		return queue.Hold("host_down", wait)
	}
	err = b.Sender.Deliver(ctx, permit, activitypub.Delivery{Inbox: p.Inbox, From: p.From, Body: body})
	return b.delivered(ctx, j, p, host, err)
}

// clear reads the body and asks the gate in one transaction.
func (b *Bridge) clear(ctx context.Context, p DeliverJob) (body []byte, permit consent.Permit, err error) {
	err = b.Store.View(ctx, func(tx Tx) error {
		if body, err = tx.Message(p.Message); err != nil {
			return err
		}
		if body == nil {
			return queue.Drop("withdrawn")
		}
		if p.Kind != consent.Erase {
			if no, err := refused(tx, "", hostOf(p.Inbox)); err != nil || no {
				return errors.Join(err, queue.Drop("blocked_by_operator"))
			}
		}
		permit, err = b.permit(ctx, tx, p.Kind, p.Subject, p.Scope, p.Purpose)
		return err
	})
	if errors.Is(err, consent.ErrDenied) {
		err = queue.Drop(string(consent.ReasonOf(err)))
	}
	return body, permit, err
}

func (b *Bridge) permit(ctx context.Context, tx Tx, kind consent.Kind, s identity.Subject, scope consent.Scope, purpose string) (consent.Permit, error) {
	switch kind {
	case consent.Publish:
		return b.Gate.Publish(ctx, tx, s, scope)
	case consent.Service:
		return b.Gate.Service(ctx, tx, s, purpose)
	default:
		return b.Gate.Erase(ctx, tx, s)
	}
}

// delivered decides what a delivery's result means for the host, the follower and the job.
func (b *Bridge) delivered(ctx context.Context, j queue.Job, p DeliverJob, host string, err error) error {
	var failed *activitypub.DeliveryError
	if err == nil {
		b.Breaker.Report(host, true)
		return b.arrived(ctx, j, p)
	}
	if !errors.As(err, &failed) { // a fault of ours, not of the host
		b.Breaker.Report(host, true)
		return err
	}
	switch {
	case failed.Gone:
		b.Breaker.Report(host, true)
		return b.done(ctx, j, func(tx Tx) error { return b.pruned(tx, p) })
	case failed.Status == 429:
		b.Breaker.Report(host, true)
		return queue.RetryAfter(max(failed.RetryAfter, time.Minute), err)
	case failed.Permanent:
		b.Breaker.Report(host, true)
		if p.Private {
			return b.arrived(ctx, j, p) // it will never be taken; there is nobody else to tell
		}
		return queue.Dead(err)
	}
	b.Breaker.Report(host, false)
	if failed.RetryAfter > 0 {
		return queue.RetryAfter(failed.RetryAfter, err)
	}
	return err
}

// arrived forgets a private message that has reached the one it was for.
func (b *Bridge) arrived(ctx context.Context, j queue.Job, p DeliverJob) error {
	if !p.Private {
		return nil
	}
	return b.done(ctx, j, func(tx Tx) error { return tx.ForgetMessage(p.Message) })
}

// pruned ends a delivery to an inbox that is gone for good.
func (b *Bridge) pruned(tx Tx, p DeliverJob) error {
	if p.Private {
		return tx.ForgetMessage(p.Message)
	}
	return prune(tx, p.From, p.Inbox)
}

// prune drops the followers who can only be reached through an inbox that is gone.
func prune(tx Tx, owner identity.ActorID, inbox string) error {
	for after := identity.ActorID(""); ; {
		page, err := tx.Followers(owner, after, 500)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, f := range page {
			after = f.Actor
			if f.Inbox != inbox {
				continue // a shared inbox that is gone says nothing of the people behind it
			}
			if _, err := tx.FollowerDelete(owner, f.Actor); err != nil {
				return err
			}
		}
	}
}
