package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/syntax"

	"footbridge/activitypub"
	"footbridge/atproto/pds"
	"footbridge/bridge/translate"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// granted turns an informed yes into the work of making the copy.
func (b *Bridge) granted(tx Tx, acc *identity.Account, change consent.Change) error {
	if change.Incarnation > acc.Incarnation {
		acc.Incarnation, acc.DID = change.Incarnation, keepNative(acc)
	}
	acc.Status = identity.CopyProvisioning
	if acc.Native == identity.ATProto {
		acc.Actor = identity.ActorID(translate.ActorID(b.Settings.BaseURL, string(acc.DID), acc.Incarnation))
		acc.Acct = string(acc.Handle) + "@" + b.Settings.Domain
	}
	if err := tx.PutAccount(acc); err != nil {
		return err
	}
	tx.AfterCommit(func() { b.watch(acc) })
	j, err := subjectJob(JobProvision, acc, "")
	if err != nil {
		return err
	}
	j.Priority = queue.Urgent
	return tx.Enqueue(j)
}

// keepNative is the DID that stays: an AT native's own; a copy of a new incarnation gets a new one.
func keepNative(acc *identity.Account) syntax.DID {
	if acc.Native == identity.ATProto {
		return acc.DID
	}
	return ""
}

// handleProvision makes the copy, in steps that can each be repeated.
func (b *Bridge) handleProvision(ctx context.Context, j queue.Job) error {
	p, err := decode[SubjectJob](j)
	if err != nil {
		return err
	}
	acc, err := b.load(ctx, p.Subject)
	if err != nil || acc == nil {
		return errors.Join(err, queue.Drop("unknown_person"))
	}
	if acc.Status != identity.CopyProvisioning {
		return nil
	}
	if acc.Native == identity.ATProto {
		return b.provisionActor(ctx, j, acc)
	}
	return b.provisionRepo(ctx, j, acc)
}

func (b *Bridge) load(ctx context.Context, s identity.Subject) (acc *identity.Account, err error) {
	err = b.Store.View(ctx, func(tx Tx) error {
		acc, err = account(tx, s)
		return err
	})
	return acc, err
}

// provisionRepo gives a person of the fediverse a DID, a handle and a repo.
func (b *Bridge) provisionRepo(ctx context.Context, j queue.Job, acc *identity.Account) error {
	remote, err := b.remoteActor(ctx, acc.Actor)
	if err != nil {
		return err
	}
	if acc.DID == "" {
		if acc, err = b.makeDID(ctx, acc, remote); err != nil {
			return deniedIsDrop(err)
		}
	}
	if err := b.submitPLC(ctx, acc.Subject(), acc.DID); err != nil {
		return deniedIsDrop(err)
	}
	record, losses, blobs, err := b.profileRecord(ctx, acc, remote)
	if err != nil {
		return err
	}
	return deniedIsDrop(b.done(ctx, j, func(tx Tx) error { return b.openRepo(ctx, tx, acc, record, losses, blobs) }))
}

// makeDID builds keys and the genesis operation and stores them before anything is sent: the DID is a hash of the
// operation, so a retry sends the same bytes.
func (b *Bridge) makeDID(ctx context.Context, acc *identity.Account, remote activitypub.RemoteActor) (*identity.Account, error) {
	user, host := splitAcct(acctOf(remote))
	err := b.Store.Update(ctx, func(tx Tx) error {
		current, err := account(tx, acc.Subject())
		if err != nil {
			return err
		}
		if acc = current; acc.DID != "" {
			return nil
		}
		handle, err := freeHandle(tx, acc, user, host, b.Settings.Zone)
		if err != nil {
			return err
		}
		did, err := b.newDID(tx, handle)
		if err != nil {
			return err
		}
		acc.DID, acc.Handle = did, handle
		return tx.PutAccount(acc)
	})
	return acc, err
}

// freeHandle is the handle of an address, or the next variant of it that nobody has.
func freeHandle(tx Tx, acc *identity.Account, user, host, zone string) (syntax.Handle, error) {
	first, err := identity.HandleFor(user, host, zone)
	if err != nil {
		return "", queue.Dead(fmt.Errorf("making a handle: %w", err))
	}
	for handle, n := first, 2; ; n++ {
		other, err := known(tx.AccountByHandle(handle))
		if err != nil || other == nil || other.Subject() == acc.Subject() {
			return handle, err
		}
		if handle, err = identity.Variant(first, n); err != nil {
			return "", err
		}
	}
}

func splitAcct(acct string) (user, host string) {
	for i := len(acct) - 1; i >= 0; i-- {
		if acct[i] == '@' {
			return acct[:i], acct[i+1:]
		}
	}
	return acct, ""
}

// newDID makes the keys and the signed genesis operation of one of our repos.
func (b *Bridge) newDID(tx Tx, handle syntax.Handle) (syntax.DID, error) {
	signing, err := atcrypto.GeneratePrivateKeyK256()
	if err != nil {
		return "", fmt.Errorf("making a repo key: %w", err)
	}
	rotation, err := atcrypto.GeneratePrivateKeyK256()
	if err != nil {
		return "", fmt.Errorf("making a rotation key: %w", err)
	}
	public, err := signing.PublicKey()
	if err != nil {
		return "", fmt.Errorf("reading a repo key: %w", err)
	}
	did, op, err := identity.NewGenesis(identity.GenesisInput{Signing: public, Rotation: rotation, Handle: handle, PDS: b.Settings.BaseURL})
	if err != nil {
		return "", fmt.Errorf("making a DID: %w", err)
	}
	stored, err := op.Stored(did)
	if err != nil {
		return "", err
	}
	return did, errors.Join(
		b.Keys.PutKey(tx, string(did), identity.KeyRepo, signing),
		b.Keys.PutKey(tx, string(did), identity.KeyRotation, rotation),
		tx.PutPLCOp(stored))
}

// submitPLC sends the operations of a DID that the directory has not taken yet, in their order.
func (b *Bridge) submitPLC(ctx context.Context, s identity.Subject, did syntax.DID) error {
	if b.Settings.Offline {
		return nil
	}
	var ops []identity.StoredOp
	var permit consent.Permit
	err := b.Store.View(ctx, func(tx Tx) (err error) {
		if ops, err = tx.PLCOps(did); err != nil {
			return err
		}
		permit, err = b.plcPermit(ctx, tx, s)
		return err
	})
	if err != nil {
		return err
	}
	for _, op := range ops {
		if err := b.submitOp(ctx, permit, op); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bridge) submitOp(ctx context.Context, permit consent.Permit, op identity.StoredOp) error {
	if op.Sent {
		return nil
	}
	if err := b.PLC.Submit(ctx, permit, op.DID, op.Op); err != nil {
		return fmt.Errorf("sending a PLC operation: %w", err)
	}
	op.Sent = true
	return b.Store.Update(ctx, func(tx Tx) error {
		kept, err := tx.PLCOps(op.DID)
		if err != nil || !slices.ContainsFunc(kept, func(k identity.StoredOp) bool { return k.CID == op.CID }) {
			return err // an erasure has overtaken it
		}
		return tx.PutPLCOp(op)
	})
}

func (b *Bridge) plcPermit(ctx context.Context, tx Tx, s identity.Subject) (consent.Permit, error) {
	if s == b.botSubject() {
		return b.Gate.Service(ctx, tx, s, consent.PurposeInstance)
	}
	return b.Gate.Publish(ctx, tx, s, consent.ScopeProfile)
}

// openRepo is the moment a copy begins to exist: repo, profile, events, map rows and the answers to the person are one
// transaction.
func (b *Bridge) openRepo(ctx context.Context, tx Tx, acc *identity.Account, record map[string]any, losses []translate.Loss, blobs blobSet) error {
	current, err := account(tx, acc.Subject())
	if err != nil || current == nil || current.Status != identity.CopyProvisioning {
		return errors.Join(err, queue.Drop("withdrawn"))
	}
	permit, err := b.Gate.Publish(ctx, tx, acc.Subject(), consent.ScopeProfile)
	if err != nil {
		return err
	}
	if _, err := b.Host.CreateRepo(tx, permit, acc.DID, acc.Handle, nil); err != nil {
		return fmt.Errorf("creating a repo: %w", err)
	}
	if err := b.putProfile(ctx, tx, permit, acc, record, blobs); err != nil {
		return err
	}
	current.Status = identity.CopyActive
	current.DID, current.Handle = acc.DID, acc.Handle
	if err := tx.PutAccount(current); err != nil {
		return err
	}
	tx.AfterCommit(func() { b.watch(current) })
	if err := b.welcome(tx, current); err != nil {
		return err
	}
	if err := b.note(tx, current, string(current.Actor), "profile", "ap>at", "bridged", lossNames(losses)); err != nil {
		return err
	}
	return errors.Join(b.announce(tx), b.checkRelays(tx, current.Subject(), current.DID))
}

func (b *Bridge) putProfile(ctx context.Context, tx Tx, permit consent.Permit, acc *identity.Account, record map[string]any, blobs blobSet) error {
	w := translate.Write{Action: "create", Collection: "app.bsky.actor.profile", RKey: "self", Record: record,
		URI: "at://" + string(acc.DID) + "/app.bsky.actor.profile/self", Source: string(acc.Actor)}
	writes := []translate.Write{w}
	if err := b.storeBlobs(ctx, tx, permit, acc, writes, blobs); err != nil {
		return err
	}
	results, err := b.commit(ctx, tx, permit, acc, writes)
	if err != nil {
		return err
	}
	return b.mapWrite(tx, acc, permit, w, results[0].CID, envelope{})
}

// commit writes records to the author's repo.
func (b *Bridge) commit(ctx context.Context, tx Tx, permit consent.Permit, acc *identity.Account, writes []translate.Write) ([]pds.Result, error) {
	var out []pds.Write
	for _, w := range writes {
		collection, err := syntax.ParseNSID(w.Collection)
		if err != nil {
			return nil, queue.Dead(err)
		}
		rkey, err := syntax.ParseRecordKey(w.RKey)
		if err != nil {
			return nil, queue.Dead(err)
		}
		record := w.Record
		if w.Action == "delete" {
			record = nil
		}
		out = append(out, pds.Write{Collection: collection, RKey: rkey, Record: record})
	}
	_, results, err := b.Host.Apply(ctx, tx, permit, acc.DID, out...)
	if err != nil {
		return nil, fmt.Errorf("committing to a repo: %w", err)
	}
	return results, nil
}

// welcome answers the Follow, sends the receipt, and makes the bot follow the member back: fediverse servers push posts
// only to followers.
func (b *Bridge) welcome(tx Tx, acc *identity.Account) error {
	remote, err := tx.RemoteActorGet(acc.Actor)
	if err != nil || remote == nil {
		return errors.Join(err, errors.New("the member's actor document is gone"))
	}
	follow, err := tx.Setting("botfollow:" + string(acc.Actor))
	if err != nil {
		return err
	}
	if len(follow) > 0 {
		if err := b.answer(tx, b.BotActor(), *remote, "Accept", follow, str(recordField(follow, "id"))); err != nil {
			return err
		}
	}
	if err := b.botFollows(tx, acc); err != nil {
		return err
	}
	return b.sayReceipt(tx, acc)
}

func (b *Bridge) botFollowID(acc *identity.Account) string {
	return fmt.Sprintf("%s#follow-%s-%d", b.BotActor(), shortHash(string(acc.Actor)), acc.Incarnation)
}

func (b *Bridge) botFollows(tx Tx, acc *identity.Account) error {
	id := b.botFollowID(acc)
	doc := map[string]any{"@context": "https://www.w3.org/ns/activitystreams", "id": id, "type": "Follow",
		"actor": string(b.BotActor()), "object": string(acc.Actor), "to": []any{string(acc.Actor)}}
	return b.send(tx, outgoing{id: id, key: id, body: mustJSON(doc), from: b.BotActor(), kind: consent.Service, purpose: consent.PurposeAccept,
		subject: acc.Subject(), inboxes: []string{acc.Inbox}, priority: queue.Urgent})
}

// announce asks the relays to come and read.
func (b *Bridge) announce(tx Tx) error {
	if b.Settings.Offline {
		return nil
	}
	for _, relay := range b.Settings.Relays {
		j, err := job(JobCrawl, "crawl:"+relay, relay)
		if err != nil {
			return err
		}
		j.Dedup = fmt.Sprintf("crawl:%s:%d", relay, tx.Now().Unix()/10)
		if err := tx.Enqueue(j); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bridge) handleCrawl(ctx context.Context, j queue.Job) error {
	relay, err := decode[string](j)
	if err != nil {
		return err
	}
	return b.Reader.RequestCrawl(ctx, relay, b.Settings.Domain)
}

// provisionActor gives a person of the ATmosphere an actor: its document, key and address.
func (b *Bridge) provisionActor(ctx context.Context, j queue.Job, acc *identity.Account) error {
	id, err := b.Resolver.ResolveDID(ctx, acc.DID)
	if err != nil {
		return fmt.Errorf("resolving a new member: %w", err)
	}
	acc.Handle = id.Handle
	doc, profile, losses, err := b.actorDocument(ctx, acc)
	if err != nil {
		return err
	}
	if err := b.ensureActorKey(ctx, acc.Actor); err != nil {
		return err
	}
	return deniedIsDrop(b.done(ctx, j, func(tx Tx) error { return b.openActor(ctx, tx, acc, doc, profile, losses) }))
}

func (b *Bridge) openActor(ctx context.Context, tx Tx, acc *identity.Account, doc map[string]any, profile []byte, losses []translate.Loss) error {
	current, err := account(tx, acc.Subject())
	if err != nil || current == nil || current.Status != identity.CopyProvisioning {
		return errors.Join(err, queue.Drop("withdrawn"))
	}
	permit, err := b.Gate.Publish(ctx, tx, acc.Subject(), consent.ScopeProfile)
	if err != nil {
		return err
	}
	current.Status, current.Handle = identity.CopyActive, acc.Handle
	current.Acct = string(acc.Handle) + "@" + b.Settings.Domain
	current.URL = "https://bsky.app/profile/" + string(acc.Handle)
	if err := tx.PutAccount(current); err != nil {
		return err
	}
	tx.AfterCommit(func() { b.watch(current) })
	if err := tx.PutObject(Object{APID: string(current.Actor), URI: "at://" + string(acc.DID) + "/app.bsky.actor.profile/self",
		Native: identity.ATProto, Subject: acc.Subject(), Kind: "profile", Ledger: permit.LedgerIndex(), Body: mustJSON(doc), Record: profile}); err != nil {
		return err
	}
	if err := b.note(tx, current, string(acc.DID), "profile", "at>ap", "bridged", lossNames(losses)); err != nil {
		return err
	}
	return b.sayReceipt(tx, current)
}

// deniedIsDrop makes the gate's no the end of a job.
func deniedIsDrop(err error) error {
	if errors.Is(err, consent.ErrDenied) {
		return queue.Drop(string(consent.ReasonOf(err)))
	}
	return err
}
