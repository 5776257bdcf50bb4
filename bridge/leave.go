package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"footbridge/activitypub"
	"footbridge/atproto"
	"footbridge/atproto/pds"
	"footbridge/bridge/translate"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// erasePage is how many things one transaction of an erasure removes; a commit holds at most 200 operations.
const erasePage = 100

// When an erasure is looked after again (R31).
var verifyAfter = []time.Duration{time.Hour, 24 * time.Hour}

// keyGrace bounds how long a copy's keys outlive it, so that servers can still check its Deletes.
const keyGrace = 14 * 24 * time.Hour

// leave is every way out as a job of its own: the withdrawal is one transaction, the erasure follows from it.
func (b *Bridge) leave(ctx context.Context, j queue.Job, s identity.Subject, how string) error {
	return b.done(ctx, j, func(tx Tx) error {
		acc, err := account(tx, s)
		if err != nil || acc == nil {
			return errors.Join(err, queue.Drop("unknown_person"))
		}
		return b.withdraw(tx, acc, consent.Evidence{Type: consent.E2}, how)
	})
}

// withdraw records the withdrawal, ends all pending work of the person, and starts the erasure, in the caller's
// transaction.
func (b *Bridge) withdraw(tx Tx, acc *identity.Account, ev consent.Evidence, how string) error {
	no := b.Desk.Withdraw
	if how == "account_deleted" {
		no = b.Desk.AccountDeleted
	}
	change, err := no(tx, acc.Subject(), ev)
	if err != nil {
		return fmt.Errorf("recording a withdrawal: %w", err)
	}
	return b.apply(tx, acc, change)
}

func (b *Bridge) startErasure(tx Tx, acc *identity.Account) error {
	if acc.Status == identity.CopyErasing || acc.Status == identity.CopyGone {
		return nil
	}
	if err := b.journal(JournalWithdraw, string(acc.Subject()), acc.Epoch); err != nil {
		return err
	}
	hadCopy := acc.Status != identity.CopyNone
	acc.Status = identity.CopyErasing
	if err := tx.PutAccount(acc); err != nil {
		return err
	}
	if _, err := tx.DropSubjectJobs(string(acc.Subject()), acc.Epoch, JobDelete, JobErase, JobTombstone); err != nil {
		return err
	}
	if acc.Native == identity.ActivityPub && acc.DID != "" && hadCopy {
		if err := b.hideRepo(tx, acc, pds.StatusDeactivated); err != nil {
			return err
		}
	}
	j, err := subjectJob(JobErase, acc, "things")
	if err != nil {
		return err
	}
	// A lane of its own: nothing of the person's that fails may hold their erasure up.
	j.Key, j.Priority = "erase:"+string(acc.Subject()), queue.Urgent
	return tx.Enqueue(j)
}

// hideRepo takes a repo out of sight; a repo that was never made is no error.
func (b *Bridge) hideRepo(tx Tx, acc *identity.Account, status pds.AccountStatus) error {
	permit, err := b.Gate.Erase(context.Background(), tx, acc.Subject())
	if err != nil {
		return err
	}
	err = b.Host.SetStatus(tx, permit, acc.DID, status)
	if errors.Is(err, pds.ErrNoRepo) {
		return nil
	}
	return err
}

// handleErase removes things page by page, then the account, then what is known of it.
func (b *Bridge) handleErase(ctx context.Context, j queue.Job) error {
	p, err := decode[SubjectJob](j)
	if err != nil {
		return err
	}
	acc, err := b.load(ctx, p.Subject)
	if err != nil || acc == nil || acc.Status != identity.CopyErasing {
		return errors.Join(err, queue.Drop("nothing_to_erase"))
	}
	switch {
	case p.Step == "things" && acc.Native == identity.ActivityPub:
		return b.eraseRecords(ctx, j, acc)
	case p.Step == "things":
		return b.eraseObjects(ctx, j, acc)
	case p.Step == "account":
		return b.eraseAccount(ctx, j, acc)
	}
	return b.forget(ctx, j, acc)
}

// nextStep enqueues the following step of an erasure.
func (b *Bridge) nextStep(tx Tx, acc *identity.Account, step string, wait time.Duration) error {
	j, err := subjectJob(JobErase, acc, step)
	if err != nil {
		return err
	}
	j.Key, j.Priority = "erase:"+string(acc.Subject()), queue.Urgent
	return tx.Enqueue(later(j, tx.Now().Add(wait)))
}

// eraseRecords deletes a page of records from the repo of a copy.
func (b *Bridge) eraseRecords(ctx context.Context, j queue.Job, acc *identity.Account) error {
	return b.done(ctx, j, func(tx Tx) error {
		if acc.DID == "" {
			return b.nextStep(tx, acc, "account", 0)
		}
		paths, err := hostedPaths(tx, acc.DID, erasePage)
		if err != nil {
			return err
		}
		if len(paths) == 0 {
			return b.nextStep(tx, acc, "account", 0)
		}
		permit, err := b.Gate.Erase(ctx, tx, acc.Subject())
		if err != nil {
			return err
		}
		var writes []pds.Write
		for _, path := range paths {
			collection, rkey, _ := strings.Cut(path, "/")
			writes = append(writes, pds.Write{Collection: syntax.NSID(collection), RKey: syntax.RecordKey(rkey)})
		}
		if _, _, err := b.Host.Apply(ctx, tx, permit, acc.DID, writes...); err != nil {
			return fmt.Errorf("deleting records: %w", err)
		}
		return b.nextStep(tx, acc, "things", 0)
	})
}

// eraseObjects sends Deletes for a page of a copy's objects, newest first, to every inbox that ever got anything.
func (b *Bridge) eraseObjects(ctx context.Context, j queue.Job, acc *identity.Account) error {
	return b.done(ctx, j, func(tx Tx) error {
		found, err := tx.ObjectsOf(acc.Subject(), time.Time{}, erasePage)
		if err != nil {
			return err
		}
		inboxes, err := tx.DeliveredInboxes(acc.Actor)
		if err != nil {
			return err
		}
		for _, o := range found {
			if err := b.eraseObject(tx, acc, o, inboxes); err != nil {
				return err
			}
		}
		if len(found) == 0 {
			return b.nextStep(tx, acc, "account", 0)
		}
		return b.nextStep(tx, acc, "things", 0)
	})
}

func (b *Bridge) eraseObject(tx Tx, acc *identity.Account, o Object, inboxes []string) error {
	if o.Kind != "profile" {
		doc := removal(acc, o)
		if err := b.sendErase(tx, acc, str(doc["id"]), o.APID, doc, inboxes); err != nil {
			return err
		}
	}
	return tx.TombstoneObject(o.APID, o.URI, acc.Subject())
}

// removal is the activity that takes an object back: an Undo of what was an act, else a Delete with a Tombstone.
func removal(acc *identity.Account, o Object) map[string]any {
	doc := map[string]any{"@context": "https://www.w3.org/ns/activitystreams", "actor": string(acc.Actor), "to": []any{Public}}
	switch o.Kind {
	case "like", "repost", "follow", "block":
		doc["id"], doc["type"], doc["object"] = translate.UndoID(o.APID), "Undo", embed(o.Body)
		if len(o.Body) == 0 {
			doc["object"] = o.APID
		}
	default:
		doc["id"], doc["type"], doc["object"] = translate.DeleteID(o.APID), "Delete", map[string]any{"id": o.APID, "type": "Tombstone"}
	}
	return doc
}

func (b *Bridge) sendErase(tx Tx, acc *identity.Account, id, key string, doc map[string]any, inboxes []string) error {
	return b.send(tx, outgoing{id: id, key: key, body: mustJSON(doc), from: acc.Actor, kind: consent.Erase, subject: acc.Subject(),
		epoch: acc.Epoch, inboxes: inboxes, priority: queue.Urgent})
}

// eraseAccount ends the copy itself.
func (b *Bridge) eraseAccount(ctx context.Context, j queue.Job, acc *identity.Account) error {
	return b.done(ctx, j, func(tx Tx) error {
		if acc.Native == identity.ATProto {
			return b.eraseActor(tx, acc)
		}
		return b.eraseRepo(ctx, tx, acc)
	})
}

func (b *Bridge) eraseActor(tx Tx, acc *identity.Account) error {
	if acc.Actor == "" { // never had a copy
		return b.nextStep(tx, acc, "forget", 0)
	}
	inboxes, err := tx.DeliveredInboxes(acc.Actor)
	if err != nil {
		return err
	}
	doc := map[string]any{"@context": "https://www.w3.org/ns/activitystreams", "id": translate.DeleteID(string(acc.Actor)), "type": "Delete",
		"actor": string(acc.Actor), "object": string(acc.Actor), "to": []any{Public}}
	if err := b.sendErase(tx, acc, str(doc["id"]), string(acc.Actor), doc, inboxes); err != nil {
		return err
	}
	return b.nextStep(tx, acc, "forget", 0)
}

func (b *Bridge) eraseRepo(ctx context.Context, tx Tx, acc *identity.Account) error {
	if err := b.unfollowMember(tx, acc); err != nil {
		return err
	}
	if acc.DID == "" {
		return b.nextStep(tx, acc, "forget", 0)
	}
	permit, err := b.Gate.Erase(ctx, tx, acc.Subject())
	if err != nil {
		return err
	}
	if err := b.Host.DeleteRepo(tx, permit, acc.DID); err != nil && !errors.Is(err, pds.ErrNoRepo) {
		return fmt.Errorf("deleting a repo: %w", err)
	}
	if err := b.endLog(tx, acc); err != nil {
		return err
	}
	if b.CollectBlobs != nil {
		tx.AfterCommit(b.CollectBlobs)
	}
	t, err := job(JobTombstone, "plc:"+string(acc.DID), SubjectJob{Step: string(acc.DID)})
	if err != nil {
		return err
	}
	if err := tx.Enqueue(later(t, tx.Now().Add(b.Settings.PLCGrace))); err != nil {
		return err
	}
	return b.nextStep(tx, acc, "forget", 0)
}

// unfollowMember takes back the bot's Follow of a member.
func (b *Bridge) unfollowMember(tx Tx, acc *identity.Account) error {
	id := b.botFollowID(acc)
	follow := map[string]any{"id": id, "type": "Follow", "actor": string(b.BotActor()), "object": string(acc.Actor)}
	doc := map[string]any{"@context": "https://www.w3.org/ns/activitystreams", "id": translate.UndoID(id), "type": "Undo",
		"actor": string(b.BotActor()), "object": follow, "to": []any{string(acc.Actor)}}
	return b.send(tx, outgoing{id: str(doc["id"]), key: id, body: mustJSON(doc), from: b.BotActor(), kind: consent.Erase, subject: acc.Subject(),
		epoch: acc.Epoch, inboxes: []string{acc.Inbox}, priority: queue.Urgent})
}

// forget drops every row about the person once the last Delete has arrived, or its time is up. Until then the copy's
// actor still shows its key, so that servers can check the Deletes (1.5 of the erasure table). What stays is that the
// copy's address is gone, and the ledger.
func (b *Bridge) forget(ctx context.Context, j queue.Job, acc *identity.Account) error {
	if wait, err := b.deletesUnderWay(ctx, j, acc); wait > 0 || err != nil {
		return errors.Join(err, snooze(wait))
	}
	return b.done(ctx, j, func(tx Tx) error {
		if n, err := b.buryObjects(tx, acc); err != nil || n > 0 {
			return errors.Join(err, b.nextStep(tx, acc, "forget", 0))
		}
		inboxes, err := tx.DeliveredInboxes(acc.Actor)
		if err != nil {
			return err
		}
		if err := b.forgetRows(tx, acc); err != nil {
			return err
		}
		if err := b.sayLast(tx, acc, len(inboxes)); err != nil {
			return err
		}
		if _, err := b.Desk.MarkErased(tx, acc.Subject()); err != nil {
			return err
		}
		tx.AfterCommit(func() { b.watch(acc) })
		return b.lookAgain(tx, acc)
	})
}

// deletesUnderWay tells how long to wait for Deletes that have not arrived yet.
func (b *Bridge) deletesUnderWay(ctx context.Context, j queue.Job, acc *identity.Account) (wait time.Duration, err error) {
	if b.Now().Sub(j.Created) > keyGrace {
		return 0, nil
	}
	err = b.Store.View(ctx, func(tx Tx) error {
		n, err := tx.PendingJobs(string(acc.Subject()), JobDelete)
		if n > 0 {
			wait = min(time.Second<<min(j.Deferred, 12), 10*time.Minute)
		}
		return err
	})
	return wait, err
}

func snooze(wait time.Duration) error {
	if wait == 0 {
		return nil
	}
	return queue.Snooze("deletes_under_way", wait)
}

// lookAgain plans the checks after an erasure. They know the copy's own ids only, which were public and are gone.
func (b *Bridge) lookAgain(tx Tx, acc *identity.Account) error {
	if acc.Native == identity.ATProto || acc.DID == "" {
		return nil
	}
	for _, wait := range verifyAfter {
		v, err := job(JobVerify, "verify:"+string(acc.DID), VerifyJob{DID: string(acc.DID)})
		if err != nil {
			return err
		}
		if err := tx.Enqueue(later(v, tx.Now().Add(wait))); err != nil {
			return err
		}
	}
	return nil
}

// buryObjects keeps of a page of an AT native's objects only that their ids are gone.
func (b *Bridge) buryObjects(tx Tx, acc *identity.Account) (int, error) {
	if acc.Native == identity.ActivityPub {
		return 0, nil
	}
	return tx.BuryObjects(acc.Subject(), buryPage, b.gone)
}

// buryPage is how many rows one transaction turns into pseudonyms.
const buryPage = 500

// forgetRows deletes what is known of a person, in every table. Pseudonyms stay where something has to be recognised: what
// is gone, what was seen, who keeps whom away, and that they left.
func (b *Bridge) forgetRows(tx Tx, acc *identity.Account) error {
	acc.Status = identity.CopyGone
	err := errors.Join(tx.PutSetting("botfollow:"+string(acc.Actor), nil), tx.ForgetObjects(acc.Subject()), tx.DeleteAccount(acc.Subject()),
		tx.DropRemoteHead(acc.DID))
	if acc.Actor == "" {
		return errors.Join(err, tx.ForgetMessagesWith(string(acc.Subject())))
	}
	err = errors.Join(err, tx.RemoteActorDelete(acc.Actor), tx.DeliveredForget(acc.Actor), tx.ForgetMessagesWith(string(acc.Actor)),
		b.forgetFollowers(tx, acc))
	if acc.Native == identity.ActivityPub {
		return errors.Join(err, hideInbox(tx, acc), b.unlisten(tx, acc))
	}
	return errors.Join(err, tx.DropMessages(acc.Subject(), time.Time{}), tx.DeleteSealedKeys(string(acc.Actor)), tx.Gone(b.gone(string(acc.Actor))))
}

func (b *Bridge) forgetFollowers(tx Tx, acc *identity.Account) error {
	for {
		page, err := tx.Followers(acc.Actor, "", 500)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, f := range page {
			if _, err := tx.FollowerDelete(acc.Actor, f.Actor); err != nil {
				return err
			}
		}
	}
}

// VerifyJob is the payload of JobVerify: the DID that an erased copy had.
type VerifyJob struct {
	DID string `json:"did"`
}

// handleVerify looks whether the relay and the AppView let go of an erased copy, and says it once more if not (R31).
func (b *Bridge) handleVerify(ctx context.Context, j queue.Job) error {
	p, err := decode[VerifyJob](j)
	if err != nil {
		return err
	}
	if b.Settings.Offline || b.Reader == nil {
		return nil
	}
	for _, relay := range b.Settings.Relays {
		status, err := b.Reader.RepoStatus(ctx, relay, syntax.DID(p.DID))
		if errors.Is(err, atproto.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("asking a relay after an erasure: %w", err)
		}
		if !status.Active {
			continue
		}
		err = b.Store.Update(ctx, func(tx Tx) error { return b.Host.RepeatStatus(tx, syntax.DID(p.DID)) })
		if err != nil {
			return fmt.Errorf("repeating a deletion: %w", err)
		}
		return errors.New("a relay still shows an erased repo")
	}
	return nil
}

// handleTombstone ends a DID after the grace period, then destroys its keys.
func (b *Bridge) handleTombstone(ctx context.Context, j queue.Job) error {
	p, err := decode[SubjectJob](j)
	if err != nil {
		return err
	}
	did := syntax.DID(p.Step)
	if !b.Settings.Offline {
		if err := b.tombstonePLC(ctx, did); err != nil {
			return err
		}
	}
	return b.done(ctx, j, func(tx Tx) error {
		if err := tx.DeletePLCOps(did); err != nil {
			return err
		}
		tx.AfterCommit(func() { b.Host.ForgetKey(did) })
		return tx.DeleteSealedKeys(string(did))
	})
}

// tombstonePLC signs the last operation, once, and sends it.
func (b *Bridge) tombstonePLC(ctx context.Context, did syntax.DID) error {
	var permit consent.Permit
	var op identity.StoredOp
	err := b.Store.Update(ctx, func(tx Tx) (err error) {
		if op, err = b.lastOp(tx, did); err != nil {
			return err
		}
		permit, err = b.Gate.Erase(ctx, tx, identity.Subject(did)) // whose it was is forgotten by now
		return err
	})
	if err != nil {
		return fmt.Errorf("ending a DID: %w", err)
	}
	return b.submitOp(ctx, permit, op)
}

// lastOp is the stored tombstone of a DID, made if there is none.
func (b *Bridge) lastOp(tx Tx, did syntax.DID) (identity.StoredOp, error) {
	ops, err := tx.PLCOps(did)
	if err != nil || len(ops) == 0 {
		return identity.StoredOp{}, errors.Join(err, queue.Drop("no_plc_operations"))
	}
	stored := lastSent(ops)
	last, err := identity.ParseOperation(stored.Op)
	if err != nil || last.Type == "plc_tombstone" {
		return stored, err
	}
	key, err := b.Keys.Key(tx, string(did), identity.KeyRotation)
	if err != nil {
		return stored, err
	}
	end, err := last.Tombstone(key)
	if err != nil {
		return stored, err
	}
	if stored, err = end.Stored(did); err != nil {
		return stored, err
	}
	return stored, tx.PutPLCOp(stored)
}

// lastSent is the newest operation that the directory has taken, as far as is known.
func lastSent(ops []identity.StoredOp) identity.StoredOp {
	for i := len(ops) - 1; i > 0; i-- {
		if op, err := identity.ParseOperation(ops[i].Op); ops[i].Sent || (err == nil && op.Type == "plc_tombstone") {
			return ops[i]
		}
	}
	return ops[0]
}

// nativeGone is the native account's own deletion: one of the ways out.
func (b *Bridge) nativeGone(ctx context.Context, j queue.Job, acc *identity.Account) error {
	if acc == nil {
		return queue.Drop(string(translate.DropAuthorNotJoined))
	}
	return b.leave(ctx, j, acc.Subject(), "account_deleted")
}

// nativeMoved pauses a member who moved, until they confirm on the new account (R17).
func (b *Bridge) nativeMoved(ctx context.Context, j queue.Job, in activitypub.Inbound, env envelope, acc *identity.Account) error {
	if acc == nil || env.object != string(in.Actor) {
		return queue.Drop(string(translate.DropAuthorNotJoined))
	}
	return b.done(ctx, j, func(tx Tx) error {
		change, err := b.Desk.Move(tx, acc.Subject(), consent.Evidence{Type: consent.E2, Raw: in.Evidence})
		if err != nil {
			return err
		}
		return b.apply(tx, acc, change)
	})
}
