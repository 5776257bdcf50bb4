package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"footbridge/activitypub"
	"footbridge/identity"
)

// Directory is what the fediverse side serves, read from the store.
type Directory struct{ b *Bridge }

// Directory gives the bridge's answers to package activitypub.
func (b *Bridge) Directory() *Directory { return &Directory{b} }

var _ activitypub.Directory = (*Directory)(nil)

// ByID finds a local actor: the bot, the instance actor, or somebody's copy.
func (d *Directory) ByID(ctx context.Context, id identity.ActorID) (*activitypub.LocalActor, error) {
	switch id {
	case d.b.BotActor():
		return d.b.botDocument(), nil
	case d.b.InstanceActor():
		return d.b.instanceDocument(), nil
	}
	var out *activitypub.LocalActor
	err := d.b.Store.View(ctx, func(tx Tx) error {
		acc, err := known(tx.AccountByActor(id))
		if acc == nil && err == nil {
			out, err = d.goneActor(tx, id)
			return err
		}
		if err != nil || acc.Native != identity.ATProto {
			return err
		}
		out, err = localActor(tx, acc)
		return err
	})
	return out, err
}

func localActor(tx Tx, acc *identity.Account) (*activitypub.LocalActor, error) {
	a := &activitypub.LocalActor{ID: acc.Actor, Username: string(acc.Handle), Presence: presence(acc.Status)}
	if acc.Status == identity.CopyErasing {
		return leavingActor(a), nil
	}
	if a.Presence != activitypub.Present {
		return a, nil
	}
	found, err := tx.ObjectsByAPID(string(acc.Actor))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if err := json.Unmarshal(found[0].Body, &a.Document); err != nil {
		return nil, fmt.Errorf("reading a stored actor: %w", err)
	}
	if name := str(a.Document["preferredUsername"]); name != "" {
		a.Username = name
	}
	return a, nil
}

// leavingActor is what an actor still shows while its Deletes are under way: the key that they are checked with.
func leavingActor(a *activitypub.LocalActor) *activitypub.LocalActor {
	a.Presence = activitypub.Present
	a.Document = map[string]any{"id": string(a.ID), "type": "Person", "preferredUsername": a.Username, "inbox": string(a.ID) + "/inbox",
		"outbox": string(a.ID) + "/outbox", "discoverable": false, "indexable": false}
	return a
}

// presence is what a request for a copy is told: hidden ones are not found, erased ones are gone.
func presence(s identity.CopyStatus) activitypub.Presence {
	switch s {
	case identity.CopyActive:
		return activitypub.Present
	case identity.CopyHidden:
		return activitypub.Hidden
	case identity.CopyErasing, identity.CopyGone:
		return activitypub.Gone
	}
	return activitypub.Absent
}

// ByName finds an actor by the user part of its address: a handle, a DID, or one of our own names.
func (d *Directory) ByName(ctx context.Context, name string) (*activitypub.LocalActor, error) {
	name = strings.ToLower(strings.TrimPrefix(name, "@"))
	switch name {
	case botName:
		return d.b.botDocument(), nil
	case strings.ToLower(d.b.Settings.Domain):
		return d.b.instanceDocument(), nil
	}
	var out *activitypub.LocalActor
	err := d.b.Store.View(ctx, func(tx Tx) error {
		acc, err := known(tx.AccountByHandle(syntax.Handle(name)))
		if acc == nil && err == nil && strings.HasPrefix(name, "did:") {
			acc, err = known(tx.AccountByDID(syntax.DID(name)))
		}
		if err != nil || acc == nil || acc.Native != identity.ATProto {
			return err
		}
		out, err = localActor(tx, acc)
		return err
	})
	return out, err
}

// Object gives a stored document of ours.
func (d *Directory) Object(ctx context.Context, id string) (doc json.RawMessage, owner identity.ActorID, p activitypub.Presence, err error) {
	err = d.b.Store.View(ctx, func(tx Tx) error {
		found, err := tx.ObjectsByAPID(id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			if p, err = d.goneObject(tx, id); err != nil || p == activitypub.Gone {
				return err
			}
			doc, owner, p, err = d.b.quoteStamp(tx, id)
			return err
		}
		acc, err := account(tx, found[0].Subject)
		if err != nil {
			return err
		}
		if acc == nil || acc.Native != identity.ATProto {
			return nil
		}
		owner, p, doc = acc.Actor, presence(acc.Status), found[0].Body
		if !found[0].Deleted.IsZero() {
			p, doc = activitypub.Gone, nil
		} else if len(doc) == 0 {
			p = activitypub.Absent
		}
		return nil
	})
	return doc, owner, p, err
}

// Collection pages through what belongs to a local actor. Who follows is counted and not listed: followers did not agree
// to be shown here.
func (d *Directory) Collection(ctx context.Context, owner identity.ActorID, name, cursor string, limit int) (items []any, next string, total int, err error) {
	err = d.b.Store.View(ctx, func(tx Tx) error {
		acc, err := known(tx.AccountByActor(owner))
		if err != nil || acc == nil {
			return err
		}
		switch kind, arg, _ := strings.Cut(name, ":"); kind {
		case "outbox":
			items, next, total, err = d.outbox(tx, acc, cursor, limit)
		case "followers":
			total, err = tx.FollowerCount(owner)
		case "featured":
			items, err = d.featured(tx, acc)
			total = len(items)
		case "replies", "likes", "shares":
			items, total, err = d.reactions(tx, kind, arg, limit)
		}
		return err
	})
	return items, next, total, err
}

func (d *Directory) outbox(tx Tx, acc *identity.Account, cursor string, limit int) (items []any, next string, total int, err error) {
	before := time.Time{}
	if n, err := strconv.ParseInt(cursor, 10, 64); err == nil {
		before = time.UnixMicro(n)
	}
	found, err := tx.ObjectsOfKind(acc.Subject(), "post", before, limit)
	for _, o := range found {
		items = append(items, o.APID)
		next = strconv.FormatInt(o.Created.UnixMicro(), 10)
	}
	if len(found) < limit {
		next = ""
	}
	return items, next, len(found), err
}

func (d *Directory) featured(tx Tx, acc *identity.Account) ([]any, error) {
	found, err := tx.ObjectsByAPID(string(acc.Actor))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	pinned, _ := recordField(found[0].Record, "pinnedPost").(map[string]any)
	obj, err := tx.ObjectByURI(str(pinned["uri"]))
	if err != nil || len(obj.Body) == 0 {
		return nil, nil //nolint:nilerr // nothing pinned that is shared here
	}
	return []any{json.RawMessage(obj.Body)}, nil
}

// reactions counts bridged reactions to an object of ours; replies by people who joined are listed.
func (d *Directory) reactions(tx Tx, kind, id string, limit int) ([]any, int, error) {
	target, err := tx.ObjectsByAPID(id)
	if err != nil || len(target) == 0 {
		return nil, 0, err
	}
	record := map[string]string{"replies": "post", "likes": "like", "shares": "repost"}[kind]
	found, err := tx.ObjectsAt(target[0].URI, record, 1000)
	if err != nil || kind != "replies" {
		return nil, len(found), err
	}
	var items []any
	for _, o := range found[:min(len(found), limit)] {
		items = append(items, o.APID)
	}
	return items, len(found), nil
}

// BlockedHost reports the operator's block of a host.
func (d *Directory) BlockedHost(ctx context.Context, host string) bool {
	blocked := true // when in doubt, no
	err := d.b.Store.View(ctx, func(tx Tx) (err error) {
		blocked, err = refused(tx, "", host)
		return err
	})
	return blocked || err != nil
}

// Stats are for NodeInfo; they count members' copies, rounded down to tens so that joining is not watched from outside.
func (d *Directory) Stats(ctx context.Context) (users, posts int, err error) {
	err = d.b.Store.View(ctx, func(tx Tx) error {
		if users, err = tx.CountObjects("profile"); err != nil {
			return err
		}
		posts, err = tx.CountObjects("post")
		return err
	})
	return users / 10 * 10, posts / 10 * 10, err
}

func (b *Bridge) botDocument() *activitypub.LocalActor {
	id := b.BotActor()
	return &activitypub.LocalActor{ID: id, Username: botName, Presence: activitypub.Present, Document: map[string]any{
		"id": string(id), "type": "Service", "preferredUsername": botName, "name": "Footbridge",
		"summary": "<p>Follow this account to join the bridge between the fediverse and Bluesky. It will ask you first. Block it, or write <i>stop</i>, to leave.</p>",
		"url":     b.Settings.BaseURL + "/", "inbox": string(id) + "/inbox", "outbox": string(id) + "/outbox",
		"followers": string(id) + "/followers", "following": string(id) + "/following", "manuallyApprovesFollowers": true,
		"discoverable": true, "indexable": false, "published": "2026-11-24T00:00:00Z",
	}}
}

func (b *Bridge) instanceDocument() *activitypub.LocalActor {
	id := b.InstanceActor()
	return &activitypub.LocalActor{ID: id, Username: b.Settings.Domain, Presence: activitypub.Present, Document: map[string]any{
		"id": string(id), "type": "Application", "preferredUsername": b.Settings.Domain, "name": "Footbridge",
		"url": b.Settings.BaseURL + "/", "inbox": string(id) + "/inbox", "outbox": string(id) + "/outbox", "manuallyApprovesFollowers": true,
	}}
}

// Owner tells whom an object of the fediverse belongs to, if it is in the object map (activitypub.Authority).
func (b *Bridge) Owner(ctx context.Context, objectID string) (owner identity.ActorID, ok bool) {
	err := b.Store.View(ctx, func(tx Tx) error {
		found, err := tx.ObjectsByAPID(objectID)
		if err != nil || len(found) == 0 {
			return err
		}
		acc, err := account(tx, found[0].Subject)
		if err == nil && acc != nil {
			owner, ok = acc.Actor, true
		}
		return err
	})
	if err != nil {
		return "", true // in doubt it belongs to nobody who asks
	}
	return owner, ok
}

// Knows tells whether anything here has to do with an actor, so that the deletion of a stranger costs no fetch.
func (b *Bridge) Knows(ctx context.Context, id identity.ActorID) bool {
	knows := true
	err := b.Store.View(ctx, func(tx Tx) error {
		acc, err := known(tx.AccountByActor(id))
		if err != nil || acc != nil {
			return err
		}
		follows, err := tx.FollowersOf(id)
		knows = len(follows) > 0
		return err
	})
	return knows || err != nil
}
