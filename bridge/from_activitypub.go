package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"footbridge/activitypub"
	"footbridge/bridge/translate"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// handleInbound routes one activity that was verified to come from its actor.
func (b *Bridge) handleInbound(ctx context.Context, j queue.Job) error {
	p, err := decode[InboundJob](j)
	if err != nil {
		return err
	}
	in := p.Inbound
	env, err := openEnvelope(in.Raw)
	if err != nil {
		return queue.Dead(err)
	}
	acc, blocked, err := b.sender(ctx, in)
	if err != nil {
		return err
	}
	if blocked && env.typ != "Delete" && env.typ != "Undo" {
		return queue.Drop("blocked_by_operator")
	}
	if b.isBot(env) {
		return b.botActivity(ctx, j, in, env, acc)
	}
	return b.routeActivity(ctx, j, in, env, acc)
}

// sender looks up who it comes from, and whether the operator refuses them.
func (b *Bridge) sender(ctx context.Context, in activitypub.Inbound) (acc *identity.Account, blocked bool, err error) {
	err = b.Store.View(ctx, func(tx Tx) error {
		if acc, err = known(tx.AccountByActor(in.Actor)); err != nil {
			return err
		}
		blocked, err = refused(tx, identity.Subject(in.Actor), in.Actor.Host())
		return err
	})
	return acc, blocked, err
}

func (b *Bridge) isBot(env envelope) bool {
	bot := string(b.BotActor())
	switch env.typ {
	case "Follow", "Block":
		return env.object == bot
	case "Undo", "Accept", "Reject":
		return env.inner == bot || env.innerActor == bot
	case "Create":
		return !env.public() && env.addresses(bot)
	}
	return false
}

func (b *Bridge) routeActivity(ctx context.Context, j queue.Job, in activitypub.Inbound, env envelope, acc *identity.Account) error {
	switch {
	case env.typ == "Follow":
		return b.followed(ctx, j, in, env, acc)
	case env.typ == "Undo" && env.objectType == "Follow":
		return b.unfollowed(ctx, j, in, env, acc)
	case env.typ == "Block":
		return b.blocked(ctx, j, in, env, acc)
	case env.typ == "Undo" && env.objectType == "Block":
		return b.unblocked(ctx, j, in, env, acc)
	case env.typ == "QuoteRequest":
		return b.quoteRequested(ctx, j, in, env)
	case env.typ == "Accept" && (env.objectType == "QuoteRequest" || strings.HasSuffix(env.object, "#quote-request")):
		return b.quoteAccepted(ctx, j, in, env)
	case env.typ == "Accept" || env.typ == "Reject":
		return queue.Drop(string(translate.DropHandshake))
	case env.typ == "Delete" && env.object == string(in.Actor):
		return b.nativeGone(ctx, j, acc)
	case env.typ == "Move":
		return b.nativeMoved(ctx, j, in, env, acc)
	case env.typ == "Update" && env.object == string(in.Actor):
		return b.profileChanged(ctx, j, acc)
	}
	return b.publishActivity(ctx, j, in, env, acc)
}

// publishActivity carries a member's activity over, or counts a stranger's.
func (b *Bridge) publishActivity(ctx context.Context, j queue.Job, in activitypub.Inbound, env envelope, acc *identity.Account) error {
	if !mayAct(acc, env.removes()) {
		return b.stranger(ctx, j, env, acc)
	}
	res, blobs, err := b.convertActivity(ctx, j, in, acc)
	if err != nil {
		return err
	}
	if waits, err := b.waitsForCreate(ctx, j, in, env, acc, res.Dropped); waits || err != nil {
		return err
	}
	if res.Dropped != translate.None {
		return b.dropActivity(ctx, j, env, acc, res.Dropped)
	}
	return b.applyWrites(ctx, j, acc, env, res, blobs)
}

func (b *Bridge) convertActivity(ctx context.Context, j queue.Job, in activitypub.Inbound, acc *identity.Account) (translate.ATResult, blobSet, error) {
	refs, err := translate.ActivityRefs(in.Raw, b.Settings.BaseURL)
	if err != nil {
		return translate.ATResult{}, nil, queue.Drop(string(translate.DropMalformed))
	}
	c, blobs, err := b.resolve(ctx, j, acc, refs)
	if err != nil {
		return translate.ATResult{}, nil, err
	}
	res, err := translate.FromActivity(in.Raw, c)
	if err != nil {
		return translate.ATResult{}, nil, queue.Drop(string(translate.DropMalformed))
	}
	return res, blobs, nil
}

// dropActivity records why nothing came of a member's activity. A Delete or Undo of something unseen leaves a tombstone,
// so that what it takes back is refused when it comes late (R30).
func (b *Bridge) dropActivity(ctx context.Context, j queue.Job, env envelope, acc *identity.Account, why translate.DropReason) error {
	err := b.done(ctx, j, func(tx Tx) error {
		if (env.typ == "Delete" || env.typ == "Undo") && env.object != "" && activitypub.MayMutate(acc.Actor, env.object) {
			if err := b.bury(tx, env.object, "", acc.Subject()); err != nil {
				return err
			}
		}
		return b.note(tx, acc, env.object, env.typ, "ap>at", "dropped", string(why))
	})
	return err
}

// stranger handles what somebody without a live grant did to people here: their words and name go nowhere (R38); the
// owner may be told a number.
func (b *Bridge) stranger(ctx context.Context, j queue.Job, env envelope, acc *identity.Account) error {
	return b.done(ctx, j, func(tx Tx) error {
		b.Observe(Outcome{Kind: env.typ, Direction: "ap>at", Result: "dropped", Reason: string(translate.DropAuthorNotJoined)})
		owner, err := b.ownerOf(tx, firstOf(env.inner, env.object))
		if err != nil || owner == nil {
			return err
		}
		return countUnbridged(tx, owner.Subject())
	})
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// ownerOf finds whose thing an id of this bridge is; nil if it is nobody's.
func (b *Bridge) ownerOf(tx Tx, id string) (*identity.Account, error) {
	if acc, err := known(tx.AccountByActor(identity.ActorID(id))); acc != nil || err != nil {
		return acc, err
	}
	found, err := tx.ObjectsByAPID(id)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return account(tx, found[0].Subject)
}

// applyWrites commits what a member's activity became: the gate is asked again in the transaction, and the commit, the
// blobs, the object map, the event and the end of the job are one.
func (b *Bridge) applyWrites(ctx context.Context, j queue.Job, acc *identity.Account, env envelope, res translate.ATResult, blobs blobSet) error {
	err := b.done(ctx, j, func(tx Tx) error {
		current, err := account(tx, acc.Subject())
		if err != nil || !mayAct(current, env.removes()) {
			return errors.Join(err, queue.Drop("withdrawn"))
		}
		return b.writeRepo(ctx, tx, current, env, res, blobs)
	})
	if errors.Is(err, consent.ErrDenied) {
		return b.dropDenied(ctx, j, acc, env.object, env.typ, "ap>at", string(consent.ReasonOf(err)))
	}
	return err
}

func (b *Bridge) writeRepo(ctx context.Context, tx Tx, acc *identity.Account, env envelope, res translate.ATResult, blobs blobSet) error {
	writes, stale, err := b.admit(tx, env, res.Writes)
	if err != nil {
		return err
	}
	if writes, err = dropSurplus(tx, writes); err != nil {
		return err
	}
	if len(writes) == 0 {
		return b.note(tx, acc, env.object, env.typ, "ap>at", "dropped", firstOf(stale, string(translate.DropUnchanged)))
	}
	permit, err := b.permitFor(ctx, tx, acc, writes)
	if err != nil {
		return err
	}
	if err := b.storeBlobs(ctx, tx, permit, acc, writes, blobs); err != nil {
		return err
	}
	results, err := b.commit(ctx, tx, permit, acc, writes)
	if err != nil {
		return err
	}
	for i, w := range writes {
		if err := b.mapWrite(tx, acc, permit, w, results[i].CID, env); err != nil {
			return err
		}
	}
	return b.note(tx, acc, env.object, env.typ, "ap>at", "bridged", lossNames(res.Losses))
}

// admit leaves out creates of what was deleted before, and versions that a newer one has overtaken.
func (b *Bridge) admit(tx Tx, env envelope, writes []translate.Write) (kept []translate.Write, stale string, err error) {
	for _, w := range writes {
		found, err := tx.ObjectsByAPID(w.Source)
		if err != nil {
			return nil, "", err
		}
		if w.Action != "delete" && w.Source != "" && len(found) > 0 && !found[0].Deleted.IsZero() && found[0].Kind != "follow" && found[0].Kind != "like" && found[0].Kind != "repost" {
			stale = string(translate.DropStale)
			continue
		}
		if w.Action != "delete" && outdated(found, env.version()) {
			stale = string(translate.DropStale)
			continue
		}
		kept = append(kept, w)
	}
	return kept, stale, nil
}

// dropSurplus adds deletes for parts that an edit left over: a thread became shorter.
func dropSurplus(tx Tx, writes []translate.Write) ([]translate.Write, error) {
	parts := map[string]int{}
	for _, w := range writes {
		if w.Action == "update" && w.Source != "" {
			parts[w.Source] = max(parts[w.Source], w.Part+1)
		}
	}
	for source, n := range parts {
		found, err := tx.ObjectsByAPID(source)
		if err != nil {
			return nil, err
		}
		for _, o := range found {
			if o.Part < n || !o.Deleted.IsZero() {
				continue
			}
			collection, rkey := collectionOf(o.URI), o.URI[strings.LastIndexByte(o.URI, '/')+1:]
			writes = append(writes, translate.Write{Action: "delete", Collection: collection, RKey: rkey, URI: o.URI, Source: source, Part: o.Part})
		}
	}
	return writes, nil
}

// permitFor asks the gate for every scope that the writes need; the permit returned is of the last one.
func (b *Bridge) permitFor(ctx context.Context, tx Tx, acc *identity.Account, writes []translate.Write) (permit consent.Permit, err error) {
	for _, w := range writes {
		if w.Action == "delete" {
			permit, err = b.erasePermit(ctx, tx, acc, writes)
		} else {
			permit, err = b.Gate.Publish(ctx, tx, acc.Subject(), scopeOf(w.Collection, w.Record, acc))
		}
		if err != nil {
			return permit, err
		}
	}
	return permit, nil
}

// erasePermit is what a deletion needs: in a commit that also writes, a permit for the writing.
func (b *Bridge) erasePermit(ctx context.Context, tx Tx, acc *identity.Account, writes []translate.Write) (consent.Permit, error) {
	for _, w := range writes {
		if w.Action != "delete" {
			return b.Gate.Publish(ctx, tx, acc.Subject(), scopeOf(w.Collection, w.Record, acc))
		}
	}
	return b.Gate.Erase(ctx, tx, acc.Subject())
}

// scopeOf is the scope that a record of an author needs.
func scopeOf(collection string, record map[string]any, acc *identity.Account) consent.Scope {
	switch collection {
	case "app.bsky.feed.like":
		return consent.ScopeLikes
	case "app.bsky.feed.repost":
		return consent.ScopeBoosts
	case "app.bsky.graph.follow":
		return consent.ScopePublishFollows
	case "app.bsky.graph.block", "app.bsky.graph.listblock":
		return consent.ScopePublishBlocks
	case "app.bsky.actor.profile":
		return consent.ScopeProfile
	case "community.lexicon.calendar.event":
		return consent.ScopeEvents
	case "community.lexicon.calendar.rsvp":
		return consent.ScopePublishRSVPs
	}
	switch parent := parentOf(record); {
	case parent == "":
		return consent.ScopePosts
	case strings.HasPrefix(parent, "at://"+string(acc.DID)+"/"):
		return consent.ScopeSelfReplies
	}
	return consent.ScopeReplies
}

// parentOf is the at-uri that a post answers; empty if it answers none.
func parentOf(record map[string]any) string {
	reply, _ := record["reply"].(map[string]any)
	parent, _ := reply["parent"].(map[string]any)
	return str(parent["uri"])
}

// mapWrite keeps the object map in step with a write.
func (b *Bridge) mapWrite(tx Tx, acc *identity.Account, permit consent.Permit, w translate.Write, cid string, env envelope) error {
	source := firstOf(w.Source, env.object, env.id)
	if w.Action == "delete" && w.Part > 0 && env.typ == "Update" { // one part of many; the post lives on
		return tx.ForgetObject(source, w.Part)
	}
	if w.Action == "delete" {
		return b.bury(tx, source, w.URI, acc.Subject())
	}
	return tx.PutObject(Object{
		APID: source, Part: w.Part, URI: w.URI, CID: cid, Native: identity.ActivityPub, Subject: acc.Subject(),
		Kind: kindOf(w.Collection), Target: targetOf(w.Record), Ledger: permit.LedgerIndex(), Version: env.version(),
	})
}

// kindOf is the last word of a collection: post, like, repost, follow, block, profile, threadgate, event ...
func kindOf(collection string) string {
	return collection[strings.LastIndexByte(collection, '.')+1:]
}

// targetOf is what a record acts on: the subject of a like, the parent of a reply, the one who is followed.
func targetOf(record map[string]any) string {
	switch s := record["subject"].(type) {
	case string:
		return s
	case map[string]any:
		return str(s["uri"])
	}
	return parentOf(record)
}

// dropDenied ends a job that the gate said no to.
func (b *Bridge) dropDenied(ctx context.Context, j queue.Job, acc *identity.Account, source, kind, direction, reason string) error {
	return b.done(ctx, j, func(tx Tx) error { return b.note(tx, acc, source, kind, direction, "dropped", reason) })
}

// note keeps what became of something, for the person's own page, and counts it.
func (b *Bridge) note(tx Tx, acc *identity.Account, source, kind, direction, result, reason string) error {
	o := Outcome{Subject: acc.Subject(), Source: source, Kind: kind, Direction: direction, Result: result, Reason: reason}
	tx.AfterCommit(func() { b.Observe(o) })
	if source == "" {
		return nil
	}
	if err := tx.PutOutcome(o); err != nil {
		return fmt.Errorf("noting an outcome: %w", err)
	}
	return nil
}

func lossNames(losses []translate.Loss) string {
	var names []string
	for _, l := range losses {
		names = append(names, string(l.Kind))
	}
	return strings.Join(names, ",")
}
