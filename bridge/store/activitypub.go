package store

import (
	"fmt"
	"time"

	"footbridge/activitypub"
	"footbridge/identity"
)

var _ activitypub.Tx = (*Tx)(nil)

const followerColumns = "actor, inbox, shared_inbox, follow, since"

// FollowerPut implements activitypub.Tx.
func (tx *Tx) FollowerPut(owner identity.ActorID, f activitypub.Follower) error {
	_, err := tx.exec(`INSERT INTO follower (owner, `+followerColumns+`) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (owner, actor) DO UPDATE SET inbox = excluded.inbox, shared_inbox = excluded.shared_inbox, follow = excluded.follow`,
		string(owner), string(f.Actor), f.Inbox, f.SharedInbox, f.Follow, f.Since.UnixMicro())
	if err != nil {
		return fmt.Errorf("keeping a follower: %w", err)
	}
	return nil
}

// FollowerDelete implements activitypub.Tx.
func (tx *Tx) FollowerDelete(owner, follower identity.ActorID) (bool, error) {
	n, err := tx.exec("DELETE FROM follower WHERE owner = ? AND actor = ?", string(owner), string(follower))
	if err != nil {
		return false, fmt.Errorf("removing a follower: %w", err)
	}
	return n > 0, nil
}

func (tx *Tx) followers(where string, args ...any) ([]activitypub.Follower, error) {
	var out []activitypub.Follower
	err := tx.each("SELECT "+followerColumns+" FROM follower WHERE "+where, args, func(scan func(...any) error) error {
		var f activitypub.Follower
		var since int64
		if err := scan(&f.Actor, &f.Inbox, &f.SharedInbox, &f.Follow, &since); err != nil {
			return err
		}
		f.Since = time.UnixMicro(since).UTC()
		out = append(out, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading followers: %w", err)
	}
	return out, nil
}

// FollowerGet implements activitypub.Tx.
func (tx *Tx) FollowerGet(owner, follower identity.ActorID) (*activitypub.Follower, error) {
	fs, err := tx.followers("owner = ? AND actor = ?", string(owner), string(follower))
	if err != nil || len(fs) == 0 {
		return nil, err
	}
	return &fs[0], nil
}

// Followers implements activitypub.Tx.
func (tx *Tx) Followers(owner, after identity.ActorID, limit int) ([]activitypub.Follower, error) {
	return tx.followers("owner = ? AND actor > ? ORDER BY actor LIMIT ?", string(owner), string(after), limit)
}

// FollowerCount implements activitypub.Tx.
func (tx *Tx) FollowerCount(owner identity.ActorID) (int, error) {
	var n int
	if _, err := tx.get("SELECT COUNT(*) FROM follower WHERE owner = ?", []any{string(owner)}, &n); err != nil {
		return 0, fmt.Errorf("counting followers: %w", err)
	}
	return n, nil
}

// FollowerInboxes implements activitypub.Tx.
func (tx *Tx) FollowerInboxes(owner identity.ActorID) ([]activitypub.DeliveryTarget, error) {
	var out []activitypub.DeliveryTarget
	err := tx.each(`SELECT DISTINCT CASE WHEN shared_inbox <> '' THEN shared_inbox ELSE inbox END AS target,
		CASE WHEN shared_inbox <> '' THEN 1 ELSE 0 END AS shared FROM follower WHERE owner = ? ORDER BY target`,
		[]any{string(owner)}, func(scan func(...any) error) error {
			var t activitypub.DeliveryTarget
			var shared int
			if err := scan(&t.Inbox, &shared); err != nil {
				return err
			}
			t.Shared = shared == 1
			out = append(out, t)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("reading the inboxes of followers: %w", err)
	}
	return out, nil
}

func actorIDs(in []string) []identity.ActorID {
	out := make([]identity.ActorID, len(in))
	for i, s := range in {
		out[i] = identity.ActorID(s)
	}
	return out
}

// FollowersAt implements activitypub.Tx.
func (tx *Tx) FollowersAt(owner identity.ActorID, origin string) ([]identity.ActorID, error) {
	// '0' is the character after '/': a range instead of LIKE, which would need escaping.
	s, err := tx.strings("SELECT actor FROM follower WHERE owner = ? AND actor >= ? AND actor < ? ORDER BY actor",
		string(owner), origin+"/", origin+"0")
	if err != nil {
		return nil, fmt.Errorf("reading the followers of one host: %w", err)
	}
	return actorIDs(s), nil
}

// FollowersOf implements activitypub.Tx.
func (tx *Tx) FollowersOf(follower identity.ActorID) ([]identity.ActorID, error) {
	s, err := tx.strings("SELECT owner FROM follower WHERE actor = ? ORDER BY owner", string(follower))
	if err != nil {
		return nil, fmt.Errorf("reading whom an actor follows: %w", err)
	}
	return actorIDs(s), nil
}

// DeliveredHostAdd implements activitypub.Tx.
func (tx *Tx) DeliveredHostAdd(owner identity.ActorID, inbox string) error {
	if _, err := tx.exec("INSERT INTO delivered (owner, inbox) VALUES (?, ?) ON CONFLICT (owner, inbox) DO NOTHING", string(owner), inbox); err != nil {
		return fmt.Errorf("keeping where was delivered: %w", err)
	}
	return nil
}

// DeliveredInboxes implements activitypub.Tx.
func (tx *Tx) DeliveredInboxes(owner identity.ActorID) ([]string, error) {
	s, err := tx.strings("SELECT inbox FROM delivered WHERE owner = ? ORDER BY inbox", string(owner))
	if err != nil {
		return nil, fmt.Errorf("reading where was delivered: %w", err)
	}
	return s, nil
}

// DeliveredForget implements activitypub.Tx.
func (tx *Tx) DeliveredForget(owner identity.ActorID) error {
	if _, err := tx.exec("DELETE FROM delivered WHERE owner = ?", string(owner)); err != nil {
		return fmt.Errorf("forgetting where was delivered: %w", err)
	}
	return nil
}

// RemoteActorPut implements activitypub.Tx.
func (tx *Tx) RemoteActorPut(a activitypub.RemoteActor) error {
	_, err := tx.exec(`INSERT INTO remote_actor (id, raw, inbox, shared_inbox, fetched) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET raw = excluded.raw, inbox = excluded.inbox, shared_inbox = excluded.shared_inbox, fetched = excluded.fetched`,
		string(a.ID), []byte(a.Raw), a.Inbox, a.SharedInbox, a.Fetched.UnixMicro())
	if err != nil {
		return fmt.Errorf("keeping a remote actor: %w", err)
	}
	return nil
}

// RemoteActorGet implements activitypub.Tx.
func (tx *Tx) RemoteActorGet(id identity.ActorID) (*activitypub.RemoteActor, error) {
	a := activitypub.RemoteActor{ID: id}
	var raw []byte
	var fetched int64
	ok, err := tx.get("SELECT raw, inbox, shared_inbox, fetched FROM remote_actor WHERE id = ?", []any{string(id)}, &raw, &a.Inbox, &a.SharedInbox, &fetched)
	if err != nil {
		return nil, fmt.Errorf("reading a remote actor: %w", err)
	}
	if !ok {
		return nil, nil
	}
	a.Raw, a.Fetched = raw, time.UnixMicro(fetched).UTC()
	return &a, nil
}

// RemoteActorDelete implements activitypub.Tx.
func (tx *Tx) RemoteActorDelete(id identity.ActorID) error {
	if _, err := tx.exec("DELETE FROM remote_actor WHERE id = ?", string(id)); err != nil {
		return fmt.Errorf("forgetting a remote actor: %w", err)
	}
	return nil
}

// RemoteActorPrune implements activitypub.Tx.
func (tx *Tx) RemoteActorPrune(before time.Time, limit int) (int64, error) {
	n, err := tx.exec("DELETE FROM remote_actor WHERE id IN (SELECT id FROM remote_actor WHERE fetched < ? ORDER BY fetched LIMIT ?)", before.UnixMicro(), limit)
	if err != nil {
		return 0, fmt.Errorf("pruning remote actors: %w", err)
	}
	return n, nil
}

// HostSchemePut implements activitypub.Tx.
func (tx *Tx) HostSchemePut(host string, s activitypub.Scheme, at time.Time) error {
	_, err := tx.exec(`INSERT INTO host_scheme (host, scheme, at) VALUES (?, ?, ?)
		ON CONFLICT (host) DO UPDATE SET scheme = excluded.scheme, at = excluded.at`, host, string(s), at.UnixMicro())
	if err != nil {
		return fmt.Errorf("keeping a host's signature scheme: %w", err)
	}
	return nil
}

// HostSchemeGet implements activitypub.Tx.
func (tx *Tx) HostSchemeGet(host string) (activitypub.Scheme, time.Time, error) {
	var s string
	var at int64
	ok, err := tx.get("SELECT scheme, at FROM host_scheme WHERE host = ?", []any{host}, &s, &at)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("reading a host's signature scheme: %w", err)
	}
	if !ok {
		return "", time.Time{}, nil
	}
	return activitypub.Scheme(s), time.UnixMicro(at).UTC(), nil
}
