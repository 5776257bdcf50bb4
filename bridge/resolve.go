package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"footbridge/activitypub"
	"footbridge/atproto"
	"footbridge/bridge/translate"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// How long a post waits for the one that it answers, while that is still on its way.
const (
	parentPoll = 2 * time.Second
	parentWait = 10 * time.Minute
)

// actorAge is how long a fetched actor document serves.
const actorAge = 24 * time.Hour

// resolve looks up what a conversion needs to know. Only people with a live grant, and what was bridged of them, get into
// the context: what is not there cannot leak.
func (b *Bridge) resolve(ctx context.Context, j queue.Job, acc *identity.Account, refs translate.Refs) (*translate.Context, blobSet, error) {
	c := &translate.Context{
		Now: b.Now().UTC(), Domain: b.Settings.BaseURL, Actors: map[string]translate.Actor{}, Objects: map[string]translate.StrongRef{},
		Records: map[string]translate.Record{}, APObjects: map[string]json.RawMessage{}, Handles: map[string]string{},
		Blobs: map[string]translate.Blob{}, Previews: map[string]translate.Preview{}, Incarnation: acc.Incarnation,
	}
	if err := b.resolveStored(ctx, acc, refs, c); err != nil {
		return nil, nil, err
	}
	if err := b.waitForParents(ctx, j, refs, c); err != nil {
		return nil, nil, err
	}
	b.resolveHandles(ctx, refs, c)
	if err := b.resolveRecords(ctx, c); err != nil {
		return nil, nil, err
	}
	if err := b.resolveWanted(ctx, refs, c); err != nil {
		return nil, nil, err
	}
	if acc.Native == identity.ATProto {
		return c, nil, b.resolvePDS(ctx, acc, c)
	}
	return c, b.resolveMedia(ctx, refs, c), nil
}

// resolveStored takes from the store: people, the object map, the author's choices.
func (b *Bridge) resolveStored(ctx context.Context, acc *identity.Account, refs translate.Refs, c *translate.Context) error {
	return b.Store.View(ctx, func(tx Tx) error {
		if err := resolveOptions(tx, acc, c); err != nil {
			return err
		}
		if err := b.addActor(tx, c, visible(acc)); err != nil {
			return err
		}
		if err := b.resolvePeople(tx, refs, c); err != nil {
			return err
		}
		for _, id := range refs.Objects {
			if err := b.resolveObject(tx, id, c); err != nil {
				return err
			}
			if err := b.resolvePage(tx, id, c); err != nil {
				return err
			}
		}
		if err := b.ownProfile(tx, acc, c); err != nil {
			return err
		}
		for _, uri := range refs.URIs {
			if err := b.resolveURI(tx, uri, c); err != nil {
				return err
			}
		}
		return nil
	})
}

// resolveOptions takes the author's own choices.
func resolveOptions(tx Tx, acc *identity.Account, c *translate.Context) error {
	row, err := tx.ConsentRow(acc.Subject())
	if errors.Is(err, consent.ErrNone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the author's choices: %w", err)
	}
	o := row.Options
	c.Options = translate.Options{LongMode: o.Get(consent.OptionLongMode), CWMode: o.Get(consent.OptionCWMode),
		SkipQuotesOfOthers: o.Get(consent.OptionQuoteUnjoined) == "skip", Language: row.Lang,
		SearchIndexing: slices.Contains(row.Scopes, consent.ScopeSearchIndexing)}
	return nil
}

func (b *Bridge) resolvePeople(tx Tx, refs translate.Refs, c *translate.Context) error {
	for _, id := range refs.Actors {
		acc, err := known(tx.AccountByActor(identity.ActorID(id)))
		if acc == nil && err == nil {
			acc, err = known(tx.AccountByURL(id))
		}
		if err := errors.Join(err, b.addActor(tx, c, acc)); err != nil {
			return err
		}
	}
	for _, did := range refs.DIDs {
		acc, err := known(tx.AccountByDID(syntax.DID(did)))
		if err := errors.Join(err, b.addActor(tx, c, acc)); err != nil {
			return err
		}
	}
	for _, acct := range refs.Accts {
		acc, err := known(tx.AccountByAcct(acct))
		if err := errors.Join(err, b.addActor(tx, c, acc)); err != nil {
			return err
		}
	}
	for _, h := range refs.Handles {
		acc, err := known(tx.AccountByHandle(syntax.Handle(strings.ToLower(h))))
		if err := errors.Join(err, b.addActor(tx, c, acc)); err != nil {
			return err
		}
	}
	return nil
}

// visible is the author as the conversion of their own removal needs them: one whose copy is hidden is still themself.
func visible(acc *identity.Account) *identity.Account {
	if acc.Status != identity.CopyHidden {
		return acc
	}
	shown := *acc
	shown.Status = identity.CopyActive
	return &shown
}

// addActor lets a person into the context if they are active here.
func (b *Bridge) addActor(tx Tx, c *translate.Context, acc *identity.Account) error {
	if acc == nil || acc.Status != identity.CopyActive || acc.DID == "" {
		return nil
	}
	if no, err := refused(tx, acc.Subject(), acc.Actor.Host()); err != nil || no {
		return err
	}
	c.Actors[string(acc.Actor)] = translate.Actor{DID: string(acc.DID), Handle: string(acc.Handle), Acct: acc.Acct, URL: acc.URL, Native: string(acc.Native)}
	c.Handles[string(acc.Handle)] = string(acc.DID)
	return nil
}

// resolveObject puts a bridged object and its record into the context, with its owner.
func (b *Bridge) resolveObject(tx Tx, id string, c *translate.Context) error {
	found, err := tx.ObjectsByAPID(id)
	if err != nil || len(found) == 0 || !found[0].Deleted.IsZero() {
		return err
	}
	return b.addObject(tx, found[0], c)
}

// resolvePage looks behind the web page of a post (bsky.app/profile/<handle or DID>/post/<rkey>).
func (b *Bridge) resolvePage(tx Tx, page string, c *translate.Context) error {
	rest, found := strings.CutPrefix(page, "https://bsky.app/profile/")
	who, rkey, found2 := strings.Cut(rest, "/post/")
	if !found || !found2 {
		return nil
	}
	did := syntax.DID(who)
	if !strings.HasPrefix(who, "did:") {
		acc, err := known(tx.AccountByHandle(syntax.Handle(strings.ToLower(who))))
		if err != nil || acc == nil {
			return err
		}
		did = acc.DID
	}
	return b.resolveURI(tx, "at://"+string(did)+"/app.bsky.feed.post/"+rkey, c)
}

// ownProfile puts the profile of the author's copy into the context: pins live in it.
func (b *Bridge) ownProfile(tx Tx, acc *identity.Account, c *translate.Context) error {
	if acc.Native != identity.ActivityPub || acc.DID == "" {
		return nil
	}
	rec, err := hostedRecord(tx, profileURI(acc.DID))
	if err != nil || rec == nil {
		return err
	}
	obj, err := tx.ObjectByURI(profileURI(acc.DID))
	if err != nil {
		return nil //nolint:nilerr // without its row the profile is not known yet
	}
	c.Records[profileURI(acc.DID)] = translate.Record{URI: profileURI(acc.DID), CID: obj.CID, Value: rec}
	return nil
}

func (b *Bridge) resolveURI(tx Tx, uri string, c *translate.Context) error {
	obj, err := tx.ObjectByURI(uri)
	if errors.Is(err, ErrNoObject) {
		return nil
	}
	if err != nil || !obj.Deleted.IsZero() {
		return err
	}
	return b.addObject(tx, *obj, c)
}

func (b *Bridge) addObject(tx Tx, obj Object, c *translate.Context) error {
	c.Objects[obj.APID] = translate.StrongRef{URI: obj.URI, CID: obj.CID}
	owner, err := account(tx, obj.Subject)
	if err != nil || owner == nil {
		return err
	}
	if len(obj.Body) > 0 {
		c.APObjects[obj.APID] = obj.Body
	} else if owner.Native == identity.ActivityPub {
		c.APObjects[obj.APID] = mustJSON(map[string]any{"id": obj.APID, "type": "Note", "attributedTo": string(owner.Actor), "to": []any{Public}})
	}
	rec, err := hostedRecord(tx, obj.URI)
	if err != nil {
		return err
	}
	if rec != nil {
		c.Records[obj.URI] = translate.Record{URI: obj.URI, CID: obj.CID, Value: rec}
	} else if len(obj.Record) > 0 {
		c.Records[obj.URI] = translate.Record{URI: obj.URI, CID: obj.CID, Value: obj.Record}
	}
	return b.addActor(tx, c, owner)
}

// waitForParents snoozes a reply whose parent belongs to a member and is not here yet; after a while it goes without.
func (b *Bridge) waitForParents(ctx context.Context, j queue.Job, refs translate.Refs, c *translate.Context) error {
	for _, id := range refs.Parents {
		if b.resolved(c, id) || b.Now().Sub(j.Created) > parentWait {
			continue
		}
		coming, err := b.inFlight(ctx, id)
		if err != nil {
			return err
		}
		if coming {
			return queue.Snooze("parent_in_flight", parentPoll)
		}
	}
	return nil
}

func (b *Bridge) resolved(c *translate.Context, id string) bool {
	if _, ok := c.Objects[id]; ok {
		return true
	}
	for _, ref := range c.Objects {
		if ref.URI == id {
			return true
		}
	}
	return false
}

// inFlight reports whether an id may still arrive: its author is a member, and it was neither bridged nor deleted.
func (b *Bridge) inFlight(ctx context.Context, id string) (coming bool, err error) {
	uri := firstOf(b.uriOf(id), id)
	at, notAT := syntax.ParseATURI(uri)
	err = b.Store.View(ctx, func(tx Tx) error {
		if found, err := tx.ObjectsByAPID(id); err != nil || len(found) > 0 {
			return err
		}
		if notAT != nil {
			coming = true // decided below
			return nil
		}
		acc, err := known(tx.AccountByDID(syntax.DID(at.Authority().String())))
		// What we host ourselves is either here or will never be.
		coming = acc != nil && acc.Native == identity.ATProto && acc.Status == identity.CopyActive
		return err
	})
	if err != nil || !coming || notAT == nil {
		return coming, err
	}
	return b.memberWrote(ctx, id)
}

// memberWrote asks the origin of a fediverse post whether a member wrote it, publicly, since joining. Nothing of the
// answer is kept.
func (b *Bridge) memberWrote(ctx context.Context, id string) (bool, error) {
	raw, err := b.Fetcher.Object(ctx, id)
	if err != nil {
		return false, nil //nolint:nilerr // what cannot be fetched is not waited for
	}
	env, err := openEnvelope(mustJSON(map[string]any{"object": json.RawMessage(raw)}))
	if err != nil || !env.public() {
		return false, nil //nolint:nilerr // the same
	}
	published, _ := time.Parse(time.RFC3339, str(env.objectDoc["published"]))
	var yes bool
	err = b.Store.View(ctx, func(tx Tx) error {
		acc, err := known(tx.AccountByActor(identity.ActorID(idOf(env.objectDoc["attributedTo"]))))
		yes = acc != nil && acc.Status == identity.CopyActive && published.After(acc.Created)
		return err
	})
	return yes, err
}

// uriOf is the at-uri that an id of this bridge stands for; empty if it is not one.
func (b *Bridge) uriOf(id string) string {
	own, ok := translate.ParseOwnID(b.Settings.BaseURL, id)
	if !ok {
		return ""
	}
	return own.URI()
}

func (b *Bridge) resolveHandles(ctx context.Context, refs translate.Refs, c *translate.Context) {
	for _, h := range refs.Handles {
		if c.Handles[h] != "" || b.Resolver == nil {
			continue
		}
		if did, err := b.Resolver.ResolveHandle(ctx, syntax.Handle(h)); err == nil {
			c.Handles[h] = string(did)
		}
	}
}

// resolveRecords fetches the records of bridged AT posts that are not at hand: a reply needs its parent's root.
func (b *Bridge) resolveRecords(ctx context.Context, c *translate.Context) error {
	for _, ref := range c.Objects {
		if _, have := c.Records[ref.URI]; have || b.Reader == nil {
			continue
		}
		uri, err := syntax.ParseATURI(ref.URI)
		if err != nil {
			continue
		}
		rec, err := b.Reader.GetRecord(ctx, uri)
		if errors.Is(err, atproto.ErrNotFound) { // deleted, and we are about to hear of it
			continue
		}
		if err != nil {
			return fmt.Errorf("fetching a record that is replied to: %w", err)
		}
		c.Records[ref.URI] = translate.Record{URI: ref.URI, CID: rec.CID, Value: rec.Value}
	}
	return nil
}

// resolveWanted fetches records that say how a post may be used (gates) or what it shows; those that are not there are
// simply not there.
func (b *Bridge) resolveWanted(ctx context.Context, refs translate.Refs, c *translate.Context) error {
	for _, raw := range refs.Records {
		uri, err := syntax.ParseATURI(raw)
		if _, have := c.Records[raw]; have || err != nil || b.Reader == nil {
			continue
		}
		if hosted, err := b.hosted(ctx, raw); err != nil {
			return err
		} else if hosted != nil {
			c.Records[raw] = translate.Record{URI: raw, Value: hosted}
			continue
		}
		rec, err := b.Reader.GetRecord(ctx, uri)
		switch {
		case err == nil:
			c.Records[raw] = translate.Record{URI: raw, CID: rec.CID, Value: rec.Value}
		case !errors.Is(err, atproto.ErrNotFound):
			return fmt.Errorf("fetching a record that a post depends on: %w", err)
		}
	}
	return nil
}

func (b *Bridge) hosted(ctx context.Context, uri string) (rec json.RawMessage, err error) {
	err = b.Store.View(ctx, func(tx Tx) error {
		rec, err = hostedRecord(tx, uri)
		return err
	})
	return rec, err
}

// resolvePDS finds where the author's blobs are served.
func (b *Bridge) resolvePDS(ctx context.Context, acc *identity.Account, c *translate.Context) error {
	id, err := b.Resolver.ResolveDID(ctx, acc.DID)
	if err != nil {
		return fmt.Errorf("finding the author's PDS: %w", err)
	}
	c.PDS = strings.TrimSuffix(id.PDS, "/") + "/"
	return nil
}

// remoteActor is an actor of another server, from the cache or fetched.
func (b *Bridge) remoteActor(ctx context.Context, id identity.ActorID) (activitypub.RemoteActor, error) {
	remote, err := b.Actors.Actor(ctx, id, actorAge)
	if err != nil {
		return activitypub.RemoteActor{}, fmt.Errorf("looking up an actor: %w", err)
	}
	return *remote, nil
}
