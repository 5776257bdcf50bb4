package bridge

import (
	"context"

	"footbridge/activitypub"
	"footbridge/identity"
	"footbridge/queue"
)

// AcceptInbound is the activitypub.InboxFunc: it returns nil only when the activity is durable, a duplicate, or of no
// concern. Nothing is fetched or decided here; that is the job's.
func (b *Bridge) AcceptInbound(ctx context.Context, in activitypub.Inbound) error {
	env, err := openEnvelope(in.Raw)
	if err != nil {
		return nil //nolint:nilerr // what cannot be read concerns nobody; the sender must not send it again
	}
	return b.Store.Update(ctx, func(tx Tx) error {
		acc, err := known(tx.AccountByActor(in.Actor))
		if err != nil {
			return err
		}
		if env.typ == "Delete" && env.object == string(in.Actor) {
			if err := followerGone(tx, in.Actor); err != nil {
				return err
			}
		}
		if acc == nil && !env.touches(b.Settings.BaseURL) {
			return nil
		}
		fresh, err := b.seen(tx, "ap:"+string(in.Actor)+":"+in.ID)
		if err != nil || !fresh {
			return err
		}
		key := authorKey(identity.Subject(in.Actor))
		if b.isBot(env) || env.typ == "Delete" && env.object == string(in.Actor) {
			key = contactKey(identity.Subject(in.Actor))
		}
		j, err := job(JobInbound, key, InboundJob{Inbound: in})
		if err != nil {
			return err
		}
		j.Subject, j.Priority = string(in.Actor), inboundPriority(env)
		if acc != nil {
			j.Epoch = acc.Epoch
		}
		return enqueue(tx, j)
	})
}

// followerGone forgets an actor who deleted their account, wherever they follow somebody here.
func followerGone(tx Tx, gone identity.ActorID) error {
	owners, err := tx.FollowersOf(gone)
	if err != nil {
		return err
	}
	for _, owner := range owners {
		if _, err := tx.FollowerDelete(owner, gone); err != nil {
			return err
		}
	}
	return tx.RemoteActorDelete(gone)
}

// inboundPriority puts undoing and talking to the bot before everything else, then replies.
func inboundPriority(env envelope) queue.Priority {
	switch env.typ {
	case "Delete", "Undo", "Block", "Move", "Reject":
		return queue.Urgent
	case "Create":
		if env.inner != "" || !env.public() {
			return queue.Urgent
		}
	}
	return queue.Normal
}
