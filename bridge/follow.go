package bridge

import (
	"context"
	"errors"
	"fmt"

	"footbridge/activitypub"
	"footbridge/bridge/translate"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// followed answers a Follow of somebody's copy. Following always works for delivery; the public record that it becomes
// on the AT side needs the follower's own grant with that scope.
func (b *Bridge) followed(ctx context.Context, j queue.Job, in activitypub.Inbound, env envelope, follower *identity.Account) error {
	remote, err := b.remoteActor(ctx, in.Actor)
	if err != nil {
		return err
	}
	err = b.Store.Update(ctx, func(tx Tx) error {
		owner, err := known(tx.AccountByActor(identity.ActorID(env.object)))
		if err != nil {
			return err
		}
		if owner == nil || owner.Native != identity.ATProto || owner.Status != identity.CopyActive {
			return queue.Drop(string(translate.DropTargetNotJoined))
		}
		if kept, err := b.keepsAway(tx, string(owner.Subject()), string(in.Actor)); err != nil || kept {
			return errors.Join(err, queue.Drop("blocked_by_member"))
		}
		if err := tx.FollowerPut(owner.Actor, activitypub.Follower{Actor: in.Actor, Inbox: remote.Inbox, SharedInbox: remote.SharedInbox, Follow: env.id, Since: tx.Now()}); err != nil {
			return err
		}
		return b.answer(tx, owner.Actor, remote, "Accept", in.Raw, env.id)
	})
	if err != nil {
		return err
	}
	if follower == nil || follower.Status != identity.CopyActive {
		return nil
	}
	return b.publishActivity(ctx, j, in, env, follower)
}

// answer sends Accept or Reject of an activity from one of our actors.
func (b *Bridge) answer(tx Tx, from identity.ActorID, to activitypub.RemoteActor, typ string, raw []byte, about string) error {
	return b.answerWith(tx, from, to, typ, raw, about, "")
}

// answerWith is answer with a result, such as the stamp of a quote.
func (b *Bridge) answerWith(tx Tx, from identity.ActorID, to activitypub.RemoteActor, typ string, raw []byte, about, result string) error {
	id := fmt.Sprintf("%s#%s-%s", from, typ, shortHash(about))
	doc := map[string]any{
		"@context": "https://www.w3.org/ns/activitystreams", "id": id, "type": typ, "actor": string(from),
		"to": []any{string(to.ID)}, "object": embed(raw),
	}
	if result != "" {
		doc["result"] = result
	}
	return b.send(tx, outgoing{id: id, key: about, body: mustJSON(doc), from: from, kind: consent.Service, purpose: consent.PurposeAccept,
		subject: identity.Subject(to.ID), inboxes: []string{to.Inbox}, priority: queue.Urgent, private: true})
}

func (b *Bridge) unfollowed(ctx context.Context, j queue.Job, in activitypub.Inbound, env envelope, follower *identity.Account) error {
	err := b.Store.Update(ctx, func(tx Tx) error {
		target, err := followTarget(tx, in.Actor, env)
		if err != nil {
			return err
		}
		_, err = tx.FollowerDelete(target, in.Actor)
		return err
	})
	if err != nil {
		return err
	}
	if !mayAct(follower, true) {
		return nil
	}
	return b.publishActivity(ctx, j, in, env, follower)
}

// followTarget is whom an undone Follow was of; some servers name the Follow only by its id.
func followTarget(tx Tx, follower identity.ActorID, env envelope) (identity.ActorID, error) {
	if env.inner != "" {
		return identity.ActorID(env.inner), nil
	}
	owners, err := tx.FollowersOf(follower)
	if err != nil {
		return "", err
	}
	for _, owner := range owners {
		if f, err := tx.FollowerGet(owner, follower); err != nil || (f != nil && f.Follow == env.object) {
			return owner, err
		}
	}
	return "", nil
}

// blocked enforces a Block privately: the blocker no longer gets, and the blocked no longer reaches. Only with a scope
// of its own does it become a public record (R14, R52).
func (b *Bridge) blocked(ctx context.Context, j queue.Job, in activitypub.Inbound, env envelope, blocker *identity.Account) error {
	err := b.Store.Update(ctx, func(tx Tx) error {
		owner, err := known(tx.AccountByActor(identity.ActorID(env.object)))
		if err != nil || owner == nil {
			return errors.Join(err, queue.Drop(string(translate.DropTargetNotJoined)))
		}
		if _, err := tx.FollowerDelete(owner.Actor, in.Actor); err != nil {
			return err
		}
		return b.block(tx, string(in.Actor), string(owner.Subject()), env.id)
	})
	if err != nil || blocker == nil || blocker.Status != identity.CopyActive {
		return err
	}
	return b.publishActivity(ctx, j, in, env, blocker)
}

func (b *Bridge) unblocked(ctx context.Context, j queue.Job, in activitypub.Inbound, env envelope, blocker *identity.Account) error {
	err := b.Store.Update(ctx, func(tx Tx) error {
		owner, err := known(tx.AccountByActor(identity.ActorID(env.inner)))
		if err != nil {
			return err
		}
		target := env.object // the Block's id
		if owner != nil {
			target = string(owner.Subject())
		}
		return b.unblock(tx, string(in.Actor), target)
	})
	if err != nil || !mayAct(blocker, true) {
		return err
	}
	return b.publishActivity(ctx, j, in, env, blocker)
}
