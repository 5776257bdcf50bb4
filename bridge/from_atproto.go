package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"footbridge/atproto"
	"footbridge/bridge/translate"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// handleCommit carries one op of a verified commit.
func (b *Bridge) handleCommit(ctx context.Context, j queue.Job) error {
	p, err := decode[CommitJob](j)
	if err != nil {
		return err
	}
	if len(p.Commit.Ops) != 1 {
		return queue.Dead(fmt.Errorf("a commit job has %d ops", len(p.Commit.Ops)))
	}
	c, op := p.Commit, p.Commit.Ops[0]
	acc, blocked, err := b.author(ctx, c)
	if err != nil {
		return err
	}
	if blocked && op.Action != "delete" {
		return queue.Drop("blocked_by_operator")
	}
	if handled, err := b.botRecord(ctx, j, c, op, acc); handled || err != nil {
		return err
	}
	if !mayAct(acc, op.Action == "delete") || acc.Native != identity.ATProto {
		return b.strangerRecord(ctx, j, op)
	}
	if op.Collection == "app.bsky.actor.profile" {
		return b.profileChanged(ctx, j, acc)
	}
	return b.publishEvent(ctx, j, c, op, acc)
}

func (b *Bridge) author(ctx context.Context, c atproto.Commit) (acc *identity.Account, blocked bool, err error) {
	err = b.Store.View(ctx, func(tx Tx) error {
		if acc, err = known(tx.AccountByDID(c.DID)); err != nil {
			return err
		}
		blocked, err = refused(tx, identity.Subject(c.DID), "")
		return err
	})
	return acc, blocked, err
}

// strangerRecord counts what somebody who did not join did to a copy; nothing of it leaves (R38).
func (b *Bridge) strangerRecord(ctx context.Context, j queue.Job, op atproto.Op) error {
	target := targetOf(decodeRecord(op.Record))
	return b.done(ctx, j, func(tx Tx) error {
		b.Observe(Outcome{Kind: kindOf(string(op.Collection)), Direction: "at>ap", Result: "dropped", Reason: string(translate.DropAuthorNotJoined)})
		obj, err := tx.ObjectByURI(target)
		if errors.Is(err, ErrNoObject) || target == "" {
			return nil
		}
		if err != nil {
			return err
		}
		return countUnbridged(tx, obj.Subject)
	})
}

func decodeRecord(raw json.RawMessage) map[string]any {
	var rec map[string]any
	if json.Unmarshal(raw, &rec) != nil {
		return nil
	}
	return rec
}

// publishEvent turns a member's record into activities and fans them out.
func (b *Bridge) publishEvent(ctx context.Context, j queue.Job, c atproto.Commit, op atproto.Op, acc *identity.Account) error {
	ev := translate.Event{
		Action: op.Action, URI: fmt.Sprintf("at://%s/%s/%s", c.DID, op.Collection, op.RKey), CID: op.CID,
		DID: string(c.DID), Handle: string(acc.Handle), Record: op.Record,
	}
	previous, err := b.previous(ctx, ev.URI)
	if err != nil {
		return err
	}
	ev.Previous = previous
	kind := kindOf(string(op.Collection))
	res, err := b.convertEvent(ctx, j, ev, acc)
	if err != nil {
		return err
	}
	if res.Dropped != translate.None {
		return b.done(ctx, j, func(tx Tx) error {
			if op.Action == "delete" {
				if err := b.bury(tx, b.objectID(acc, ev.URI), ev.URI, acc.Subject()); err != nil {
					return err
				}
			}
			return b.note(tx, acc, ev.URI, kind, "at>ap", "dropped", string(res.Dropped))
		})
	}
	return b.fanOut(ctx, j, acc, ev, kind, res)
}

// previous is the record as it was when it was bridged, for undoing what it became.
func (b *Bridge) previous(ctx context.Context, uri string) (raw json.RawMessage, err error) {
	err = b.Store.View(ctx, func(tx Tx) error {
		obj, err := tx.ObjectByURI(uri)
		if errors.Is(err, ErrNoObject) {
			return nil
		}
		if err == nil {
			raw = obj.Record
		}
		return err
	})
	return raw, err
}

func (b *Bridge) objectID(acc *identity.Account, uri string) string {
	return translate.ObjectID(b.Settings.BaseURL, uri, acc.Incarnation)
}

func (b *Bridge) convertEvent(ctx context.Context, j queue.Job, ev translate.Event, acc *identity.Account) (translate.APResult, error) {
	c, _, err := b.resolve(ctx, j, acc, translate.EventRefs(ev, b.Settings.BaseURL))
	if err != nil {
		return translate.APResult{}, err
	}
	res, err := translate.FromEvent(ev, c)
	if err != nil {
		return res, queue.Drop(string(translate.DropMalformed))
	}
	if len(res.Activities) > 0 && res.Activities[0]["type"] == "Create" {
		if note, ok := res.Activities[0]["object"].(map[string]any); ok {
			if ask := translate.QuoteRequest(note, c); ask != nil {
				res.Activities = append(res.Activities, ask)
			}
		}
	}
	return res, nil
}

// fanOut stores what a record became and makes one delivery for each inbox that gets it.
func (b *Bridge) fanOut(ctx context.Context, j queue.Job, acc *identity.Account, ev translate.Event, kind string, res translate.APResult) error {
	remote, err := b.addressees(ctx, res.Activities)
	if err != nil {
		return err
	}
	err = b.done(ctx, j, func(tx Tx) error {
		current, err := account(tx, acc.Subject())
		if err != nil || !mayAct(current, ev.Action == "delete") {
			return errors.Join(err, queue.Drop("withdrawn"))
		}
		permit, err := b.eventPermit(ctx, tx, current, ev)
		if err != nil {
			return err
		}
		for i, activity := range res.Activities {
			if err := b.fanOutOne(tx, current, permit, ev, kind, i, activity, remote); err != nil {
				return err
			}
		}
		return b.note(tx, current, ev.URI, kind, "at>ap", "bridged", lossNames(res.Losses))
	})
	if errors.Is(err, consent.ErrDenied) {
		return b.dropDenied(ctx, j, acc, ev.URI, kind, "at>ap", string(consent.ReasonOf(err)))
	}
	return err
}

func (b *Bridge) eventPermit(ctx context.Context, tx Tx, acc *identity.Account, ev translate.Event) (consent.Permit, error) {
	if ev.Action == "delete" {
		return b.Gate.Erase(ctx, tx, acc.Subject())
	}
	return b.Gate.Publish(ctx, tx, acc.Subject(), eventScope(acc, ev))
}

func eventScope(acc *identity.Account, ev translate.Event) consent.Scope {
	return scopeOf(collectionOf(ev.URI), decodeRecord(ev.Record), acc)
}

func (b *Bridge) fanOutOne(tx Tx, acc *identity.Account, permit consent.Permit, ev translate.Event, kind string, n int, activity map[string]any, remote map[string]string) error {
	id := b.objectID(acc, ev.URI)
	if n == 0 {
		if stop, err := b.mapEvent(tx, acc, permit, ev, kind, id, activity); err != nil || stop {
			return err
		}
	}
	inboxes, err := b.inboxesFor(tx, acc, ev, activity, remote)
	if err != nil {
		return err
	}
	out := outgoing{
		id: firstOf(str(activity["id"]), id), key: id, body: mustJSON(activity), from: acc.Actor, kind: permit.Kind(),
		subject: acc.Subject(), epoch: acc.Epoch, inboxes: inboxes, priority: queue.Normal,
	}
	if permit.Kind() == consent.Publish {
		out.scope = eventScope(acc, ev)
	}
	if ev.Action == "delete" {
		out.priority = queue.Urgent
	}
	return b.send(tx, out)
}

// mapEvent keeps the object map, the served document and the remembered record in step. It stops the fan-out of a create
// that comes after its own delete.
func (b *Bridge) mapEvent(tx Tx, acc *identity.Account, permit consent.Permit, ev translate.Event, kind, id string, activity map[string]any) (stop bool, err error) {
	if kind == "threadgate" || kind == "postgate" {
		return false, b.mapGate(tx, acc, activity)
	}
	if ev.Action == "delete" || activity["type"] == "Delete" { // a post that its author narrowed is taken back, too
		return false, b.bury(tx, id, ev.URI, acc.Subject())
	}
	found, err := tx.ObjectsByAPID(id)
	if err != nil {
		return false, err
	}
	if len(found) > 0 && !found[0].Deleted.IsZero() {
		return true, nil
	}
	return false, tx.PutObject(Object{
		APID: id, URI: ev.URI, CID: ev.CID, Native: identity.ATProto, Subject: acc.Subject(), Kind: kind,
		Target: targetOf(decodeRecord(ev.Record)), Ledger: permit.LedgerIndex(), Body: servedDocument(activity), Record: ev.Record,
	})
}

// mapGate stores the post that a gate changed: a gate has no document of its own.
func (b *Bridge) mapGate(tx Tx, acc *identity.Account, activity map[string]any) error {
	found, err := tx.ObjectsByAPID(idOf(activity["object"]))
	if err != nil || len(found) == 0 || activity["type"] != "Update" || found[0].Subject != acc.Subject() || !found[0].Deleted.IsZero() {
		return err
	}
	found[0].Body = servedDocument(activity)
	return tx.PutObject(found[0])
}

// servedDocument is what a GET of the object's id answers: the note itself, or the whole activity of a like or boost.
func servedDocument(activity map[string]any) []byte {
	if object, ok := activity["object"].(map[string]any); ok && str(object["id"]) != "" && (activity["type"] == "Create" || activity["type"] == "Update") {
		if object["@context"] == nil {
			copied := map[string]any{"@context": activity["@context"]}
			for k, v := range object {
				copied[k] = v
			}
			object = copied
		}
		return mustJSON(object)
	}
	return mustJSON(activity)
}

// inboxesFor are the inboxes that get an activity: followers if it is public, everybody it names, and for a removal all
// that ever got anything of the author's.
func (b *Bridge) inboxesFor(tx Tx, acc *identity.Account, ev translate.Event, activity map[string]any, remote map[string]string) ([]string, error) {
	set := newInboxSet(b.Settings.BaseURL)
	if ev.Action == "delete" || activity["type"] == "Delete" {
		told, err := tx.DeliveredInboxes(acc.Actor)
		if err != nil {
			return nil, err
		}
		set.add(told...)
	}
	if addressed := audience(activity); addressed[Public] || addressed[string(acc.Actor)+"/followers"] {
		targets, err := tx.FollowerInboxes(acc.Actor)
		if err != nil {
			return nil, err
		}
		for _, t := range targets {
			set.add(t.Inbox)
		}
	}
	for id := range audience(activity) {
		set.add(remote[id])
	}
	set.add(remote[idOf(activity["object"])])
	return set.list, nil
}

// inboxSet keeps inboxes in order, each once, none of them ours.
type inboxSet struct {
	own  string
	seen map[string]bool
	list []string
}

func newInboxSet(own string) *inboxSet { return &inboxSet{own: own, seen: map[string]bool{}} }

func (s *inboxSet) add(inboxes ...string) {
	for _, in := range inboxes {
		if in == "" || s.seen[in] || hostOf(in) == hostOf(s.own) {
			continue
		}
		s.seen[in] = true
		s.list = append(s.list, in)
	}
}

func audience(activity map[string]any) map[string]bool {
	out := map[string]bool{}
	for _, field := range []string{"to", "cc", "audience"} {
		switch v := activity[field].(type) {
		case []string:
			for _, id := range v {
				out[id] = true
			}
		default:
			for _, id := range ids(v) {
				out[id] = true
			}
		}
	}
	return out
}

// addressees finds the inbox of every remote actor that the activities name.
func (b *Bridge) addressees(ctx context.Context, activities []map[string]any) (map[string]string, error) {
	inboxes := map[string]string{}
	for _, activity := range activities {
		named := audience(activity)
		if activity["type"] == "Follow" || activity["type"] == "Block" {
			named[idOf(activity["object"])] = true
		}
		for id := range named {
			if err := b.addressee(ctx, id, inboxes); err != nil {
				return nil, err
			}
		}
	}
	return inboxes, nil
}

func (b *Bridge) addressee(ctx context.Context, id string, inboxes map[string]string) error {
	if id == "" || id == Public || hostOf(id) == hostOf(b.Settings.BaseURL) || inboxes[id] != "" {
		return nil
	}
	actor, err := identity.ParseActorID(id)
	if err != nil {
		return nil //nolint:nilerr // a collection or a tag; nobody to send to
	}
	var acc *identity.Account
	err = b.Store.View(ctx, func(tx Tx) error {
		acc, err = known(tx.AccountByActor(actor))
		return err
	})
	if err != nil || acc == nil {
		return err // only people with an account here are sent what names them
	}
	inboxes[id] = firstOf(acc.Inbox, acc.SharedInbox)
	return nil
}
