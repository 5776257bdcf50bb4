package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"footbridge/activitypub"
	"footbridge/atproto"
	"footbridge/bridge/translate"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// profileChanged refreshes a member's copy after an Update of the actor or a commit of the profile record.
func (b *Bridge) profileChanged(ctx context.Context, j queue.Job, acc *identity.Account) error {
	if acc == nil || acc.Status != identity.CopyActive {
		return queue.Drop(string(translate.DropAuthorNotJoined))
	}
	return b.done(ctx, j, func(tx Tx) error {
		if err := tx.RemoteActorDelete(acc.Actor); err != nil {
			return err
		}
		r, err := subjectJob(JobRefresh, acc, "")
		if err != nil {
			return err
		}
		return tx.Enqueue(r)
	})
}

// handleRefresh brings the copy's profile up to date, after reading what the profile says about bridging.
func (b *Bridge) handleRefresh(ctx context.Context, j queue.Job) error {
	p, err := decode[SubjectJob](j)
	if err != nil {
		return err
	}
	acc, err := b.load(ctx, p.Subject)
	if err != nil || acc == nil || acc.Status != identity.CopyActive {
		return errors.Join(err, queue.Drop("withdrawn"))
	}
	if acc.Native == identity.ATProto {
		return b.refreshActor(ctx, j, acc)
	}
	return b.refreshRepo(ctx, j, acc)
}

func (b *Bridge) refreshRepo(ctx context.Context, j queue.Job, acc *identity.Account) error {
	remote, err := b.remoteActor(ctx, acc.Actor)
	if err != nil {
		return err
	}
	if stop, err := b.heedSignals(ctx, acc, b.signals().ActorSignals(remote.Raw)); stop || err != nil {
		return err
	}
	record, losses, blobs, err := b.profileRecord(ctx, acc, remote)
	if err != nil {
		return err
	}
	return deniedIsDrop(b.done(ctx, j, func(tx Tx) error {
		permit, err := b.Gate.Publish(ctx, tx, acc.Subject(), consent.ScopeProfile)
		if err != nil {
			return err
		}
		if err := b.putProfile(ctx, tx, permit, acc, record, blobs); err != nil {
			return err
		}
		return b.note(tx, acc, string(acc.Actor), "profile", "ap>at", "bridged", lossNames(losses))
	}))
}

// heedSignals takes what the profile now says about bridging; `#nobridge` and its kin are one of the ways out (R13).
func (b *Bridge) heedSignals(ctx context.Context, acc *identity.Account, s consent.Signals) (stop bool, err error) {
	err = b.Store.Update(ctx, func(tx Tx) error {
		change, err := b.Desk.Observe(tx, acc.Subject(), s, consent.Evidence{})
		if err != nil {
			return err
		}
		stop = change.State != consent.Granted
		return b.apply(tx, acc, change)
	})
	return stop, err
}

// profileRecord converts an actor document with its pictures.
func (b *Bridge) profileRecord(ctx context.Context, acc *identity.Account, remote activitypub.RemoteActor) (map[string]any, []translate.Loss, blobSet, error) {
	refs, err := translate.ActivityRefs(remote.Raw, b.Settings.BaseURL)
	if err != nil {
		return nil, nil, nil, queue.Dead(fmt.Errorf("reading a profile: %w", err))
	}
	c, blobs, err := b.resolve(ctx, queue.Job{Created: b.Now()}, acc, refs)
	if err != nil {
		return nil, nil, nil, err
	}
	record, losses, err := translate.ProfileRecord(remote.Raw, c)
	if err != nil {
		return nil, nil, nil, queue.Dead(fmt.Errorf("converting a profile: %w", err))
	}
	return record, losses, blobs, nil
}

func (b *Bridge) refreshActor(ctx context.Context, j queue.Job, acc *identity.Account) error {
	signals, err := b.profileSignals(ctx, acc.DID)
	if err != nil {
		return err
	}
	if stop, err := b.heedSignals(ctx, acc, signals); stop || err != nil {
		return err
	}
	doc, profile, losses, err := b.actorDocument(ctx, acc)
	if err != nil {
		return err
	}
	return deniedIsDrop(b.done(ctx, j, func(tx Tx) error {
		permit, err := b.Gate.Publish(ctx, tx, acc.Subject(), consent.ScopeProfile)
		if err != nil {
			return err
		}
		body := mustJSON(doc)
		if err := tx.PutObject(Object{APID: string(acc.Actor), URI: profileURI(acc.DID), Native: identity.ATProto, Subject: acc.Subject(),
			Kind: "profile", Ledger: permit.LedgerIndex(), Body: body, Record: profile}); err != nil {
			return err
		}
		if err := b.sendUpdate(tx, acc, doc, shortHash(string(body))); err != nil {
			return err
		}
		return b.note(tx, acc, string(acc.DID), "profile", "at>ap", "bridged", lossNames(losses))
	}))
}

func profileURI(did syntax.DID) string { return "at://" + string(did) + "/app.bsky.actor.profile/self" }

// sendUpdate tells the followers of a copy that its actor changed.
func (b *Bridge) sendUpdate(tx Tx, acc *identity.Account, doc map[string]any, version string) error {
	targets, err := tx.FollowerInboxes(acc.Actor)
	if err != nil {
		return err
	}
	set := newInboxSet(b.Settings.BaseURL)
	for _, t := range targets {
		set.add(t.Inbox)
	}
	update := map[string]any{"@context": doc["@context"], "id": translate.UpdateID(string(acc.Actor), version), "type": "Update", "actor": string(acc.Actor),
		"to": []any{Public}, "cc": []any{string(acc.Actor) + "/followers"}, "object": doc}
	return b.send(tx, outgoing{id: str(update["id"]), key: string(acc.Actor), body: mustJSON(update), from: acc.Actor, kind: consent.Publish,
		scope: consent.ScopeProfile, subject: acc.Subject(), epoch: acc.Epoch, inboxes: set.list})
}

// profileOf is the profile record of an AT native; somebody without one has an empty profile.
func (b *Bridge) profileOf(ctx context.Context, did syntax.DID) (json.RawMessage, error) {
	uri, err := syntax.ParseATURI(profileURI(did))
	if err != nil {
		return nil, queue.Dead(err)
	}
	rec, err := b.Reader.GetRecord(ctx, uri)
	switch {
	case err == nil:
		return rec.Value, nil
	case errors.Is(err, atproto.ErrNotFound):
		return json.RawMessage(`{"$type":"app.bsky.actor.profile"}`), nil
	}
	return nil, fmt.Errorf("fetching a profile: %w", err)
}

// actorDocument converts the profile record of an AT native.
func (b *Bridge) actorDocument(ctx context.Context, acc *identity.Account) (doc map[string]any, profile json.RawMessage, losses []translate.Loss, err error) {
	if profile, err = b.profileOf(ctx, acc.DID); err != nil {
		return nil, nil, nil, err
	}
	c, _, err := b.resolve(ctx, queue.Job{Created: b.Now()}, acc, translate.Refs{})
	if err != nil {
		return nil, nil, nil, err
	}
	if doc, losses, err = translate.ActorDocument(profile, string(acc.DID), string(acc.Handle), c); err != nil {
		return nil, nil, nil, queue.Dead(fmt.Errorf("converting a profile: %w", err))
	}
	return doc, profile, losses, nil
}

// handleAccount follows what happens to an AT native: a new handle, a hidden or deleted account.
func (b *Bridge) handleAccount(ctx context.Context, j queue.Job) error {
	p, err := decode[AccountJob](j)
	if err != nil {
		return err
	}
	acc, err := b.load(ctx, identity.Subject(p.Event.DID))
	if err != nil || acc == nil {
		return errors.Join(err, queue.Drop("unknown_person"))
	}
	if p.Event.Kind == "identity" {
		return b.handleChanged(ctx, j, acc)
	}
	switch {
	case p.Event.Active:
		return b.done(ctx, j, func(tx Tx) error { return b.show(tx, acc) })
	case p.Event.Status == "deleted":
		return b.nativeGone(ctx, j, acc)
	default: // deactivated, suspended, taken down: hidden as long as the original is
		return b.done(ctx, j, func(tx Tx) error { return b.hide(tx, acc) })
	}
}

func (b *Bridge) handleChanged(ctx context.Context, j queue.Job, acc *identity.Account) error {
	b.Resolver.Purge(acc.DID)
	id, err := b.Resolver.ResolveDID(ctx, acc.DID)
	if err != nil {
		return fmt.Errorf("resolving a member: %w", err)
	}
	if id.Handle == acc.Handle || acc.Status != identity.CopyActive {
		return nil
	}
	return b.done(ctx, j, func(tx Tx) error {
		if err := reload(tx, acc); err != nil || acc.Status != identity.CopyActive {
			return err
		}
		acc.Handle, acc.Acct = id.Handle, string(id.Handle)+"@"+b.Settings.Domain
		acc.URL = "https://bsky.app/profile/" + string(id.Handle)
		if err := tx.PutAccount(acc); err != nil {
			return err
		}
		r, err := subjectJob(JobRefresh, acc, "")
		if err != nil {
			return err
		}
		return tx.Enqueue(r)
	})
}
