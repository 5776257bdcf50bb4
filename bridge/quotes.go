package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"footbridge/activitypub"
	"footbridge/bridge/translate"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// quoteRequested answers somebody who wants to quote a member's post (FEP-044f): by the post's own policy, with a stamp
// that says so. Who asks need not have joined; nothing of theirs is published by a stamp.
func (b *Bridge) quoteRequested(ctx context.Context, j queue.Job, in activitypub.Inbound, env envelope) error {
	remote, err := b.remoteActor(ctx, in.Actor)
	if err != nil {
		return err
	}
	quoting := idOf(env.doc["instrument"])
	return b.done(ctx, j, func(tx Tx) error {
		owner, err := b.ownerOf(tx, env.object)
		if err != nil {
			return err
		}
		if owner == nil || owner.Native != identity.ATProto || owner.Status != identity.CopyActive || !sameOrigin(quoting, string(in.Actor)) {
			return queue.Drop(string(translate.DropTargetNotShared))
		}
		allowed, err := b.mayQuote(tx, owner, env.object, in.Actor)
		if err != nil {
			return err
		}
		if !allowed {
			return b.answer(tx, owner.Actor, remote, "Reject", in.Raw, env.id)
		}
		stamp := translate.QuoteAuthorizationID(env.object, quoting)
		if err := tx.PutSetting(b.stampKey(stamp), []byte{1}); err != nil {
			return err
		}
		return b.answerWith(tx, owner.Actor, remote, "Accept", in.Raw, env.id, stamp)
	})
}

// mayQuote reads the policy of a served post.
func (b *Bridge) mayQuote(tx Tx, owner *identity.Account, quoted string, who identity.ActorID) (bool, error) {
	if kept, err := b.keepsAway(tx, string(owner.Subject()), string(who)); err != nil || kept {
		return false, err
	}
	found, err := tx.ObjectsByAPID(quoted)
	if err != nil || len(found) == 0 || !found[0].Deleted.IsZero() {
		return false, err
	}
	var doc struct {
		Policy struct {
			CanQuote struct {
				Automatic any `json:"automaticApproval"`
			} `json:"canQuote"`
		} `json:"interactionPolicy"`
	}
	if err := json.Unmarshal(found[0].Body, &doc); err != nil {
		return false, fmt.Errorf("reading a served post: %w", err)
	}
	approved := ids(doc.Policy.CanQuote.Automatic)
	if slices.Contains(approved, Public) || slices.Contains(approved, string(who)) {
		return true, nil
	}
	if slices.Contains(approved, string(owner.Actor)+"/followers") {
		f, err := tx.FollowerGet(owner.Actor, who)
		return f != nil, err
	}
	return false, nil
}

// stampKey is where it is kept that a stamp was given. It names nobody.
func (b *Bridge) stampKey(stamp string) string { return "quote:" + b.pseudonym("quote", stamp) }

// quoteStamp serves a stamp that was given, as long as the quoted post is there. Its id says all of it, and anybody can
// make one up, so only those that are remembered count.
func (b *Bridge) quoteStamp(tx Tx, id string) (json.RawMessage, identity.ActorID, activitypub.Presence, error) {
	base := b.Settings.BaseURL
	own, ok := translate.ParseOwnID(base, id)
	if !ok {
		return nil, "", activitypub.Absent, nil
	}
	quoting, ok := own.QuotingID()
	if !ok {
		return nil, "", activitypub.Absent, nil
	}
	if given, err := tx.Setting(b.stampKey(id)); err != nil || given == nil {
		return nil, "", activitypub.Absent, err
	}
	quoted := translate.ObjectID(base, own.URI(), own.Incarnation)
	found, err := tx.ObjectsByAPID(quoted)
	if err != nil || len(found) == 0 {
		return nil, "", activitypub.Absent, err
	}
	acc, err := account(tx, found[0].Subject)
	if err != nil || acc == nil {
		return nil, "", activitypub.Absent, err
	}
	if !found[0].Deleted.IsZero() {
		return nil, acc.Actor, activitypub.Gone, nil
	}
	return mustJSON(translate.QuoteAuthorization(string(acc.Actor), quoted, quoting)), acc.Actor, presence(acc.Status), nil
}

// quoteAccepted puts the stamp that a quoted author gave into the member's note, and tells those who have it.
func (b *Bridge) quoteAccepted(ctx context.Context, j queue.Job, in activitypub.Inbound, env envelope) error {
	note, stamp := idOf(env.objectDoc["instrument"]), idOf(env.doc["result"])
	if note == "" {
		note = strings.TrimSuffix(env.object, "#quote-request")
	}
	return b.done(ctx, j, func(tx Tx) error {
		found, err := tx.ObjectsByAPID(note)
		if err != nil || len(found) == 0 || !found[0].Deleted.IsZero() || !sameOrigin(stamp, string(in.Actor)) {
			return errors.Join(err, queue.Drop(string(translate.DropUnknownTarget)))
		}
		owner, err := account(tx, found[0].Subject)
		if err != nil || owner == nil || owner.Native != identity.ATProto {
			return errors.Join(err, queue.Drop(string(translate.DropUnknownTarget)))
		}
		return b.stampNote(tx, owner, found[0], stamp, in.Actor)
	})
}

func (b *Bridge) stampNote(tx Tx, owner *identity.Account, o Object, stamp string, quoted identity.ActorID) error {
	var doc map[string]any
	if err := json.Unmarshal(o.Body, &doc); err != nil {
		return fmt.Errorf("reading a served post: %w", err)
	}
	if !sameOrigin(str(doc["quote"]), string(quoted)) || doc["quoteAuthorization"] == stamp {
		return nil
	}
	doc["quoteAuthorization"] = stamp
	o.Body = mustJSON(doc)
	if err := tx.PutObject(o); err != nil {
		return err
	}
	targets, err := tx.FollowerInboxes(owner.Actor)
	if err != nil {
		return err
	}
	set := newInboxSet(b.Settings.BaseURL)
	for _, t := range targets {
		set.add(t.Inbox)
	}
	update := map[string]any{"@context": doc["@context"], "id": translate.UpdateID(o.APID, shortHash(stamp)), "type": "Update", "actor": string(owner.Actor),
		"to": doc["to"], "cc": doc["cc"], "object": doc}
	return b.send(tx, outgoing{id: str(update["id"]), key: o.APID, body: mustJSON(update), from: owner.Actor, kind: consent.Publish, scope: consent.ScopePosts,
		subject: owner.Subject(), epoch: owner.Epoch, inboxes: set.list, priority: queue.Normal})
}

// sameOrigin reports whether two ids share scheme, host and port.
func sameOrigin(a, b string) bool {
	ua, errA := url.Parse(a)
	ub, errB := url.Parse(b)
	return errA == nil && errB == nil && ua.Host != "" && ua.Scheme == ub.Scheme && strings.EqualFold(ua.Host, ub.Host)
}
